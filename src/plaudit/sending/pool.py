"""Sending requests: where, when and how often, with every attempt counted.

One request goes through three stages. It is *admitted* to an endpoint as soon as that endpoint's
throttle lets it; it is *sent*, with a time-out; and where that failed and may succeed another time,
it waits, holding no slot, and is admitted anew, to whichever endpoint is then the best.

Failures of single requests are theirs: an endpoint is given up only when a probe fails there too.
"""

import asyncio
import logging
import time
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_random_exponential

from plaudit._util.aio import Once
from plaudit._util.options import Option
from plaudit._util.ranges import SECONDS, WHOLE_64, Range, check_ranges
from plaudit.engines.base import Completion, Engine, Request
from plaudit.engines.http.errors import Rejected, Unreachable
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError, ReplyError
from plaudit.sending.probing import Endpoint, Meter
from plaudit.sending.quota import Quota

_NEAR_ENOUGH = 1.5
"""How much more work one may have that knows a request's beginning than the least busy endpoint
would have with one more request."""
_LOOK_AGAIN_S = 1.0
MOST_IN_FLIGHT = 10_000
"""Most requests in flight at an endpoint; each takes a connection and some memory."""
_SAY_WAIT_S = 10.0
"""Shortest wait that a server asks for which is logged."""

_LOG = logging.getLogger(__name__)


class SendPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are sent."""

    concurrency: Annotated[
        int,
        Range(1, MOST_IN_FLIGHT),
        Option("Most requests in flight at each endpoint; fewer while it slows down.", "Load"),
    ] = 100
    start: Annotated[int | None, Range(1, MOST_IN_FLIGHT)] = None
    """Requests in flight to begin with; more as replies come. None: 10."""
    timeout: Annotated[
        float,
        Range(0, SECONDS, above=True),
        Option("Seconds that a request may take.", "Load", "S"),
    ] = 60.0
    """Engines in this process have no time-out."""
    attempts: Annotated[
        int, Range(1, 10_000), Option("Most times that a request is sent.", "Load")
    ] = 6
    """Also one more than the retries of a sample in all."""
    backoff: Annotated[float, Range(0, SECONDS)] = 0.5
    """Seconds before the first retry, at most; doubles with each further one."""
    max_backoff: Annotated[float, Range(0, SECONDS)] = 20.0
    """Most seconds between two attempts, unless the server asks for more."""
    outage: Annotated[
        float,
        Range(0, SECONDS),
        Option("Seconds without any answer after which the run ends.", "Load", "S"),
    ] = 300.0
    """Also the most seconds that all endpoints may ask to wait."""
    requests_per_minute: Annotated[
        int | None, Range(1, WHOLE_64), Option("Most requests a minute.", "Load", rare=True)
    ] = None
    """Over all endpoints."""
    tokens_per_minute: Annotated[
        int | None,
        Range(1, WHOLE_64),
        Option("Most tokens a minute, as far as they are known.", "Load", rare=True),
    ] = None
    """Over all endpoints; tokens of prompt and reply together."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One time that a request was sent in vain."""

    turn: str
    """What it was for within its sample."""
    endpoint: str
    cause: Cause
    message: str
    seconds: float


class Budget:
    """What one sample may spend on retries, and what it has spent."""

    def __init__(self, retries: int, meter: Meter) -> None:
        """Allow so many retries, over all requests of the sample; the meter counts attempts."""
        self.retries = retries
        self.meter = meter
        self.failed: list[Attempt] = []
        """Attempts that brought nothing."""
        self.refused: dict[str, CallError] = {}
        """Endpoints that asked to wait for longer than an outage, and how."""


_Ticket = tuple[Endpoint, float]
"""Where a request was let in, and when."""


class Pool:
    """An engine, or several that serve one model, with slots, retries and a count of attempts."""

    def __init__(self, engine: Engine, policy: SendPolicy) -> None:
        """Bound an engine; nothing is contacted."""
        self.engine = engine
        self.policy = policy
        self.sent = 0
        """Attempts so far, retries included."""
        self._endpoints: tuple[Endpoint, ...] = ()
        self._waiting: deque[tuple[Request, asyncio.Future[_Ticket]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._quota = Quota.of(policy.requests_per_minute, policy.tokens_per_minute)
        self._said_until = 0.0
        self._open = Once(self._open_engine)

    @property
    def window(self) -> int:
        """Samples worth having under way: as many again may wait before a retry."""
        count = getattr(self.engine, "replica_count", 1)
        return 2 * self.policy.concurrency * count

    @property
    def busy(self) -> bool:
        """Whether requests wait to be let in, so that sending more gains nothing."""
        return bool(self._waiting)

    def budget(self) -> Budget:
        """Return the budget of one sample."""
        return Budget(self.policy.attempts - 1, self)

    async def complete(self, request: Request, budget: Budget | None = None) -> Completion:
        """Complete a request, sending it again where that may help.

        Args:
            request: what to complete.
            budget: that of its sample; None: a new one.

        Raises:
            CallError: no reply came; its `attempts` says how often it was sent.
            ReplyError: the engine answered with no completion.
            EngineUnusableError: no request can succeed, or no endpoint answers any more.
        """
        if not self._endpoints:
            await self._open()
        budget = budget or self.budget()
        try:
            return await self._attempt(request, budget)
        except CallError as error:
            if not error.retryable:
                raise
            return await self._retry(request, budget, error)

    async def _open_engine(self) -> None:
        await self.engine.open()
        found: Sequence[Engine] = getattr(self.engine, "replicas", (self.engine,))
        policy = self.policy
        self._endpoints = tuple(
            Endpoint(engine, policy.concurrency, start=policy.start, timeout=policy.timeout)
            for engine in found
        )

    # Attempts

    async def _attempt(self, request: Request, budget: Budget) -> Completion:
        endpoint, started = await self._enter(request, budget)
        try:
            completion = await endpoint.send(request, budget.meter)
        except CallError as error:
            await self._failed(endpoint, request, started, budget, error)
            raise error from None
        except Rejected as rejection:
            endpoint.throttle.dropped()
            raise await self._blame(endpoint, request, started, budget, rejection) from None
        except ReplyError:
            endpoint.answered(request, started)
            raise
        except BaseException:
            endpoint.throttle.dropped()
            raise
        else:
            endpoint.answered(request, started, completion.usage)
        finally:
            if self._waiting:
                self._dispatch()
        if self._quota is not None:
            self._quota.used(request, completion.usage)
        return completion

    async def _enter(self, request: Request, budget: Budget) -> _Ticket:
        """Wait until a request may be sent.

        Raises:
            CallError: the endpoint that takes it asked for a longer wait.
        """
        if self._quota is not None:
            await self._quota.take(request)
        endpoint, started = self._admit(request) or await self._wait(request)
        if endpoint.down:
            endpoint, started = await self._revive(endpoint, started, request, budget.meter)
        if refusal := budget.refused.get(endpoint.name):
            endpoint.throttle.dropped()
            self._dispatch()
            raise refusal
        return endpoint, started

    async def _failed(
        self,
        endpoint: Endpoint,
        request: Request,
        started: float,
        budget: Budget,
        error: CallError,
    ) -> None:
        """Keep a failed attempt, and find out what it says about its endpoint."""
        _record(endpoint, request, started, budget, error)
        unreachable = isinstance(error, Unreachable)
        down = endpoint.throttle.failed(started, error, unreachable=unreachable)
        if error.retry_after is not None:
            self._heed(endpoint, started, budget, error, error.retry_after)
        if down and (unreachable or await self._is_down(endpoint, request, budget.meter)):
            _LOG.warning("%s; it is tried again now and then", error)

    def _heed(
        self, endpoint: Endpoint, started: float, budget: Budget, error: CallError, asked: float
    ) -> None:
        """Wait as long as a server asks; where that is longer than an outage, do without it.

        Raises:
            EngineUnusableError: so it is with all endpoints.
        """
        until = time.monotonic() + asked
        if asked >= _SAY_WAIT_S and until > self._said_until:
            self._said_until = until + _SAY_WAIT_S
            _LOG.warning("%s; it asks to wait %.0f s", error, asked)
        if asked <= self.policy.outage:
            return
        if not endpoint.remote or endpoint.evidence.answered_at >= started:
            error.retryable = False  # Others are answered, so this request alone is to wait.
            return
        endpoint.hold(until, error, started)
        budget.refused[endpoint.name] = CallError(error.cause, str(error))
        if end := self._end():
            raise end from None

    # Probes

    @asynccontextmanager
    async def _doubting(self, endpoint: Endpoint) -> AsyncGenerator[None]:
        """Send nothing to an endpoint but probes, one at a time."""
        try:
            async with endpoint.evidence.probing:
                yield
        finally:
            if self._waiting:
                self._dispatch()

    async def _is_down(self, endpoint: Endpoint, request: Request, meter: Meter) -> bool:
        """Tell whether an endpoint at which only failures were seen fails a probe too."""
        endpoint.evidence.doubted = True
        try:
            async with self._doubting(endpoint):
                if endpoint.down:
                    await endpoint.probe(request, meter)
        finally:
            endpoint.evidence.doubted = False
        return endpoint.down

    async def _revive(
        self, endpoint: Endpoint, started: float, request: Request, meter: Meter
    ) -> _Ticket:
        """Probe an endpoint that is down on behalf of a request; return where that is let in.

        Raises:
            Rejected: the endpoint is back, and rejects what it answered before.
        """
        while endpoint.down:
            trial = endpoint.throttle.breaker.is_trial(started)
            endpoint.throttle.dropped()
            if trial:
                async with self._doubting(endpoint):
                    probed = await endpoint.probe(request, meter)
                    if isinstance(probed, Rejected):
                        self._give_up(probed)
                        raise probed
            endpoint, started = self._admit(request) or await self._wait(request)
        return endpoint, started

    async def _blame(
        self,
        endpoint: Endpoint,
        request: Request,
        started: float,
        budget: Budget,
        rejection: Rejected,
    ) -> PlauditError:
        """Return what a rejection comes to: this request's failure, or the end of the engine."""
        failure = CallError(Cause.BAD_REQUEST, rejection.said)
        _record(endpoint, request, started, budget, failure)
        evidence = endpoint.evidence
        alone = evidence.blames(request, started)
        if alone is None:
            async with self._doubting(endpoint):
                alone = evidence.blames(request, started)
                if alone is None:
                    alone = await endpoint.blames(request, budget.meter)
                if alone is False:
                    self._give_up(rejection)
        if alone is False:
            return rejection
        failure.retryable = alone is None
        return failure

    # Retries

    async def _retry(self, request: Request, budget: Budget, error: CallError) -> Completion:
        """Go on after the first attempt, which is handed to tenacity as if it were made now."""
        first: list[CallError] = [error]

        async def attempt() -> Completion:
            if first:
                raise first.pop()
            budget.retries -= 1
            return await self._attempt(request, budget)

        policy = self.policy
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_help),
            stop=lambda _: budget.retries <= 0,
            wait=_wait(wait_random_exponential(policy.backoff, policy.max_backoff), policy.outage),
            reraise=True,
        )
        return await retrying(attempt)

    # Admission

    def _admit(self, request: Request) -> _Ticket | None:
        """Start a request right now if an endpoint takes it and nobody waits before it."""
        if self._waiting:
            return None
        endpoint = self._choose(request)
        return None if endpoint is None else (endpoint, endpoint.throttle.start())

    def _choose(self, request: Request) -> Endpoint | None:
        """Return the endpoint with the least outstanding work of those that take a request.

        Requests that begin alike keep to one endpoint, whose cache then holds that beginning,
        while it has not much more to do than the others.
        """
        endpoints = self._endpoints
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

    async def _wait(self, request: Request) -> _Ticket:
        place: asyncio.Future[_Ticket] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, place))
        self._dispatch()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                place.result()[0].throttle.dropped()  # It was let in, and is not coming.
                self._dispatch()
            raise

    def _dispatch(self) -> None:
        """Let in who waits, first come first served, and see to it that this is called again."""
        waiting = self._waiting
        while waiting:
            request, place = waiting[0]
            if not place.done():
                endpoint = self._choose(request)
                if endpoint is None:
                    break
                place.set_result((endpoint, endpoint.throttle.start()))
            waiting.popleft()
        if waiting:
            if end := self._end():
                self._give_up(end)
            self._set_timer()

    def _set_timer(self) -> None:
        """Dispatch again when the pace or the health of an endpoint allows it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready = [
            endpoint.throttle.ready_at()
            for endpoint in self._endpoints
            if not (endpoint.throttle.full or endpoint.evidence.probing.locked())
        ]
        if ready and self._waiting:
            delay = max(0.0, min(ready) - time.monotonic())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(delay, _LOOK_AGAIN_S), self._dispatch)

    def _end(self) -> EngineUnusableError | None:
        """Return the error that ends everything, where nothing can be expected of any endpoint."""
        outage = self.policy.outage
        reasons = [endpoint.lost(outage) for endpoint in self._endpoints]
        if not all(reasons):
            return None
        return EngineUnusableError(
            f"{reasons[0]}. What was answered is kept: give the same command again once the "
            "server takes requests"
        )

    def _give_up(self, error: EngineUnusableError) -> None:
        """Raise an error for all that waits to be let in."""
        while self._waiting:
            _, place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)


class PoolShare:
    """One of several users of a pool: they share its slots and limits, each counts its own."""

    def __init__(self, pool: Pool) -> None:
        """Take a share; nothing is contacted."""
        self._pool = pool
        self.sent = 0
        """Attempts of this user so far, retries included."""

    @property
    def engine(self) -> Engine:
        """The engine of the pool."""
        return self._pool.engine

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        return self._pool.window

    @property
    def busy(self) -> bool:
        """Whether requests wait to be let in, those of other users included."""
        return self._pool.busy

    def budget(self) -> Budget:
        """Return the budget of one sample."""
        return Budget(self._pool.policy.attempts - 1, self)

    async def complete(self, request: Request, budget: Budget | None = None) -> Completion:
        """Complete a request; see `Pool.complete`."""
        return await self._pool.complete(request, budget or self.budget())


def _work(endpoint: Endpoint) -> float:
    return endpoint.throttle.work


def _record(
    endpoint: Endpoint, request: Request, started: float, budget: Budget, error: CallError
) -> None:
    """Keep a failed attempt."""
    seconds = round(time.monotonic() - started, 3)
    budget.failed.append(Attempt(request.turn, endpoint.name, error.cause, str(error), seconds))
    error.attempts = sum(other.turn == request.turn for other in budget.failed)


def _may_help(error: BaseException) -> bool:
    """Whether sending again may help."""
    return isinstance(error, CallError) and error.retryable


def _wait(
    jittered: Callable[[RetryCallState], float], longest: float
) -> Callable[[RetryCallState], float]:
    """Wait as long as the server asked for, else a random time that doubles.

    Who asks for more than the longest wait is asked no more, so another endpoint may be at once.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, CallError) else None
        return jittered(state) if asked is None or asked > longest else asked

    return wait
