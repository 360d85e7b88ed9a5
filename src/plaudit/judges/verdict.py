"""From the replies about one sample to its verdict: transcript, reading, calibration, gate."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from plaudit._util.aio import together
from plaudit.engines.base import Completion, Request
from plaudit.errors import CallError, Cause, ReplyError
from plaudit.scoring.calibration import Calibration, Platt
from plaudit.types import Failure, Json, Sample, Usage, Value, Verdict

R = TypeVar("R")

Ask = Callable[[Request], Awaitable[Completion]]
"""Gets a completion for a request, from a cache or an engine; raises CallError or ReplyError."""

Part = Callable[["Transcript"], Coroutine[Any, Any, R]]
"""One of several things to do for a sample, with a transcript of its own."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a judge about one sample, before calibration and gate."""

    value: Value
    reward: float
    confidence: float | None = None
    """Probability of being right, 0..1; None: the judge states none."""
    probabilities: dict[str, float] | None = None
    """Probability of each option, by label, where they are known."""
    fields: dict[str, Json] = {}
    """Further fields of the verdict; the verdict adds to this dict."""
    abstain: Failure | None = None
    """Set when the answer itself says that nothing must be learned from it."""


class Transcript:
    """Requests and replies of one sample.

    Attributes:
        replies: texts, in the order of the requests.
        usage: tokens of all replies.
        asked: number of requests.
    """

    def __init__(self, ask: Ask) -> None:
        """Begin an empty transcript."""
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
        """Do several parts, at once where that is faster; return the result or error of each.

        Results and transcript do not depend on which part ends first: all parts are done, even
        where one raises, and are noted in their order.

        Args:
            parts: what is to be done.
            requests: the requests of the parts, as far as they are known.
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
    """Return the results of parts.

    Raises:
        CallError: the first error is one.
        ReplyError: the first error is one.
    """
    made: list[R] = []
    for outcome in outcomes:
        if isinstance(outcome, CallError | ReplyError):
            raise outcome
        made.append(outcome)
    return made


class VerdictMaker:
    """Makes the verdicts of one judge.

    Attributes:
        calibration: maps raw confidence to the measured chance of being right; None: no map.
    """

    def __init__(
        self,
        judge: str,
        gate: float | None,
        calibration: Calibration | Platt | None,
        row_of: Callable[[Any], dict[str, Json]],
    ) -> None:
        """Prepare.

        Args:
            judge: `kind/fingerprint` of the judge.
            gate: least confidence of an `ok` verdict; None: no gate.
            calibration: see above.
            row_of: returns a sample as an input row.
        """
        self._judge = judge
        self._gate = gate
        self.calibration = calibration
        self._row_of = row_of

    def made(self, sample: Sample, reading: Reading, usage: Usage, replies: list[str]) -> Verdict:
        """Return the verdict of a reading: `ok`, or `abstained` where the gate says so."""
        confidence, fields = reading.confidence, reading.fields
        if confidence is not None:
            fields["raw_confidence"] = confidence
            if self.calibration is not None:
                confidence = self.calibration.apply(confidence)
        abstain = reading.abstain
        if abstain is None and self._gate is not None and confidence is not None:
            abstain = below(confidence, self._gate)
        return Verdict(
            index=sample.index,
            id=sample.id,
            status="abstained" if abstain else "ok",
            value=reading.value,
            reward=None if abstain else reading.reward,
            confidence=confidence,
            probabilities=reading.probabilities,
            fields=fields,
            usage=usage,
            judge=self._judge,
            error=abstain,
            metadata=sample.metadata,
            input=self._row_of(sample),
            raw=replies,
        )

    def unmade(
        self,
        sample: Sample,
        status: Literal["failed", "invalid", "abstained"],
        reported: Transcript,
        why: Failure,
    ) -> Verdict:
        """Return the verdict of a judgement that could not be made: a cause, and no number."""
        return Verdict(
            index=sample.index,
            id=sample.id,
            status=status,
            usage=reported.usage,
            judge=self._judge,
            error=why,
            metadata=sample.metadata,
            input=self._row_of(sample),
            raw=reported.replies,
        )


def below(confidence: float, gate: float) -> Failure | None:
    """Return why a confidence does not pass the gate; None where it does."""
    if confidence >= gate:
        return None
    shown, under = _apart_as_text(confidence, gate)
    return Failure(Cause.BELOW_GATE, f"confidence {shown} is under the gate of {under}")


def _apart_as_text(confidence: float, gate: float) -> tuple[str, str]:
    """Return both as text, with as many digits as it takes to see that one is the smaller."""
    for digits in range(3, 17):
        shown, under = f"{confidence:.{digits}f}", f"{gate:.{max(digits, 6)}g}"
        if float(shown) < float(under):
            return shown, under
    return repr(confidence), repr(gate)
