"""ART: a reward for its trajectory groups, where `after_each` of its gathering calls it."""

import logging
from collections.abc import Sequence
from typing import Any

from plaudit.engines.base import Engine
from plaudit.rewarding.adapted import RewardSource
from plaudit.rewarding.chosen import metrics_of, take_choice
from plaudit.rewarding.grouped import GroupReward, values_of_group
from plaudit.rewarding.messages import as_message
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.rewarding.unscored import UnscoredError

_log = logging.getLogger(__name__)

_INDEPENDENT = "independent_reward"
"""ART's metric for the reward that a rollout gave itself."""


class ARTReward:
    """Scores a trajectory group; made by `as_art_reward`."""

    def __init__(
        self, adapted: GroupReward, *, when_unscored: str | float = "drop", minimum: int = 2
    ) -> None:
        """Take a reward; nothing is asked."""
        self.name = adapted.name
        self._reward = adapted
        allowed = ("drop", "error", "number", "group-mean")
        self._choice = take_choice("ART", allowed, when_unscored)
        self._minimum = minimum

    async def __call__(self, group: Any) -> Any:
        """Return the group with its rewards; None, which drops it, where too few have one.

        The group that is given stays as it is.

        Raises:
            UnscoredError: a trajectory has no value, and `error` was chosen.
            EngineUnusableError: a judge is asked, and its engine can answer nothing.
        """
        given: list[Any] = list(group.trajectories)
        scored = await self._reward.ascore(
            [row_of_trajectory(one, group.metadata) for one in given]
        )
        found = self._values(scored)
        kept = [
            self._rewarded(one, row, value)
            for one, row, value in zip(given, scored, found, strict=True)
            if value is not None
        ]
        if len(kept) < self._minimum:
            _log.warning("a group is dropped: %d of %d have a value", len(kept), len(given))
            return None
        return group.model_copy(
            update={
                "trajectories": kept,
                "metrics": {**group.metrics, f"{self.name}/unscored": _share(scored)},
                "logs": [*group.logs, *(_lost(row) for row in scored if row.value is None)],
            }
        )

    def _values(self, scored: Sequence[ScoredRow]) -> Sequence[float | None]:
        try:
            return values_of_group(scored, self._choice)
        except UnscoredError:
            if self._choice.word == "error":
                raise
            return [None] * len(scored)

    def _rewarded(self, trajectory: Any, row: ScoredRow, value: float) -> Any:
        metrics = {_INDEPENDENT: trajectory.reward} | trajectory.metrics
        logs = [*trajectory.logs, *([f"{self.name}: {row.reason}"] if row.reason else [])]
        return trajectory.model_copy(
            update={
                "reward": value,
                "metrics": metrics | metrics_of(self.name, row),
                "logs": logs,
            }
        )


def as_art_reward(
    reward: RewardSource | None = None,
    *,
    name: str | None = None,
    engine: str | Engine | None = None,
    deadline: float | None = None,
    when_unscored: str | float = "drop",
    minimum: int = 2,
) -> ARTReward:
    """Make what `gather_trajectory_groups(after_each=...)` of ART calls.

    ::

        groups = await art.gather_trajectory_groups(..., after_each=as_art_reward("rewards.toml"))

    A trajectory's columns are its metadata over that of the group, such as `answer`. Parts become
    metrics of the trajectory, reasons its logs; the reward that it came with is the metric
    `independent_reward`. Of `additional_histories` nothing is read.

    Args:
        reward: see `RewardSource`; a pairwise judge compares every two trajectories of a group;
            None: the default specification.
        name: of the metrics; None: the reward's own name, or that of the file.
        engine: asked by `correctness` about what is undecided, as a URI or an engine.
        deadline: seconds until every trajectory has an answer; ART itself waits for ever.
        when_unscored: for a trajectory without a value: `drop` leaves it out of the group, `error`
            ends the gathering, `group-mean` is the mean of the others; or a number.
        minimum: trajectories that must be left, else the whole group is dropped.

    Raises:
        UsageError: the specification or the choice cannot be used.
    """
    adapted = GroupReward(reward, name=name, engine=engine, deadline=deadline)
    return ARTReward(adapted, when_unscored=when_unscored, minimum=minimum)


def row_of_trajectory(trajectory: Any, metadata: dict[str, Any]) -> Row:
    """Return a trajectory of ART as a row.

    The first choice, which the model sampled, begins the completion. Messages of the assistant
    that are no choices were not sampled: they are left out. A trajectory without any has no
    completion, and so no value.
    """
    items: list[Any] = trajectory.messages_and_choices
    chosen = [hasattr(item, "message") for item in items]
    columns = {**metadata, **trajectory.metadata}
    if True not in chosen:
        return columns | {"prompt": [as_message(item) for item in items]}
    first = chosen.index(True)
    return columns | {
        "prompt": [as_message(item) for item in items[:first]],
        "completion": [
            message
            for item, own in zip(items[first:], chosen[first:], strict=True)
            if (message := as_message(item.message if own else item))["role"] != "assistant" or own
        ],
    }


def _share(scored: Sequence[ScoredRow]) -> float:
    return sum(row.value is None for row in scored) / max(1, len(scored))


def _lost(row: ScoredRow) -> str:
    return f"no value ({row.cause or row.status}): {row.reason}"
