"""A reward as adapters hold it: rows in, answers out, in any trainer's process."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from plaudit._util.loops import run_sync
from plaudit.engines.base import Engine
from plaudit.errors import ArgumentError, UsageError
from plaudit.judge import Judge
from plaudit.rewarding.remote import RemoteScorer, is_url
from plaudit.rewarding.rows import Row, RowCause, ScoredRow, unscored_row
from plaudit.rewarding.scorers import JudgeScorer, RewardScorer, Scorer
from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.functions import FunctionOptions, FunctionReward, RewardFunction
from plaudit.rollouts.rewards.spec import Spec, load_rewards

RewardSource = Reward | RewardFunction | Judge | Spec
"""A reward; a function from a trace to a number, None or a `Score`; a judge; the path of a
specification, or a dict of the same form; the URL of a reward that `plaudit serve` serves, such as
`http://127.0.0.1:8080/v1/score/NAME`."""


class RowReward:
    """A reward for rows: in process, or behind a reward server. Pickles with its arguments alone.

    Attributes:
        name: what it is called in a trainer's metrics.
        scorer: what scores the rows.
        deadline: seconds until every row has an answer; a row without one then has no value.
    """

    groups = False
    """Whether rows come as whole groups, which a pairwise judge needs."""

    def __init__(
        self,
        reward: RewardSource | None = None,
        *,
        name: str | None = None,
        engine: str | Engine | None = None,
        deadline: float | None = None,
    ) -> None:
        """Take a reward; nothing is asked.

        Args:
            reward: see `RewardSource`; None: the default specification.
            name: None: the reward's own name, or that of the file.
            engine: asked by `correctness` about what is undecided, as a URI or an engine; None: no
                model is asked.
            deadline: seconds, under the time-out of the trainer; None: rows are waited for, and
                those behind a server for `remote.PATIENCE_S`.

        Raises:
            UsageError: the specification cannot be used, the deadline is not above 0, or the judge
                compares answers while each row is scored for itself.
        """
        if deadline is not None and not deadline > 0:
            raise ArgumentError("deadline", "must be more than 0 seconds")
        self._arguments = (reward, name, engine, deadline)
        self.deadline = deadline
        self.scorer, own = _open(reward, name, engine)
        self.name = name or own
        if not self.groups and _compares(self.scorer):
            raise UsageError(
                "a pairwise judge compares the answers of a group, and this adapter scores each "
                "answer for itself: give a judge of one answer, such as Judge('pointwise')"
            )

    def __getstate__(self) -> tuple[Any, ...]:
        return self._arguments

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        reward, name, engine, deadline = state
        self.__init__(reward, name=name, engine=engine, deadline=deadline)

    async def ascore(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score rows; the answers come in their order. Never raises for what a row holds.

        Raises:
            EngineUnusableError: a judge is asked, and its engine can answer nothing.
        """
        if self.deadline is None or not rows:
            return await self.scorer.score(rows)
        if isinstance(self.scorer, RemoteScorer):
            return await self.scorer.score_within(rows, self.deadline)
        return await _score_within(self.scorer, rows, self.deadline)

    def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score rows from sync code, inside a running event loop too; see `ascore`."""
        return run_sync(self.ascore(rows))

    async def aclose(self) -> None:
        """Write replies that are not written yet, and free the engine."""
        await self.scorer.close()


def _open(
    given: RewardSource | None, name: str | None, engine: str | Engine | None
) -> tuple[Scorer, str]:
    """Return what scores, and its own name."""
    if isinstance(given, str) and is_url(given):
        scorer = RemoteScorer(given)
        return scorer, scorer.name
    if given is None or isinstance(given, str | Path | Mapping):
        rewards = load_rewards(cast("Spec | None", given), Grader(engine=engine))
        named = Path(given).stem if isinstance(given, str | Path) else rewards.name
        return RewardScorer(rewards), named
    if isinstance(given, Judge):
        return JudgeScorer(given), given.config.kind
    if hasattr(given, "score"):
        reward = cast("Reward", given)
        return RewardScorer(reward), reward.name
    function = cast("RewardFunction", given)
    called = name or getattr(function, "__name__", type(function).__name__)
    options = FunctionOptions(function=called)
    return RewardScorer(FunctionReward(called, function, options)), called


def _compares(scorer: Scorer) -> bool:
    return isinstance(scorer, JudgeScorer) and scorer.judge.config.kind == "pairwise"


async def _score_within(scorer: Scorer, rows: Sequence[Row], seconds: float) -> list[ScoredRow]:
    """Score rows each for itself, so that one that takes too long costs no other its answer."""
    tasks = [asyncio.ensure_future(scorer.score([row])) for row in rows]
    try:
        await asyncio.wait(tasks, timeout=seconds)
        return [_answer(task, row) for task, row in zip(tasks, rows, strict=True)]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _answer(task: "asyncio.Future[list[ScoredRow]]", row: Row) -> ScoredRow:
    if task.done():
        return task.result()[0]
    return unscored_row(row, RowCause.DEADLINE, "there was no answer in time")
