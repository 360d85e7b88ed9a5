"""What scores rows: a specification of rewards, a judge, or a judge that compares a group."""

import copy
import math
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from plaudit._util.aio import together
from plaudit.errors import Cause, InputError, PlauditError
from plaudit.judge import Judge
from plaudit.preferences.strengths import Contest, bradley_terry
from plaudit.rewarding.rows import (
    Row,
    ScoredRow,
    chat_of,
    rejected_row,
    row_for_judge,
    row_id,
    row_of_score,
    row_of_verdict,
    trace_of_row,
)
from plaudit.rollouts.rewards.base import ImmediateReward, Reward, broken_off
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.correctness import Correctness
from plaudit.types import Verdict

T = TypeVar("T")

_NO_OUTCOME: tuple[type[PlauditError], ...] = ()
_DIGITS = 9


class Scorer(Protocol):
    """Scores rows, one answer a row in their order. Its values lie in `low`..`high`."""

    @property
    def low(self) -> float:
        """The least value; -inf where it is not known."""
        ...

    @property
    def high(self) -> float:
        """The greatest value; inf where it is not known."""
        ...

    @property
    def judges(self) -> Sequence[Judge]:
        """The judges that it asks."""
        ...

    @property
    def keeps_replies(self) -> bool:
        """Whether a row that was scored gets the same answer again, from a store."""
        ...

    def score_now(self, row: Row) -> ScoredRow | None:
        """Score a row in a running event loop; None where it has to wait for something."""
        ...

    async def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score rows. Never raises for what a row holds.

        Raises:
            EngineUnusableError: a judge is asked, and its engine can answer nothing.
        """
        ...

    def unstored(self) -> "Scorer":
        """Return a scorer of the same engines that neither reads nor keeps replies."""
        ...

    async def close(self) -> None:
        """Write what is not written yet, and free what was taken."""
        ...


class RewardScorer:
    """Scores each row by a reward, such as a specification of rewards, as `plaudit score` does."""

    keeps_replies = False

    def __init__(self, reward: Reward) -> None:
        """Take a reward; nothing is asked."""
        self.reward = reward
        self.low, self.high = reward.low, reward.high
        whole = isinstance(reward, Composite)
        self._fingerprint = f"rewards/{reward.fingerprint[:12]}" if whole else ""
        self._immediate = reward if isinstance(reward, ImmediateReward) else None

    @property
    def parts(self) -> Sequence[Reward]:
        """The rewards that it is made of."""
        reward = self.reward
        return [p.reward for p in reward.parts] if isinstance(reward, Composite) else [reward]

    def score_now(self, row: Row) -> ScoredRow | None:
        """Score a row where nothing has to be waited for; see `Scorer`."""
        if self._immediate is None:
            return None
        try:
            trace = trace_of_row(row)
        except InputError as error:
            return rejected_row(row, error)
        score = broken_off(trace) or self._immediate.score_now(trace)
        return None if score is None else row_of_score(row, score, self._fingerprint)

    @property
    def judges(self) -> Sequence[Judge]:
        """The judges that parts of it ask."""
        return [one.judge for one in self.parts if isinstance(one, Correctness)]

    async def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score rows, each for itself; see `Scorer`."""
        return await _all(self._one(row) for row in rows)

    def unstored(self) -> "RewardScorer":
        """Return the same without a store; see `Scorer`."""
        return RewardScorer(_unstored(self.reward))

    async def close(self) -> None:
        """Free what the reward took."""
        await self.reward.close()

    async def _one(self, row: Row) -> ScoredRow:
        try:
            trace = trace_of_row(row)
        except InputError as error:
            return rejected_row(row, error)
        score = broken_off(trace) or await self.reward.score(trace)
        return row_of_score(row, score, self._fingerprint)


class JudgeScorer:
    """Scores each row by a judge; the value is the verdict's reward."""

    low, high = -math.inf, math.inf

    def __init__(self, judge: Judge) -> None:
        """Take a judge; nothing is asked."""
        self.judge = judge
        self._kind = judge.config.kind
        self.keeps_replies = judge.keeps_replies

    def score_now(self, row: Row) -> ScoredRow | None:
        """Return None: the judge may ask its engine, or look into its store."""
        del row

    @property
    def judges(self) -> Sequence[Judge]:
        """The judge."""
        return [self.judge]

    async def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score rows, each for itself; see `Scorer`."""
        return await _all(self._one(row) for row in rows)

    def unstored(self) -> "JudgeScorer":
        """Return the same without a store; see `Scorer`."""
        return JudgeScorer(_judge_without_store(self.judge))

    async def close(self) -> None:
        """Write replies that are not written yet, and free the engine."""
        await self.judge.aclose()

    async def _one(self, row: Row) -> ScoredRow:
        try:
            verdict = await self.judge.ajudge(row_for_judge(self._kind, row))
        except InputError as error:
            return rejected_row(row, error)
        return row_of_verdict(row, verdict)


def _unstored(reward: Reward) -> Reward:
    """Return a reward whose judges keep no replies; one without a judge is returned as it is."""
    if isinstance(reward, Composite):
        parts = [replace(part, reward=_unstored(part.reward)) for part in reward.parts]
        return Composite(parts, reward.combine)
    if not isinstance(reward, Correctness):
        return reward
    made = copy.copy(reward)
    made.judge = _judge_without_store(reward.judge)
    return made


def _judge_without_store(judge: Judge) -> Judge:
    made = copy.copy(judge)
    made.runtimes = judge.runtimes.unstored()
    return made


class _Compared(NamedTuple):
    """A comparison of two members, by their numbers."""

    first: int
    second: int
    verdict: Verdict


class GroupScorer:
    """Scores the responses to one prompt against each other: a round robin of a pairwise judge.

    The value is the logarithm of a response's strength (`bradley_terry`), so values compare within
    the group alone. A comparison that could not be made is left out, never a tie.
    """

    low, high = -math.inf, math.inf

    def __init__(self, judge: Judge) -> None:
        """Take a pairwise judge; nothing is asked."""
        self._judge = judge
        self.keeps_replies = judge.keeps_replies

    def score_now(self, row: Row) -> ScoredRow | None:
        """Return None: a row alone cannot be compared."""
        del row

    @property
    def judges(self) -> Sequence[Judge]:
        """The judge."""
        return [self._judge]

    async def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        """Score the members of one group; see `Scorer`."""
        chats = [_chat(row) for row in rows]
        usable = [number for number, chat in enumerate(chats) if isinstance(chat, list)]
        usable.sort(key=lambda number: row_id(rows[number]))  # Not the order of arrival.
        pairs = list(combinations(usable, 2))
        compared = await _all(self._compare(rows, chats, *pair) for pair in pairs)
        contests: list[Contest] = [
            (one.first, one.second, one.verdict.fields["p_a"])
            for one in compared
            if one.verdict.status == "ok"
        ]
        strengths = bradley_terry(len(rows), contests)
        return [
            rejected_row(row, chat)
            if isinstance(chat, InputError)
            else _member(row, number, strengths[number], compared)
            for number, (row, chat) in enumerate(zip(rows, chats, strict=True))
        ]

    def unstored(self) -> "GroupScorer":
        """Return the same without a store; see `Scorer`."""
        return GroupScorer(_judge_without_store(self._judge))

    async def close(self) -> None:
        """Do nothing: the judge's own scorer closes it."""

    async def _compare(
        self, rows: Sequence[Row], chats: Sequence[Any], first: int, second: int
    ) -> _Compared:
        pair = {
            "id": f"{row_id(rows[first])}|{row_id(rows[second])}",
            "conversation_A": chats[first],
            "conversation_B": chats[second],
        }
        return _Compared(first, second, await self._judge.ajudge(pair))


def _chat(row: Row) -> list[Any] | InputError:
    try:
        return chat_of(row)
    except (InputError, KeyError) as error:
        return error if isinstance(error, InputError) else InputError("the row has no 'completion'")


def _member(
    row: Row, number: int, strength: float | None, compared: Sequence[_Compared]
) -> ScoredRow:
    """Return the answer to a member of a group."""
    own = [one for one in compared if number in (one.first, one.second)]
    shares = [_share(one, number) for one in own if one.verdict.status == "ok"]
    scored = strength is not None and bool(shares)
    lost = Counter(one.verdict.error.cause for one in own if one.verdict.error is not None)
    cause = lost.most_common(1)[0][0] if lost else Cause.UNDECIDED
    return ScoredRow(
        value=strength if scored else None,
        status="ok" if scored else _worst(own),
        cause=None if scored else cause,
        components={
            "win_share": round(math.fsum(shares) / len(shares), _DIGITS) if shares else None,
            "compared": float(len(shares)),
        },
        fingerprint=own[0].verdict.judge if own else "",
        id=row_id(row),
        reason="" if scored else f"{len(shares)} of {len(own)} comparisons could be made",
    )


def _share(one: _Compared, number: int) -> float:
    p_a: float = one.verdict.fields["p_a"]
    return p_a if number == one.first else 1 - p_a


def _worst(own: Iterable[_Compared]) -> Any:
    """Return the status of a member without a value: failed where a comparison failed."""
    found = {one.verdict.status for one in own}
    return next((one for one in ("failed", "invalid") if one in found), "abstained")


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await several coroutines at once; none gives an empty list."""
    given = list(work)
    return list(await together(given, _NO_OUTCOME)) if given else []  # pyright: ignore[reportReturnType]
