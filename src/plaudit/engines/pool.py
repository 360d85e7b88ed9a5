"""Sending requests: where, when and how often, with every attempt counted.

One request goes through three stages. It is *admitted* to an endpoint as soon as that endpoint's
throttle lets it; it is *sent*, with a time-out; and where that failed and may succeed another time,
it waits, holding no slot, and is admitted anew, to whichever endpoint is then the best.
"""

import asyncio
import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_random_exponential

from plaudit._util.ranges import SECONDS, WHOLE_64, Range, check_ranges
from plaudit.aio import Deadlines, Once
from plaudit.engines.base import Completion, Engine, Request
from plaudit.engines.http_errors import Unreachable
from plaudit.engines.quota import Quota
from plaudit.engines.throttle import Throttle
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError

_NEAR_ENOUGH = 1.5
"""How much more work one may have that knows a request's beginning than the least busy endpoint
would have with one more request."""
_LOOK_AGAIN_S = 1.0
MOST_IN_FLIGHT = 10_000
"""Most requests in flight at an endpoint; each takes a connection and some memory."""

_LOG = logging.getLogger(__name__)


class SendPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are sent."""

    concurrency: Annotated[int, Range(1, MOST_IN_FLIGHT)] = 100
    """Most requests in flight at each endpoint; fewer while it bears fewer."""
    start: Annotated[int | None, Range(1, MOST_IN_FLIGHT)] = None
    """Requests in flight to begin with; more as replies come. None: 10."""
    timeout: Annotated[float, Range(0, SECONDS, above=True)] = 60.0
    """Seconds that one attempt may take; engines in this process have no time-out."""
    attempts: Annotated[int, Range(1, 10_000)] = 6
    """Most times that a request is sent; and one more than the retries of a sample in all."""
    backoff: Annotated[float, Range(0, SECONDS)] = 0.5
    """Seconds before the first retry, at most; doubles with each further one."""
    max_backoff: Annotated[float, Range(0, SECONDS)] = 20.0
    """Most seconds between two attempts, unless the server asks for more."""
    patience: Annotated[float, Range(0, SECONDS)] = 600.0
    """Most seconds that a server may ask to wait; where it asks for more, the request fails."""
    outage: Annotated[float, Range(0, SECONDS)] = 300.0
    """Seconds without a sign of life from any endpoint after which the run ends."""
    requests_per_minute: Annotated[int | None, Range(1, WHOLE_64)] = None
    tokens_per_minute: Annotated[int | None, Range(1, WHOLE_64)] = None
    """Limits that the user sets, over all endpoints; tokens of prompt and reply together."""

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


class Meter(Protocol):
    """Counts attempts."""

    sent: int
    """Attempts so far, retries included."""


class Budget:
    """What one sample may spend on retries, and what it has spent."""

    def __init__(self, retries: int, meter: Meter) -> None:
        """Allow so many retries, over all requests of the sample; the meter counts attempts."""
        self.retries = retries
        self.meter = meter
        self.failed: list[Attempt] = []
        """Attempts that brought nothing."""


class _Endpoint:
    """An engine and what it bears."""

    def __init__(self, engine: Engine, policy: SendPolicy) -> None:
        able = engine.capabilities
        most = min(able.concurrency or policy.concurrency, policy.concurrency)
        self.engine = engine
        self.name = getattr(engine, "base_url", engine.uri)
        self.throttle = Throttle(most, start=policy.start, fixed=not able.remote)
        self.deadlines = Deadlines(policy.timeout) if able.remote else None


_Ticket = tuple[_Endpoint, float]
"""Where a request was let in, and when."""


class Pool:
    """An engine, or several that serve one model, with slots, retries and a count of attempts."""

    def __init__(self, engine: Engine, policy: SendPolicy) -> None:
        """Bound an engine; nothing is contacted."""
        self.engine = engine
        self.policy = policy
        self.sent = 0
        """Attempts so far, retries included."""
        self._endpoints: tuple[_Endpoint, ...] = ()
        self._waiting: deque[tuple[Request, asyncio.Future[_Ticket]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._quota = Quota.of(policy.requests_per_minute, policy.tokens_per_minute)
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
        self._endpoints = tuple(_Endpoint(engine, self.policy) for engine in found)

    # Attempts

    async def _attempt(self, request: Request, budget: Budget) -> Completion:
        if self._quota is not None:
            await self._quota.take(request)
        endpoint, started = self._admit(request) or await self._wait(request)
        throttle, deadlines = endpoint.throttle, endpoint.deadlines
        budget.meter.sent += 1
        try:
            if deadlines is None:
                completion = await endpoint.engine.complete(request)
            else:
                completion = await deadlines.limit(endpoint.engine.complete(request))
        except (CallError, TimeoutError, EngineUnusableError) as problem:
            error = self._translate(problem, endpoint)
            if not isinstance(error, CallError):
                throttle.dropped()
                raise
            self._note(endpoint, request, started, budget, error)
            raise error from None
        except ReplyError:
            throttle.answered(started)
            raise
        except BaseException:
            throttle.dropped()
            raise
        else:
            throttle.answered(started)
        finally:
            if self._waiting:
                self._dispatch()
        if self._quota is not None:
            self._quota.used(request, completion.usage)
        return completion

    def _translate(self, problem: Exception, endpoint: _Endpoint) -> Exception:
        """Return a time-out and an outage as failed calls; all else as it is."""
        if isinstance(problem, TimeoutError):
            limit = f" within {self.policy.timeout:g} s" if endpoint.deadlines else ""
            return CallError(Cause.TIMEOUT, f"no reply{limit}", retryable=True)
        if isinstance(problem, EngineUnusableError) and problem.outage:
            return Unreachable(Cause.CONNECTION, str(problem), retryable=True)
        return problem

    def _note(
        self,
        endpoint: _Endpoint,
        request: Request,
        started: float,
        budget: Budget,
        error: CallError,
    ) -> None:
        """Keep a failed attempt, and tell the throttle."""
        seconds = round(time.monotonic() - started, 3)
        attempt = Attempt(request.turn, endpoint.name, error.cause, str(error), seconds)
        budget.failed.append(attempt)
        error.attempts = sum(other.turn == request.turn for other in budget.failed)
        unreachable = isinstance(error, Unreachable)
        if endpoint.throttle.failed(started, error, unreachable=unreachable):
            _LOG.warning("%s; it is tried again now and then", error)

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
            retry=retry_if_exception(self._may_help),
            stop=lambda _: budget.retries <= 0,
            wait=_wait(wait_random_exponential(policy.backoff, policy.max_backoff)),
            reraise=True,
        )
        return await retrying(attempt)

    def _may_help(self, error: BaseException) -> bool:
        if not isinstance(error, CallError) or not error.retryable:
            return False
        return (error.retry_after or 0) <= self.policy.patience

    # Admission

    def _admit(self, request: Request) -> _Ticket | None:
        """Start a request right now if an endpoint takes it and nobody waits before it."""
        if self._waiting:
            return None
        endpoint = self._choose(request)
        return None if endpoint is None else (endpoint, endpoint.throttle.start())

    def _choose(self, request: Request) -> _Endpoint | None:
        """Return the endpoint with the least outstanding work of those that take a request.

        Requests that begin alike keep to one endpoint, whose cache then holds that beginning,
        while it has not much more to do than the others.
        """
        endpoints = self._endpoints
        if len(endpoints) == 1:
            return endpoints[0] if endpoints[0].throttle.free else None
        free = [endpoint for endpoint in endpoints if endpoint.throttle.free]
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
            self._end_outage()
            self._set_timer()

    def _set_timer(self) -> None:
        """Dispatch again when the pace or the health of an endpoint allows it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ready = [e.throttle.ready_at() for e in self._endpoints if not e.throttle.full]
        if ready and self._waiting:
            delay = max(0.0, min(ready) - time.monotonic())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(delay, _LOOK_AGAIN_S), self._dispatch)

    def _end_outage(self) -> None:
        """Give up on everything once no endpoint has answered for long."""
        down = [endpoint.throttle.breaker for endpoint in self._endpoints]
        since = [breaker.down_since for breaker in down if breaker.down_since is not None]
        if len(since) < len(down) or time.monotonic() - max(since) < self.policy.outage:
            return
        error = EngineUnusableError(
            f"no sign of life for {self.policy.outage:g} s; the last failure: {down[0].reason}. "
            "What was answered is kept: give the same command again when the server is back"
        )
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


def _work(endpoint: _Endpoint) -> float:
    return endpoint.throttle.work


def _wait(jittered: Callable[[RetryCallState], float]) -> Callable[[RetryCallState], float]:
    """Wait as long as the server asked for, else a random time that doubles."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, CallError) else None
        return jittered(state) if asked is None else asked

    return wait
