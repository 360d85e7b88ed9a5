"""Admission: which request is sent next, and to which endpoint.

Requests wait in one queue, first come first served, until the throttle of an endpoint and the
user's own limits in requests and tokens a minute let them in. A waiting request holds no slot.
"""

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Sequence

from aiolimiter import AsyncLimiter

from plaudit.engines.base import Request
from plaudit.errors import EngineUnusableError, UsageError
from plaudit.sending.probing import Endpoint
from plaudit.types import Usage

_NEAR_ENOUGH = 1.5
"""An endpoint that knows a request's beginning may have this many times the work that the least
busy endpoint would have with one more request."""
_LOOK_AGAIN_S = 1.0
_BURST = 0.1
"""Part of a minute's allowance that may be spent at once."""
_CHARACTERS_A_TOKEN = 4
_LEARNING = 0.05

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
        least = min(free, key=_work)
        if request.affinity:
            digest = zlib.crc32(request.affinity.encode(errors="replace"))
            near = endpoints[digest % len(endpoints)]
            spare = _work(least) + least.throttle.seconds
            if near in free and _work(near) <= _NEAR_ENOUGH * spare:
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


def _work(endpoint: Endpoint) -> float:
    return endpoint.throttle.work


class Quota:
    """Holds requests back so that no minute has more of them, or of tokens, than allowed.

    How many tokens a request takes is known only after its reply, so it is estimated from its
    length and corrected by what earlier ones took.
    """

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        """Set the limits, each a minute; None: no limit."""
        self._requests = None if requests is None else _limiter(requests)
        self._tokens = None if tokens is None else _limiter(tokens)
        self._ratio = 1.0

    @classmethod
    def of(cls, requests: int | None, tokens: int | None) -> "Quota | None":
        """Return a quota, or None where nothing is limited.

        Raises:
            UsageError: a limit allows nothing.
        """
        if min(limit for limit in (requests, tokens, 1) if limit is not None) < 1:
            raise UsageError("at least one request and one token a minute must be allowed")
        return None if requests is None and tokens is None else cls(requests, tokens)

    async def take(self, request: Request) -> None:
        """Wait until the request may be sent."""
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            amount = min(self._tokens.max_rate, _guess(request) * self._ratio)
            await self._tokens.acquire(amount)

    def used(self, request: Request, usage: Usage) -> None:
        """Learn what a request took."""
        total = usage.input_tokens + usage.output_tokens
        if self._tokens is not None and total:
            self._ratio += _LEARNING * (total / _guess(request) - self._ratio)


def _limiter(a_minute: int) -> AsyncLimiter:
    """Allow a burst, and so much less afterwards that no minute exceeds its allowance."""
    burst = _BURST * a_minute
    if burst <= 1:
        return AsyncLimiter(1, 60 / a_minute)
    return AsyncLimiter(burst, 60 * burst / (a_minute - burst))


def _guess(request: Request) -> float:
    prompt = request.prompt
    if isinstance(prompt, str):
        length = len(prompt)
    else:
        length = sum(len(str(message.content or "")) for message in prompt)
    return length / _CHARACTERS_A_TOKEN + request.sampling.max_tokens + 1
