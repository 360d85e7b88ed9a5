"""Sending requests: a bounded number in flight, time-outs, retries, a count of every attempt."""

import asyncio
from collections.abc import Callable

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from plaudit.aio import Once
from plaudit.engines.base import Completion, Engine, Request
from plaudit.errors import CallError, Cause, UsageError


class SendPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are sent."""

    concurrency: int = 100
    """Most requests in flight."""
    timeout: float = 60.0
    """Seconds that one attempt may take; engines in this process have no time-out."""
    attempts: int = 4
    """Most times that a request is sent."""
    backoff: float = 0.5
    """Seconds before the first retry, at most; doubles with each further one."""
    max_backoff: float = 20.0
    """Most seconds between two attempts, unless the server asks for more."""


class Pool:
    """An engine with its slots. A request that waits before a retry holds none."""

    def __init__(self, engine: Engine, policy: SendPolicy) -> None:
        """Bound an engine; nothing is contacted."""
        if policy.concurrency < 1 or policy.attempts < 1:
            raise UsageError("at least one request must be in flight and one attempt made")
        self.engine = engine
        self.policy = policy
        self.sent = 0
        """Attempts so far, retries included."""
        limit = engine.capabilities.concurrency or policy.concurrency
        self._slots = asyncio.Semaphore(min(limit, policy.concurrency))
        self._open = Once(engine.open)

    async def complete(self, request: Request) -> Completion:
        """Complete a request, sending it again where that may help.

        Raises:
            CallError: no reply came; its `attempts` says how often it was sent.
            ReplyError: the engine answered with no completion.
            EngineUnusableError: no request can succeed.
        """
        await self._open()
        attempts = 0
        async for attempt in self._retrying():
            with attempt:
                attempts += 1
                try:
                    return await self._send(request)
                except CallError as error:
                    error.attempts = attempts
                    raise
        raise AssertionError("tenacity either returns or raises")

    async def _send(self, request: Request) -> Completion:
        limit = self.policy.timeout if self.engine.capabilities.remote else None
        within = "" if limit is None else f" within {limit:g} s"
        async with self._slots:
            self.sent += 1
            try:
                async with asyncio.timeout(limit):
                    return await self.engine.complete(request)
            except TimeoutError:
                raise CallError(Cause.TIMEOUT, f"no reply{within}", retryable=True) from None

    def _retrying(self) -> AsyncRetrying:
        policy = self.policy
        return AsyncRetrying(
            retry=retry_if_exception(_may_help),
            stop=stop_after_attempt(policy.attempts),
            wait=_wait(wait_random_exponential(policy.backoff, policy.max_backoff)),
            reraise=True,
        )


def _may_help(error: BaseException) -> bool:
    return isinstance(error, CallError) and error.retryable


def _wait(jittered: Callable[[RetryCallState], float]) -> Callable[[RetryCallState], float]:
    """Wait as long as the server asked for, else a random time that doubles."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, CallError) else None
        return jittered(state) if asked is None else asked

    return wait
