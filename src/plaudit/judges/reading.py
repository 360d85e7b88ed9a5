"""What a judge said about one sample, and the record of what it was asked."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from plaudit._util.aio import together
from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, ReplyError
from plaudit.types import Failure, Json, Usage, Value

R = TypeVar("R")

Ask = Callable[[Request], Awaitable[Completion]]
"""Gets a completion for a request, from a cache or an engine; raises CallError or ReplyError."""

Part = Callable[["Transcript"], Coroutine[Any, Any, R]]
"""One of several things to do for a sample, with a transcript of its own."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge said about one sample, before gate and calibration."""

    value: Value
    reward: float
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    fields: dict[str, Json] = {}
    """Its own, to be added to."""
    abstain: Failure | None = None
    """Set when the answer itself says that it must not be learned from."""


class Transcript:
    """What was asked and answered for one sample."""

    def __init__(self, ask: Ask) -> None:
        """Begin one; nothing is asked yet."""
        self._ask = ask
        self.replies: list[str] = []
        self.usage = Usage()
        self.asked = 0

    async def ask(self, request: Request) -> Completion:
        """Ask, and note the reply and its tokens."""
        self.asked += 1
        completion = await self._ask(request)
        self.replies.append(completion.text)
        self.usage = completion.usage if self.asked == 1 else self.usage + completion.usage
        return completion

    async def do_all(
        self, parts: Sequence[Part[R]], requests: Sequence[Request]
    ) -> list[R | CallError | ReplyError]:
        """Do several parts, at once where that is faster; return what each gave or raised.

        What comes of it, and what is noted here, does not depend on which part was done first:
        all are done, whatever one of them raised, and noted in their order.

        Args:
            parts: what is to be done.
            requests: what they are going to ask, as far as that is known.
        """
        gains = getattr(self._ask, "gains_at_once", None)
        if gains is None or gains(requests):
            return await self._at_once(parts)
        outcomes: list[R | CallError | ReplyError] = []
        for part in parts:
            try:
                outcomes.append(await part(self))
            except (CallError, ReplyError) as outcome:
                outcomes.append(outcome)
        return outcomes

    async def _at_once(self, parts: Sequence[Part[R]]) -> list[R | CallError | ReplyError]:
        reported = [Transcript(self._ask) for _ in parts]
        doing = [part(own) for part, own in zip(parts, reported, strict=True)]
        try:
            return await together(doing, (CallError, ReplyError))
        finally:
            for own in reported:
                self.replies += own.replies
                self.usage += own.usage
                self.asked += own.asked


def all_made(outcomes: Sequence[R | CallError | ReplyError]) -> list[R]:
    """Return what parts gave; where some raised, raise what the first of them did."""
    made: list[R] = []
    for outcome in outcomes:
        if isinstance(outcome, CallError | ReplyError):
            raise outcome
        made.append(outcome)
    return made
