"""A reward for the answers to one prompt, as trainers of groups hold it."""

import asyncio
from collections.abc import Sequence

from plaudit.rewarding.adapted import RowReward
from plaudit.rewarding.rows import Row, RowCause, ScoredRow, unscored_row
from plaudit.rewarding.scorers import GroupScorer, JudgeScorer
from plaudit.rewarding.unscored import UnscoredChoice, values


class GroupReward(RowReward):
    """A reward for the members of a group, as `RowReward` takes it.

    Each member is scored for itself; a pairwise judge compares every two of them instead, and the
    value is the logarithm of a member's strength, so it compares within the group alone.
    """

    groups = True

    async def ascore(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score the members of one group; see `RowReward.ascore`."""
        scorer = self.scorer
        if not isinstance(scorer, JudgeScorer) or scorer.judge.config.kind != "pairwise":
            return await super().ascore(rows)
        compared = GroupScorer(scorer.judge).score(rows)
        try:
            return await asyncio.wait_for(compared, self.deadline)
        except TimeoutError:
            why = "the group was not compared in time"
            return [unscored_row(row, RowCause.DEADLINE, why) for row in rows]


def values_of_group(rows: Sequence[ScoredRow], choice: UnscoredChoice) -> list[float | None]:
    """Return the values of a group's members; None: the peer's own mark.

    Raises:
        UnscoredError: `error` was chosen and a member has no value; or `group-mean`, and none has.
    """
    return values(rows, choice, whole_group=True)
