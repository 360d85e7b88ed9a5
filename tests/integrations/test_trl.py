"""Rewards as TRL calls them. That TRL really calls them so is tested in tests/contracts."""

import asyncio
import inspect
import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import EngineUnusableError, UsageError
from plaudit.integrations.trl import as_trl_reward
from plaudit.rewarding.unscored import UnscoredError
from plaudit.rollouts.rewards.base import scored
from plaudit.rollouts.trace import Score, StopReason, Trace

QUESTION = [{"role": "user", "content": "Where was the rope?"}]
RULES = {"rewards": {"correctness": {"by": "rules", "undecided": 0.0}}}
PARTS = {
    "rewards": {
        "correctness": {"by": "rules", "undecided": 0.0},
        "format": {"weight": 0.5, "calls": "optional"},
    }
}


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}]


def answer_length(trace: Trace) -> float | None:
    return None if trace.final_answer is None else float(len(trace.final_answer))


async def call(reward: Any, completions: list[Any], **columns: Any) -> list[float | None]:
    """Call a reward with everything that TRL passes."""
    return await reward(
        prompts=[QUESTION] * len(completions),
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        trainer_state=object(),
        **columns,
    )


async def test_a_function_gives_one_value_a_row_and_None_stays_None() -> None:
    reward = as_trl_reward(answer_length)
    assert await call(reward, [said("boat"), said(""), said("the boat")]) == [4.0, None, 8.0]


def test_it_is_a_real_function_with_a_telling_name() -> None:
    """TRL of some versions sees an async reward by `inspect.iscoroutinefunction` alone."""
    reward = as_trl_reward(answer_length)
    assert inspect.iscoroutinefunction(reward)
    assert inspect.isfunction(reward)
    assert reward.__name__ == "answer_length"
    assert as_trl_reward(answer_length, name="length").__name__ == "length"
    assert as_trl_reward(RULES).__name__ == "total"


def test_a_specification_is_called_like_its_file(tmp_path: Path) -> None:
    path = tmp_path / "strict.toml"
    path.write_text('[rewards.correctness]\nby = "rules"\n')
    assert as_trl_reward(path).__name__ == as_trl_reward(str(path)).__name__ == "strict"
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        as_trl_reward(tmp_path / "nowhere.toml")


async def test_columns_arrive_as_lists() -> None:
    completions = [said("The boat."), said("The boat."), said("The boat.")]
    found = await call(
        as_trl_reward(RULES),
        completions,
        answer=["boat", "sledge", None],
        chunk_ids=[["a"], [], None],
    )
    assert found == [1.0, 0.0, None]


async def test_a_column_that_is_no_list_of_rows_is_left_alone() -> None:
    seen: list[Trace] = []
    reward = as_trl_reward(lambda trace: seen.append(trace) or 1.0, name="look")
    await call(reward, [said("a"), said("b")], answer=["x", "y"], shared="one text", few=[1])
    assert [trace.question.metadata for trace in seen if trace.question] == [{}, {}]


async def test_plain_texts_are_understood() -> None:
    reward = as_trl_reward(RULES)
    found = await reward(
        prompts=["Where was the rope?"] * 2,
        completions=["the boat", "no idea"],
        answer=["boat"] * 2,
    )
    assert found == [1.0, 0.0]


async def test_a_trace_in_a_column_counts_and_not_what_is_said_to_be_the_completion() -> None:
    """TRL shows the rollout function's tool results as if the model had written them."""
    trace = Trace(id="q/0", messages=[], final_answer="In the tent.")
    found = await call(
        as_trl_reward(answer_length), [said("[1] It was in the boat. In the tent.")], trace=[trace]
    )
    assert found == [12.0]


async def test_a_rollout_that_was_broken_off_has_no_reward() -> None:
    trace = Trace(id="q/0", messages=[], final_answer="x", stop_reason=StopReason.DEADLINE)
    assert await call(as_trl_reward(lambda trace: 1.0, name="one"), [said("x")], trace=[trace]) == [
        None
    ]


async def test_a_row_that_is_no_chat_has_no_reward(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = await call(as_trl_reward(answer_length), [said("boat"), None, [{"role": "?"}]])
    assert found == [4.0, None, None]
    assert "must be text or a list of messages" in caplog.text


async def test_a_function_that_raises_gives_no_number() -> None:
    def fragile(trace: Trace) -> float:
        return 1 / len(trace.final_answer or "")

    assert await call(as_trl_reward(fragile), [said(""), said("ab")]) == [None, 0.5]


async def test_an_empty_batch_is_answered_with_an_empty_list() -> None:
    assert await call(as_trl_reward(answer_length), []) == []


async def test_parts_and_reasons_are_logged() -> None:
    columns: dict[str, list[Any]] = defaultdict(list)
    metrics: dict[str, float] = {}
    found = await call(
        as_trl_reward(PARTS, name="quality"),
        [said("The boat."), said("The sledge."), said("x")],
        answer=["boat", "boat", None],
        log_extra=lambda name, values: columns[name].extend(values),
        log_metric=metrics.__setitem__,
    )
    assert found == [1.5, 0.5, None]
    assert columns["quality/correctness"] == [1.0, 0.0, None]
    assert columns["quality/format"] == [1.0, 1.0, 1.0]
    assert "no reference" in columns["quality/reason"][2]
    assert metrics["quality/unscored"] == pytest.approx(1 / 3)
    assert metrics["quality/correctness/mean"] == 0.5
    assert metrics["quality/format/mean"] == 1.0


async def test_a_reward_object_is_asked_as_it_is() -> None:
    class Fixed:
        name, low, high, identity = "fixed", 0.0, 1.0, "fixed"

        async def score(self, trace: Trace) -> Score:
            return scored(0.25, "always")

        async def close(self) -> None: ...

    reward = as_trl_reward(Fixed())
    assert reward.__name__ == "fixed"
    assert await call(reward, [said("x")]) == [0.25]


async def test_an_engine_that_can_answer_nothing_ends_the_training() -> None:
    def unusable(trace: Trace) -> float:
        raise EngineUnusableError("the key is wrong")

    with pytest.raises(EngineUnusableError, match="the key is wrong"):
        await call(as_trl_reward(unusable), [said("x")])


def test_it_works_in_several_loops_and_threads() -> None:
    reward = as_trl_reward(RULES)
    for _ in range(2):
        assert asyncio.run(call(reward, [said("boat")], answer=["boat"])) == [1.0]


# What has no value


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a version of TRL be installed."""

    def install(version: str) -> None:
        info = tmp_path / f"trl-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: trl\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


@pytest.mark.parametrize("version", ["0.29.0", "1.5.1", "1.5.0.dev0"])
async def test_a_TRL_that_makes_None_a_0_needs_a_choice(
    version: str, installed: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    installed(version)
    with pytest.raises(UsageError, match=rf"TRL {version} trains on 0.*update to TRL 1\.6"):
        as_trl_reward(RULES)
    assert caplog.text == ""
    accepted = as_trl_reward(RULES, when_unscored="null")
    assert f"TRL {version} trains on 0" in caplog.text
    assert await call(accepted, [said("boat")], answer=[None]) == [None]
    assert as_trl_reward(RULES, when_unscored="error").__name__ == "total"
    assert as_trl_reward(RULES, when_unscored=-1).__name__ == "total"


@pytest.mark.parametrize("version", ["1.6.0", "1.16.0", "2.0.0rc1"])
def test_a_TRL_that_leaves_None_out_needs_none(
    version: str, installed: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    installed(version)
    assert as_trl_reward(RULES).__name__ == "total"
    assert caplog.text == ""


async def test_a_chosen_number_stands_for_what_has_no_value_and_the_metric_counts_it() -> None:
    metrics: dict[str, float] = {}
    reward = as_trl_reward(RULES, when_unscored=-0.5)
    found = await call(
        reward,
        [said("boat"), said("boat")],
        answer=["boat", None],
        log_metric=metrics.__setitem__,
    )
    assert found == [1.0, -0.5]
    assert metrics["total/unscored"] == 0.5
    with pytest.raises(UsageError, match="TRL cannot carry group-mean"):
        as_trl_reward(RULES, when_unscored="group-mean")


async def test_error_ends_the_training() -> None:
    reward = as_trl_reward(RULES, when_unscored="error")
    assert await call(reward, [said("boat")], answer=["boat"]) == [1.0]
    with pytest.raises(UnscoredError, match="1 of 2 rows have no value"):
        await call(reward, [said("boat")] * 2, answer=["boat", None])


class Rewarding:
    """An environment that rewards by itself."""

    def get_reward(self) -> float:
        return 1.0


async def test_a_None_beside_a_reward_of_the_environment_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reward = as_trl_reward(RULES)
    await call(reward, [said("boat")], answer=[None], environments=[object()])
    await call(reward, [said("boat")], answer=["boat"], environments=[Rewarding()])
    assert "counts as 0" not in caplog.text
    found = await call(reward, [said("boat")], answer=[None], environments=[Rewarding()])
    assert found == [None]
    assert "1 of 1 rows have no value: TRL adds total" in caplog.text


async def test_a_row_that_takes_too_long_costs_no_other_its_reward() -> None:
    async def slow(trace: Trace) -> float:
        if trace.final_answer == "wait":
            await asyncio.Event().wait()
        return 1.0

    found = await call(as_trl_reward(slow, deadline=0.2), [said("wait"), said("boat")])
    assert found == [None, 1.0]
