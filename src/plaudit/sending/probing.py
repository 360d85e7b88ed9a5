"""One endpoint: what it bears, and whether it works although a request to it failed.

A request can fail for what it says: a firewall dislikes a word, a parser of the server dies of it.
So before an endpoint counts as down, or as one that rejects everything, it is probed: with the
cheapest request of the same kind that it answered before, or, while it has answered none, with
harmless text. The reply to a probe is evidence and nothing else.
"""

import asyncio
import math
import time
from typing import Protocol

from msgspec.structs import replace

from plaudit._util.aio import Deadlines
from plaudit.engines.base import Completion, Engine, Request, RequestKind, engine_info
from plaudit.engines.http.errors import Rejected, Unreachable
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError
from plaudit.sending.throttle import OVERLOAD, Throttle
from plaudit.types import Message, Usage

_TEXT = "Hello."
_TOKENS = 16
"""Most tokens of the reply to a harmless text."""
_MOST_SPARED = 32
"""Most rejections that are taken for the requests' own after one probe that worked."""


def harmless(request: Request) -> Request:
    """Return a request of the same kind with a text that nothing can object to."""
    sampling = request.sampling
    return replace(
        request,
        prompt=_TEXT if isinstance(request.prompt, str) else (Message("user", _TEXT),),
        prompt_ids=(),
        sampling=replace(sampling, max_tokens=min(sampling.max_tokens, _TOKENS)),
        shared=0,
        affinity="",
        draw=0,
        sample_id="",
        turn="probe",
    )


class _Shown:
    """What an endpoint has shown for one kind of request."""

    def __init__(self) -> None:
        self.answered_at = -math.inf
        self.good: Request | None = None
        """The cheapest request that worked."""
        self.tokens = math.inf
        """What it took."""


class Evidence:
    """What one endpoint has shown so far. Times are those at which requests were sent."""

    def __init__(self) -> None:
        self.probing = asyncio.Lock()
        """Held while a probe is under way; nothing else is sent meanwhile."""
        self.doubted = False
        """Whether the endpoint seems to be down, and no probe has confirmed it yet."""
        self.answered_at = -math.inf
        """Of the latest request that got an answer."""
        self._rejected_at = -math.inf
        self._kinds: dict[RequestKind, _Shown] = {}
        self._trust = self._spare = 0
        """Rejections taken for the requests' own since the last probe that worked: most, left."""

    def answered(self, request: Request, sent: float) -> _Shown:
        """Take an answer, whatever it says; return what is known of such requests."""
        self.answered_at = max(self.answered_at, sent)
        shown = self._shown(request)
        shown.answered_at = max(shown.answered_at, sent)
        return shown

    def completed(self, request: Request, sent: float, usage: Usage) -> None:
        """Take a completion; the cheapest request of each kind is kept."""
        shown = self.answered(request, sent)
        tokens = usage.input_tokens + usage.output_tokens
        if tokens < shown.tokens:
            shown.good, shown.tokens = request, tokens

    def probe(self, request: Request) -> Request:
        """Return a request of the same kind that worked before, or a harmless one."""
        return self._shown(request).good or harmless(request)

    def blames(self, request: Request, sent: float) -> bool | None:
        """Return whether a rejection is about this request alone; None: only a probe can show that.

        The first rejection calls for a probe in any case. An endpoint that was seen to reject
        single requests is not probed for each further one.
        """
        if self._trust and self._shown(request).answered_at >= sent:
            return True
        if self._rejected_at >= sent:
            return False
        if not self._spare:
            return None
        self._spare -= 1
        return True

    def _shown(self, request: Request) -> _Shown:
        kind = request.kind
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _Shown()
        return known

    def cleared(self) -> None:
        """A probe worked: the rejection before it was about its request."""
        self._trust = self._spare = min(_MOST_SPARED, 2 * self._trust or 1)

    def confirmed(self, sent: float) -> None:
        """A probe was rejected too."""
        self._rejected_at = max(self._rejected_at, sent)
        self._trust = self._spare = 0


class Meter(Protocol):
    """Counts attempts."""

    sent: int
    """Attempts so far, retries and probes included."""


class Endpoint:
    """An engine, what it bears, and what it has shown."""

    def __init__(self, engine: Engine, most: int, *, start: int | None, timeout: float) -> None:
        """Begin careful; nothing is contacted.

        Args:
            engine: which is asked.
            most: requests in flight that are never exceeded.
            start: requests in flight to begin with; None: 10.
            timeout: seconds that a request may take, where it crosses a network.
        """
        able = engine.capabilities
        self.engine = engine
        self.name = engine_info(engine).base_url or engine.uri
        self.remote = able.remote
        most = min(able.concurrency or most, most)
        self.throttle = Throttle(most, start=start, fixed=not able.remote)
        self.evidence = Evidence()
        self._held_since = math.inf
        self._timeout = timeout
        self._deadlines = Deadlines(timeout) if able.remote else None

    @property
    def free(self) -> bool:
        """Whether a request may be sent now."""
        return self.throttle.free and not self.evidence.probing.locked()

    @property
    def down(self) -> bool:
        """Whether nothing but probes is sent to it."""
        return self.throttle.breaker.down_since is not None

    def answered(self, request: Request, sent: float, usage: Usage | None = None) -> None:
        """Take an answer, whatever it says; of a completion, with its usage."""
        self.throttle.answered(sent)
        if usage is None:
            self.evidence.answered(request, sent)
        else:
            self.evidence.completed(request, sent, usage)
        if sent >= self._held_since:  # What the server asked of one request, it does not of all.
            self._held_since = math.inf
            self.throttle.release()

    def hold(self, until: float, refusal: CallError, sent: float) -> None:
        """Send nothing before a time, unless what was sent after this request is answered."""
        self._held_since = min(sent, self._held_since)
        self.throttle.hold(until, refusal)

    def lost(self, outage: float) -> str:
        """Return why nothing is to be expected of it for so many seconds; empty: something is."""
        throttle, now = self.throttle, time.monotonic()
        held = throttle.pace.hold_until - now
        if held > outage and not throttle.in_flight:
            return f"{throttle.refusal}; it asks to wait {held:.0f} s"
        since = throttle.breaker.down_since
        if since is None or self.evidence.doubted or now - since < outage:
            return ""
        return f"no sign of life for {outage:g} s; the last failure: {throttle.breaker.reason}"

    async def send(self, request: Request, meter: Meter) -> Completion:
        """Send a request once. A time-out and an outage are failed calls; see `Engine.complete`."""
        meter.sent += 1
        try:
            if self._deadlines is None:
                return await self.engine.complete(request)
            return await self._deadlines.limit(self.engine.complete(request))
        except TimeoutError:
            limit = f" within {self._timeout:g} s" if self.remote else ""
            raise CallError(Cause.TIMEOUT, f"no reply{limit}", retryable=True) from None
        except EngineUnusableError as problem:
            if not problem.outage:
                raise
            raise Unreachable(Cause.CONNECTION, str(problem), retryable=True) from None

    async def probe(self, request: Request, meter: Meter) -> CallError | Rejected | None:
        """Ask what is known to work; return how that failed, None where it worked.

        Args:
            request: what failed here, or waits for the endpoint.
            meter: counts the probe.
        """
        throttle, evidence = self.throttle, self.evidence
        probe, started = evidence.probe(request), throttle.start()
        try:
            await self.send(probe, meter)
        except CallError as error:
            throttle.failed(started, error, unreachable=isinstance(error, Unreachable))
            if error.cause in OVERLOAD or error.cause is Cause.RATE_LIMITED:
                return error
            evidence.answered(probe, started)
        except Rejected as rejection:
            throttle.dropped()
            evidence.confirmed(started)
            return rejection
        except ReplyError:
            self.answered(probe, started)
        except BaseException:
            throttle.dropped()
            raise
        else:
            self.answered(probe, started)
        return None

    async def blames(self, request: Request, meter: Meter) -> bool | None:
        """Return, by a probe, whether the endpoint rejects this request alone; None: it failed."""
        probed = await self.probe(request, meter)
        if isinstance(probed, CallError):
            return None
        if probed is None:
            self.evidence.cleared()
        return probed is None
