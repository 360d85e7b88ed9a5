"""The endpoints of one engine: what each has shown, and which of them takes a request.

A request can fail for what it says: a firewall dislikes a word, a parser of the server dies of it.
So before an endpoint counts as down, or as one that rejects everything, it is probed: with the
cheapest request of the same kind that it answered before, or, while it has answered none, with
harmless text. The reply to a probe is evidence and nothing else.

Requests wait in one queue, first come first served, until the throttle of an endpoint lets them in.
A waiting request holds no slot.
"""

import asyncio
import math
import time
import zlib
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

from msgspec.structs import replace

from plaudit._util.aio import Deadlines
from plaudit.engines.base import Completion, Engine, Request, RequestKind, engine_info
from plaudit.engines.http.errors import Rejected, Unreachable
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError
from plaudit.sending.leases import Leased
from plaudit.sending.throttle import OVERLOAD, Throttle
from plaudit.types import Message, Usage

_TEXT = "Hello."
_TOKENS = 16
"""Most tokens of the reply to a harmless text."""
_MOST_SPARED = 32
"""Most rejections that are taken for the requests' own after one probe that worked."""
_NEAR_ENOUGH = 1.5
"""An endpoint that knows a request's beginning may have this many times the work that the least
busy endpoint would have with one more request."""
_LEASED = 10
"""Fewest requests in flight that are wanted of a limit that several processes share."""
_LOOK_AGAIN_S = 1.0
_WORK = attrgetter("throttle.work")


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

    def answered(self, request: Request, sent: float, usage: Usage | None = None) -> None:
        """Take an answer, whatever it says; the cheapest completion of each kind is kept."""
        shown = self._shown(request)
        shown.answered_at = max(shown.answered_at, sent)
        self.answered_at = max(self.answered_at, sent)
        if usage is not None and usage.input_tokens + usage.output_tokens < shown.tokens:
            shown.good, shown.tokens = request, usage.input_tokens + usage.output_tokens

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
        self.evidence.answered(request, sent, usage)
        if sent >= self._held_since:  # What the server asked of one request, it does not of all.
            self._held_since = math.inf
            self.throttle.pace.hold_until = -math.inf

    def hold(self, until: float, refusal: CallError, sent: float) -> None:
        """Send nothing before a time, unless what was sent after this request is answered."""
        self._held_since = min(sent, self._held_since)
        self.throttle.refusal = refusal
        pace = self.throttle.pace
        pace.hold_until = max(pace.hold_until, until)

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


Ticket = tuple[Endpoint, float]
"""The endpoint that lets a request in, and the time of that."""


class Admission:
    """The queue of requests before several endpoints that serve one model.

    Attributes:
        endpoints: where requests go; none until the engine is open.
        waiting: requests that wait, and where their tickets go.
    """

    def __init__(self, outage: float) -> None:
        """Begin without endpoints.

        Args:
            outage: seconds without a sign of life from any endpoint after which all is given up.
        """
        self.endpoints: Sequence[Endpoint] = ()
        self.waiting: deque[tuple[Request, asyncio.Future[Ticket]]] = deque()
        self._outage = outage
        self._timer: asyncio.TimerHandle | None = None

    @property
    def down(self) -> bool:
        """Whether no endpoint answers, so that nothing but probes is sent."""
        return bool(self.endpoints) and all(endpoint.down for endpoint in self.endpoints)

    def leased(self) -> dict[str, Leased]:
        """Return those across a network for a limit that processes share, by URI and base URL."""
        remote = [one for one in self.endpoints if one.remote]
        return {f"{one.engine.uri} {one.name}": self._leased(one.throttle) for one in remote}

    def _leased(self, throttle: Throttle) -> Leased:
        def limit(most: int) -> None:
            throttle.lease = most
            if self.waiting:
                self.dispatch()

        def wanted() -> int:
            demand = max(_LEASED, throttle.in_flight + len(self.waiting))
            return min(int(throttle.concurrency.most), demand)

        return Leased(in_flight=lambda: throttle.in_flight, wanted=wanted, limit=limit)

    def admit(self, request: Request) -> Ticket | None:
        """Let a request in right now, if an endpoint takes it and none waits before it."""
        if self.waiting:
            return None
        endpoint = self._choose(request)
        return None if endpoint is None else (endpoint, endpoint.throttle.start())

    def _choose(self, request: Request) -> Endpoint | None:
        """Return the endpoint with the least outstanding work of those that take a request.

        Requests that begin alike keep to one endpoint, whose cache then holds that beginning,
        while it has not much more to do than the others.
        """
        endpoints = self.endpoints
        if len(endpoints) == 1:
            return endpoints[0] if endpoints[0].free else None
        free = [endpoint for endpoint in endpoints if endpoint.free]
        if len(free) < 2:
            return free[0] if free else None
        least = min(free, key=_WORK)
        if request.affinity:
            digest = zlib.crc32(request.affinity.encode(errors="replace"))
            near = endpoints[digest % len(endpoints)]
            spare = least.throttle.work + least.throttle.seconds
            if near in free and near.throttle.work <= _NEAR_ENOUGH * spare:
                return near
        return least

    async def wait(self, request: Request) -> Ticket:
        """Wait until an endpoint takes a request.

        Raises:
            EngineUnusableError: no endpoint can be expected to take any.
        """
        place: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self.waiting.append((request, place))
        self.dispatch()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                place.result()[0].throttle.dropped()  # It was let in, and is not coming.
                self.dispatch()
            raise

    def dispatch(self) -> None:
        """Let waiting requests in, first come first served; it is called again when more may go."""
        waiting = self.waiting
        while waiting:
            request, place = waiting[0]
            if not place.done():
                endpoint = self._choose(request)
                if endpoint is None:
                    break
                place.set_result((endpoint, endpoint.throttle.start()))
            waiting.popleft()
        if waiting:
            if end := self.end():
                self.give_up(end)
            self._set_timer()

    def _set_timer(self) -> None:
        """Dispatch again when the pace or the health of an endpoint allows it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready = [
            endpoint.throttle.ready_at()
            for endpoint in self.endpoints
            if not (endpoint.throttle.full or endpoint.evidence.probing.locked())
        ]
        if ready and self.waiting:
            delay = max(0.0, min(ready) - time.monotonic())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(delay, _LOOK_AGAIN_S), self.dispatch)

    def end(self) -> EngineUnusableError | None:
        """Return the error that ends everything, where nothing can be expected of any endpoint."""
        reasons = [endpoint.lost(self._outage) for endpoint in self.endpoints]
        if not all(reasons):
            return None
        return EngineUnusableError(
            f"{reasons[0]}. What was answered is kept: give the same command again once the "
            "server takes requests"
        )

    def give_up(self, error: EngineUnusableError) -> None:
        """Raise an error for all requests that wait."""
        while self.waiting:
            _, place = self.waiting.popleft()
            if not place.done():
                place.set_exception(error)
