"""Sending requests: with retries, probes and a count of every attempt.

One request goes through three stages. It is *admitted* to an endpoint as soon as that endpoint's
throttle lets it in. It is *sent*, with a time-out. Where that failed and another try may help, it
waits, holding no slot, and is admitted again, to the endpoint that is then the best.

A failed request says little about its endpoint: an endpoint is given up only when a probe fails
there too.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec

from plaudit._util.aio import Once
from plaudit._util.options import Help
from plaudit._util.ranges import SECONDS, WHOLE_64, Range, check_ranges
from plaudit.engines.base import Completion, Engine, Request, engine_info
from plaudit.engines.http.errors import Rejected, Unreachable
from plaudit.errors import CallError, Cause, PlauditError, ReplyError
from plaudit.sending.budget import RetryBudget, record_failure
from plaudit.sending.endpoints import Admission, Endpoint, Meter, Ticket
from plaudit.sending.leases import LeasedLimits
from plaudit.sending.quota import Quota, RequestGate

MOST_IN_FLIGHT = 10_000
"""Most requests in flight at an endpoint; each takes a connection and some memory."""
_SAY_WAIT_S = 10.0
"""Shortest wait that a server asks for which is logged."""
_MOST_DOUBLINGS = 60
"""From here on the longest pause applies anyway."""

_LOG = logging.getLogger(__name__)


class SendPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are sent."""

    concurrency: Annotated[
        int,
        Range(1, MOST_IN_FLIGHT),
        Help("Most requests in flight at each endpoint; fewer while it slows down.", "Load"),
    ] = 100
    start: Annotated[int | None, Range(1, MOST_IN_FLIGHT)] = None
    """Requests in flight to begin with; more as replies come. None: 10."""
    timeout: Annotated[
        float,
        Range(0, SECONDS, above=True),
        Help("Seconds that a request may take.", "Load", "S"),
    ] = 60.0
    """Engines in this process have no time-out."""
    attempts: Annotated[
        int, Range(1, 10_000), Help("Most times that a request is sent.", "Load")
    ] = 6
    """Also one more than the retries of a sample in all."""
    backoff: Annotated[float, Range(0, SECONDS)] = 0.5
    """Seconds before the first retry, at most; doubles with each further one."""
    max_backoff: Annotated[float, Range(0, SECONDS)] = 20.0
    """Most seconds between two attempts, unless the server asks for more."""
    outage: Annotated[
        float,
        Range(0, SECONDS),
        Help("Seconds without any answer after which the run ends.", "Load", "S"),
    ] = 300.0
    """Also the most seconds that all endpoints may ask to wait."""
    requests_per_minute: Annotated[
        int | None, Range(1, WHOLE_64), Help("Most requests a minute.", "Load", rare=True)
    ] = None
    """Over all endpoints."""
    tokens_per_minute: Annotated[
        int | None,
        Range(1, WHOLE_64),
        Help("Most tokens a minute, as far as they are known.", "Load", rare=True),
    ] = None
    """Over all endpoints; tokens of prompt and reply together."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)


class Pool:
    """An engine, or several that serve one model, with slots, retries and a count of attempts.

    Attributes:
        engine: the engine.
        policy: how requests are sent.
        sent: attempts so far, retries included.
        admission: the queue before its endpoints.
    """

    def __init__(
        self, engine: Engine, policy: SendPolicy, limits: LeasedLimits | None = None
    ) -> None:
        """Bound an engine; nothing is contacted.

        Args:
            engine: the engine.
            policy: how requests are sent.
            limits: hold in place of the policy's, which several processes share.
        """
        self.engine = engine
        self.policy = policy
        self.sent = 0
        self.admission = Admission(policy.outage)
        self._leased = limits
        self._quota: RequestGate | None = limits or Quota.of(
            policy.requests_per_minute, policy.tokens_per_minute
        )
        self._said_until = 0.0
        self.open = Once(self._open_engine)
        """Opens the engine, which the first request does too."""

    @property
    def window(self) -> int:
        """Samples worth having under way: as many again may wait before a retry."""
        return 2 * self.policy.concurrency * engine_info(self.engine).replica_count

    @property
    def busy(self) -> bool:
        """Whether requests wait to be let in, so that sending more gains nothing."""
        return bool(self.admission.waiting)

    def budget(self) -> RetryBudget:
        """Return the budget of one sample."""
        return RetryBudget(self.policy.attempts - 1, self)

    async def complete(self, request: Request, budget: RetryBudget | None = None) -> Completion:
        """Complete a request, sending it again where that may help.

        Args:
            request: what to complete.
            budget: that of its sample; None: a new one.

        Raises:
            CallError: no reply came; its `attempts` says how often it was sent.
            ReplyError: the engine answered with no completion.
            EngineUnusableError: no request can succeed, or no endpoint answers any more.
        """
        if not self.admission.endpoints:
            await self.open()
        budget, retry = budget or self.budget(), 0
        while True:
            try:
                return await self._attempt(request, budget)
            except CallError as error:
                if not error.retryable or budget.retries <= 0:
                    raise
                pause = self._pause(error, retry)
            await asyncio.sleep(pause)
            budget.retries -= 1
            retry += 1

    async def _open_engine(self) -> None:
        await self.engine.open()
        policy = self.policy
        self.admission.endpoints = tuple(
            Endpoint(engine, policy.concurrency, start=policy.start, timeout=policy.timeout)
            for engine in engine_info(self.engine).replicas or (self.engine,)
        )
        if self._leased is not None:
            self._leased.watch(self.admission.leased())

    def _pause(self, error: CallError, retry: int) -> float:
        """Return the seconds before the next attempt: what the server asks, else a random time.

        The most that it may be doubles with each retry. An endpoint that asks for more than an
        outage is asked no more, so another one may be asked soon.
        """
        policy, asked = self.policy, error.retry_after
        if asked is not None and asked <= policy.outage:
            return asked
        longest = min(policy.max_backoff, policy.backoff * 2 ** min(retry, _MOST_DOUBLINGS))
        return random.uniform(0, longest)

    # Attempts

    async def _attempt(self, request: Request, budget: RetryBudget) -> Completion:
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
            if self.admission.waiting:
                self.admission.dispatch()
        if self._quota is not None:
            self._quota.used(request, completion.usage)
        return completion

    async def _enter(self, request: Request, budget: RetryBudget) -> Ticket:
        """Wait until a request may be sent.

        Raises:
            CallError: the endpoint that takes it asked for a longer wait.
        """
        if self._quota is not None:
            await self._quota.take(request)
        admission = self.admission
        endpoint, started = admission.admit(request) or await admission.wait(request)
        if endpoint.down:
            endpoint, started = await self._revive(endpoint, started, request, budget.meter)
        if refusal := budget.refused.get(endpoint.name):
            endpoint.throttle.dropped()
            self.admission.dispatch()
            raise refusal
        return endpoint, started

    async def _failed(
        self,
        endpoint: Endpoint,
        request: Request,
        started: float,
        budget: RetryBudget,
        error: CallError,
    ) -> None:
        """Keep a failed attempt, and find out what it says about its endpoint."""
        record_failure(endpoint, request, started, budget, error)
        unreachable = isinstance(error, Unreachable)
        down = endpoint.throttle.failed(started, error, unreachable=unreachable)
        if error.retry_after is not None:
            self._heed(endpoint, started, budget, error, error.retry_after)
        if down and (unreachable or await self._is_down(endpoint, request, budget.meter)):
            _LOG.warning("%s; it is tried again now and then", error)

    def _heed(
        self,
        endpoint: Endpoint,
        started: float,
        budget: RetryBudget,
        error: CallError,
        asked: float,
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
        if end := self.admission.end():
            raise end from None

    # Probes

    @asynccontextmanager
    async def _doubting(self, endpoint: Endpoint) -> AsyncGenerator[None]:
        """Send nothing to an endpoint but probes, one at a time."""
        try:
            async with endpoint.evidence.probing:
                yield
        finally:
            if self.admission.waiting:
                self.admission.dispatch()

    async def _is_down(self, endpoint: Endpoint, request: Request, meter: Meter) -> bool:
        """Return whether an endpoint that only failed so far fails a probe too."""
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
    ) -> Ticket:
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
                        self.admission.give_up(probed)
                        raise probed
            admission = self.admission
            endpoint, started = admission.admit(request) or await admission.wait(request)
        return endpoint, started

    async def _blame(
        self,
        endpoint: Endpoint,
        request: Request,
        started: float,
        budget: RetryBudget,
        rejection: Rejected,
    ) -> PlauditError:
        """Return what a rejection comes to: this request's failure, or the end of the engine."""
        failure = CallError(Cause.BAD_REQUEST, rejection.said)
        record_failure(endpoint, request, started, budget, failure)
        evidence = endpoint.evidence
        alone = evidence.blames(request, started)
        if alone is None:
            async with self._doubting(endpoint):
                alone = evidence.blames(request, started)
                if alone is None:
                    alone = await endpoint.blames(request, budget.meter)
                if alone is False:
                    self.admission.give_up(rejection)
        if alone is False:
            return rejection
        failure.retryable = alone is None
        return failure


class PoolShare:
    """One of several users of a pool: they share its slots and limits, each counts its own."""

    def __init__(self, pool: Pool) -> None:
        """Take a share; nothing is contacted."""
        self._pool = pool
        self.open = pool.open
        """Opens the engine, once for all users."""
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

    def budget(self) -> RetryBudget:
        """Return the budget of one sample."""
        return RetryBudget(self._pool.policy.attempts - 1, self)

    async def complete(self, request: Request, budget: RetryBudget | None = None) -> Completion:
        """Complete a request; see `Pool.complete`."""
        return await self._pool.complete(request, budget or self.budget())
