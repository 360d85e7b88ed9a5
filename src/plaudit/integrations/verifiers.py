"""verifiers 0.4, and prime-rl through it: plaudit's rewards as reward functions of its tasks."""

from typing import Any, Protocol

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource, RowReward
from plaudit.rewarding.chosen import metrics_of, take_choice, value_of
from plaudit.rewarding.messages import split_at
from plaudit.rewarding.rows import Row

_OF_TASKS = frozenset(
    {
        "idx", "name", "description", "prompt", "system_prompt", "image", "workdir", "agent_user",
        "skills", "network_allow", "network_block", "artifacts", "artifact_max_bytes", "timeout",
        "resources",
    }
)  # fmt: skip
"""Fields of every task, which say nothing of the question."""


class VerifiersReward(Protocol):
    """A reward function as verifiers calls it."""

    __name__: str

    async def __call__(self, trace: Any) -> float:
        """Score a trace."""
        ...


def as_verifiers_reward(
    reward: RewardSource | None = None,
    *,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
    when_unscored: str | float = "error",
) -> VerifiersReward:
    """Make a reward function for the tasks of verifiers of a reward.

    ::

        quality = as_verifiers_reward("rewards.toml")  # in the module my_rewards

        [taskset.task.rewards.quality]
        fn = "my_rewards:quality"

    Its arguments are a trace's messages and the fields of the task's data, such as `answer`. The
    parts and `NAME/unscored` become metrics of the trace.

    Args:
        reward: see `RewardSource`; None: the default specification.
        name: of the metrics; None: the reward's own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds, under the `timeout.scoring` of the agent: what that ends counts as 0.
        when_unscored: for a trace without a value: `error` marks the trace with a `TaskError`, so
            that its reward stays null and trainers leave it out; or a number.

    Raises:
        UsageError: the specification or the choice cannot be used.
    """
    adapted = RowReward(reward, name=name, engine=engine, deadline=deadline)
    choice = take_choice("verifiers", ("error", "number"), when_unscored)

    async def score(trace: Any) -> float:
        (row,) = await adapted.ascore([row_of_trace(trace)])
        trace.record_metrics(metrics_of(adapted.name, row))
        value = value_of(row, choice)
        assert value is not None
        return value

    score.__name__ = score.__qualname__ = adapted.name
    return score


def row_of_trace(trace: Any) -> Row:
    """Return a trace of verifiers as a row.

    What the model sampled first begins the completion. Messages of the assistant that no model
    sampled are not the model's: they are left out of it. A trace in which nothing was sampled has
    no completion, and so no value. Of several branches the root agent's counts, else the last.
    """
    nodes = _nodes(trace)
    first = next((n for n, node in enumerate(nodes) if node.sampled), len(nodes))
    later = [node for node in nodes[first:] if node.sampled or node.message.role != "assistant"]
    chat = [node.message for node in (*nodes[:first], *later)]
    data: dict[str, Any] = trace.task.data.model_dump(mode="json", exclude_none=True)
    columns = {field: value for field, value in data.items() if field not in _OF_TASKS}
    row = columns | split_at(chat, first)
    if not row["completion"]:
        del row["completion"]
    return row


def _nodes(trace: Any) -> list[Any]:
    branches: list[Any] = trace.branches
    reply: str | None = trace.root_reply
    if reply is not None:
        ends = [(one.nodes[-1].message.content or "").strip() for one in branches]
        own = [one for one, end in zip(branches, ends, strict=True) if end == reply.strip()]
        branches = own or branches
    return branches[-1].nodes if branches else []
