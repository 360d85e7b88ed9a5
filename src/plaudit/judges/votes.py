"""Votes: several judgements of one sample, drawn until they decide.

Votes are drawn in rounds. A round has the least number of votes that could decide, asked at once,
so no vote is wasted. The draws depend on the votes only, never on the order of the replies.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import chain
from typing import Any

from msgspec.structs import replace

from plaudit.engines.base import Request
from plaudit.errors import CallError, Cause, ReplyError
from plaudit.judges.verdict import Reading, Transcript
from plaudit.scoring.votes import VoteRule
from plaudit.types import Failure

JudgeOnce = Callable[[Sequence[Request], Transcript], Coroutine[Any, Any, Reading]]
"""Makes one whole judgement with the requests of one draw."""

Tally = Callable[[Sequence[Reading], Sequence[Reading]], Reading]
"""Makes one reading of all votes, and of the first vote for each outcome in the first place."""


def at_draw(requests: Sequence[Request], draw: int) -> list[Request]:
    """Return the requests of another draw: its number is in their key, and shifts their seed."""
    return [
        replace(
            request,
            draw=draw,
            sampling=request.sampling
            if request.sampling.seed is None
            else replace(request.sampling, seed=request.sampling.seed + draw),
        )
        for request in requests
    ]


class Voting:
    """Takes the votes on one sample after another."""

    def __init__(self, rule: VoteRule, tally: Tally) -> None:
        """Vote by a rule, with the judge's own way of making one reading of many."""
        self.rule = rule
        self._tally = tally

    def first_round(self, requests: Sequence[Request]) -> list[Request]:
        """Return what the first round asks, given what the first draw asks."""
        draws = self.rule.wanted((), 0) if requests else 0
        return [request for draw in range(draws) for request in _of_draw(requests, draw)]

    async def judge(
        self, requests: Sequence[Request], once: JudgeOnce, reported: Transcript
    ) -> Reading:
        """Vote until it is decided, or until no further votes could decide it.

        Args:
            requests: those of the first draw, or of the first round.
            once: makes one judgement.
            reported: notes replies in the order of the draws.

        Raises:
            CallError: a vote got no reply. The next run asks for that one again.
            ReplyError: so many votes were unusable that the others cannot decide.
        """
        votes: list[Reading] = []
        spoiled: list[ReplyError] = []
        drawn = 0
        while wanted := self.rule.wanted(_count(votes).values(), drawn):
            draws = range(drawn, drawn + wanted)
            drawn += wanted
            asked = [_of_draw(requests, draw) for draw in draws]
            parts = [partial(once, of_draw) for of_draw in asked]
            for outcome in await reported.do_all(parts, [*chain.from_iterable(asked)]):
                if isinstance(outcome, CallError):
                    raise outcome
                if isinstance(outcome, ReplyError):
                    spoiled.append(outcome)
                else:
                    votes.append(outcome)
        self._check_spoiled(votes, spoiled, drawn)
        return self._read(votes, len(spoiled), reported.asked)

    def _check_spoiled(
        self, votes: Sequence[Reading], spoiled: Sequence[ReplyError], drawn: int
    ) -> None:
        """Refuse to say anything where the unusable votes could have decided."""
        counts = _count(votes).values()
        if not spoiled or (not self.rule.every and self.rule.decides(counts)):
            return
        left = self.rule.votes - drawn + len(spoiled)
        if self.rule.every or self.rule.further(counts) <= left:
            raise ReplyError(
                spoiled[0].cause,
                f"{len(spoiled)} of {drawn} votes are unusable; the first: {spoiled[0]}",
            )

    def _read(self, votes: Sequence[Reading], spoiled: int, asked: int) -> Reading:
        counts = _count(votes)
        most = max(counts.values())
        winners = [
            next(vote for vote in votes if outcome_of(vote) == outcome)
            for outcome, count in counts.items()
            if count == most
        ]
        reading = self._tally(votes, winners)
        fields = reading.fields
        fields["votes"] = len(votes)
        fields["shares"] = {name: n / len(votes) for name, n in _ranked(counts)}
        if spoiled:
            fields["unusable_votes"] = spoiled
        return replace(
            reading,
            confidence=most / len(votes),
            fields=fields,
            abstain=self._undecided(counts, asked) or reading.abstain,
        )

    def _undecided(self, counts: Counter[str], asked: int) -> Failure | None:
        if self.rule.every:
            decided = list(counts.values()).count(max(counts.values())) == 1
        else:
            decided = self.rule.decides(counts.values())
        if decided:
            return None
        reported = ", ".join(f"{name} {n}" for name, n in _ranked(counts))
        why = "tie" if self.rule.every else f"do not decide at an error of {self.rule.error:g}"
        return Failure(Cause.UNDECIDED_VOTES, f"the votes {why}: {reported}", asked)


def outcome_of(vote: Reading) -> str:
    """Return what a vote is for: its value, or the reason for which it must not be learned from."""
    return str(vote.value) if vote.abstain is None else str(vote.abstain.cause)


def _count(votes: Sequence[Reading]) -> Counter[str]:
    return Counter(map(outcome_of, votes))


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _of_draw(requests: Sequence[Request], draw: int) -> Sequence[Request]:
    """Return the requests of a draw: the given ones, or ones made from the first draw's."""
    each = sum(request.draw == 0 for request in requests)
    return requests[draw * each : (draw + 1) * each] or at_draw(requests[:each], draw)
