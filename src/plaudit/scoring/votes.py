"""Votes: when the most frequent answer of a judge is known, at a promised error.

The stopping rule is PPR-1v1 (Jain, Shah, Gupta, Mehta, Nair, Vora, Khyalia, Das, Ribeiro,
Kalyanakrishnan: "PAC Mode Estimation using PPR Martingale Confidence Sequences", AISTATS 2022),
on the prior-posterior-ratio martingale (Waudby-Smith & Ramdas, NeurIPS 2020). It differs in one
point. There the prior is uniform on 0..1; here it is uniform on the leader's side of 1/2, since
only an outcome in the lead is ever decided on (the one-sided beta-binomial mixture of Howard,
Ramdas, McAuliffe & Sekhon, Annals of Statistics 2021). That doubles the ratio and saves a vote or
two for the same promise.
"""

import math
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from plaudit.errors import UsageError

MOST_VOTES = 1000


class VoteRule(msgspec.Struct, frozen=True, kw_only=True):
    """How many votes are taken, and when they decide."""

    votes: int
    """Most votes a sample, 2..`MOST_VOTES`."""
    error: float
    """Chance, in 0..0.5, with which the outcome that is decided on is not the judge's mode."""
    outcomes: int
    """Outcomes that a vote can have, at least 2."""
    every: bool = False
    """Whether all votes are taken and the plurality counts."""

    def __post_init__(self) -> None:
        """Refuse what cannot decide.

        Raises:
            UsageError: a number is out of range, or so many votes can never decide.
        """
        if not 2 <= self.votes <= MOST_VOTES:
            raise UsageError(f"votes must be in 1..{MOST_VOTES}, not {self.votes}")
        if not 0 < self.error <= 0.5:
            raise UsageError(f"the vote error must be above 0 and at most 0.5, not {self.error:g}")
        least = self.further(())
        if least > self.votes and not self.every:
            raise UsageError(
                f"{self.votes} votes can never decide at an error of {self.error:g}, not even if "
                f"all are alike; allow more votes (10 to 20 are usual), a larger --vote-error, or "
                "take the plurality with --all-votes"
            )

    def decides(self, counts: Iterable[int]) -> bool:
        """Return whether the most frequent outcome is decided against every other one.

        Args:
            counts: votes by outcome; outcomes without one may be left out.
        """
        return self._reported(*_first_two(counts))

    def further(self, counts: Iterable[int]) -> int:
        """Return the fewest further votes that could decide, were they all for the leader.

        0 where it is decided; more than `votes` where no number up to that would do.
        """
        leader, rival = _first_two(counts)
        more = 0
        while more <= self.votes and not self._reported(leader + more, rival):
            more += 1
        return more

    def wanted(self, counts: Iterable[int], drawn: int) -> int:
        """Return how many votes to draw next, all at once; 0: no more.

        With fewer than that nothing can be decided, so drawing them at once wastes none.
        """
        left = self.votes - drawn
        if self.every:
            return left
        more = self.further(counts)
        return more if more <= left else 0

    def _reported(self, leader: int, rival: int) -> bool:
        # The mode loses only if it loses to one of the others: a union bound over outcomes - 1.
        return leader > rival and ratio(leader, rival) * self.error >= self.outcomes - 1


@lru_cache(65_536)
def ratio(leader: int, rival: int) -> float:
    """Return the prior-posterior ratio at 1/2 of the leader's share among two outcomes' votes.

    That is the density at 1/2 of a prior that is uniform on 1/2..1 over that of its posterior; as a
    likelihood ratio, the integral of 2 (2 p)^leader (2 - 2 p)^rival over p from 1/2 to 1. Were the
    leader no more likely than the rival, this would be a supermartingale that begins at 1 (a
    martingale where both are equally likely), so that it ever reaches 1/e has a chance of at most e
    (Ville's inequality), however often one looks.
    """
    both = leader + rival
    below = sum(math.comb(both + 1, wins) for wins in range(leader + 1))
    return below / ((both + 1) * math.comb(both, leader))


def _first_two(counts: Iterable[int]) -> tuple[int, int]:
    ranked = [*sorted(counts, reverse=True), 0, 0]
    return ranked[0], ranked[1]
