"""Rewards in the tasks of verifiers, as it is installed: scripts/contracts verifiers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

verifiers = pytest.importorskip(
    "verifiers.v1", reason="verifiers is not installed: scripts/contracts verifiers has it"
)
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

from scripts import docs  # noqa: E402
from verifiers.v1.configs.agent import AgentConfig  # noqa: E402
from verifiers.v1.configs.task import TaskConfig  # noqa: E402
from verifiers.v1.errors import TaskError  # noqa: E402
from verifiers.v1.graph import MessageNode  # noqa: E402
from verifiers.v1.trace import AgentInfo, Trace, TraceTask  # noqa: E402

from plaudit.integrations.verifiers import row_of_trace  # noqa: E402
from tests.support.equality import in_process  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402

Message = dict[str, Any]

PLUGGED = """
from plaudit.integrations.verifiers import as_verifiers_reward

RULES = {"rewards": {"correctness": {"by": "rules"}}}
quality = as_verifiers_reward(RULES, name="sums")
minus = as_verifiers_reward(RULES, name="sums", when_unscored=-1)

async def none(trace):
    return None

async def nan(trace):
    return float("nan")
"""
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}


class Data(verifiers.TaskData):
    answer: str | None = None


class Sums(verifiers.Task[Data]):
    """A task without rewards of its own."""


def trace_of(
    prompt: Sequence[Message], wrote: Sequence[Message], *, answer: str | None = "4"
) -> Any:
    """A trace of one branch, whose messages of the assistant were sampled."""
    data = Data(prompt=list(prompt), answer=answer)
    made = Trace(
        task=TraceTask(type="Sums", data=data), agent=AgentInfo(config=AgentConfig()), nodes=[]
    )
    for number, message in enumerate([*prompt, *wrote]):
        sampled = number >= len(prompt) and message["role"] == "assistant"
        made.nodes.append(node(message, number - 1 if number else None, sampled))
    return made


def node(message: Message, parent: int | None, sampled: bool) -> Any:
    calls = [{"id": one["id"], **one["function"]} for one in message.get("tool_calls", ())]
    flat = message | ({"tool_calls": calls} if calls else {})
    return MessageNode(parent=parent, message=flat, sampled=sampled)


@pytest.fixture
def plugged(tmp_path: Path) -> Path:
    path = tmp_path / "plugged.py"
    path.write_text(PLUGGED, encoding="utf-8")
    return path


async def score(plugged: Path, name: str, trace: Any, **options: Any) -> Any:
    """Score a trace as verifiers does: the function comes from the task's configuration."""
    fn = {"fn": f"{plugged}:{name}", **options}
    config = TaskConfig.model_validate({"rewards": {"right": fn}})
    await Sums(trace.task.data, config).score(trace)
    return trace


async def test_real_traces_have_the_values_of_plaudit_score(runs: dict[str, Run]) -> None:
    for run in runs.values():
        found = await in_process.verifiers(run.spec, run.rows, trace_of)
        assert run.differences(found) == []


async def test_a_task_plugs_the_reward_by_its_configuration(plugged: Path) -> None:
    trace = await score(plugged, "quality", trace_of(ASKED, [FOUR]), weight=2.0)
    assert trace.rewards["right"].score == 1
    assert trace.reward == 2
    assert trace.metrics == {"sums": 1, "sums/correctness": 1, "sums/unscored": 0}


async def test_a_row_without_a_value_is_a_task_error_and_no_reward(plugged: Path) -> None:
    trace = trace_of(ASKED, [FOUR], answer=None)
    with pytest.raises(TaskError, match="1 of 1 rows have no value: no_reference"):
        await score(plugged, "quality", trace)
    assert trace.rewards == {"right": None}
    assert trace.metrics == {"sums/unscored": 1}


async def test_a_number_can_stand_for_it(plugged: Path) -> None:
    trace = await score(plugged, "minus", trace_of(ASKED, [FOUR], answer=None))
    assert trace.reward == -1
    assert trace.metrics == {"sums/unscored": 1}


async def test_verifiers_still_takes_no_none_but_takes_nan(plugged: Path) -> None:
    """Why the adapter raises, and why it never hands out NaN."""
    with pytest.raises(TaskError):
        await score(plugged, "none", trace_of(ASKED, [FOUR]))
    trace = await score(plugged, "nan", trace_of(ASKED, [FOUR]))
    assert trace.rewards["right"] is not None


async def test_what_no_model_sampled_earns_nothing(plugged: Path) -> None:
    trace = trace_of([*ASKED, FIVE, ASKED[0]], [FOUR])
    trace.nodes.append(node(FIVE, len(trace.nodes) - 1, sampled=False))  # Put there by the harness.
    row = row_of_trace(trace)
    assert [one["content"] for one in row["completion"]] == ["4"]
    assert len(row["prompt"]) == 3
    assert (await score(plugged, "quality", trace)).reward == 1


async def test_the_branch_of_the_root_agent_counts(plugged: Path) -> None:
    trace = trace_of(ASKED, [FOUR])
    trace.nodes.append(node(FIVE, 0, sampled=True))  # A second branch, of another agent.
    assert len(trace.branches) == 2
    assert (await score(plugged, "quality", trace)).reward == 0
    trace.root_reply = "4"
    assert (await score(plugged, "quality", trace)).reward == 1


def test_the_page_shows_what_happens() -> None:
    assert docs.run_page(docs.DOCS / "reference" / "other-trainers.md") == []
