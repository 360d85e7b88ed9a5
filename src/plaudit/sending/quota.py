"""The user's own limits: requests and tokens a minute, over all endpoints."""

from typing import Protocol

from aiolimiter import AsyncLimiter

from plaudit.engines.base import Request
from plaudit.errors import UsageError
from plaudit.types import Usage

BURST = 0.1
"""Part of a minute's allowance that may be spent at once."""
_CHARACTERS_A_TOKEN = 4
_LEARNING = 0.05


class TokenGuess:
    """Guesses the tokens of a request from its length, and learns from what earlier ones took."""

    def __init__(self) -> None:
        self._ratio = 1.0

    def of(self, request: Request) -> float:
        """Return the tokens of a request and its reply."""
        return _guess(request) * self._ratio

    def used(self, request: Request, usage: Usage) -> None:
        """Learn what a request took."""
        total = usage.input_tokens + usage.output_tokens
        if total:
            self._ratio += _LEARNING * (total / _guess(request) - self._ratio)


class RequestGate(Protocol):
    """Holds requests back."""

    async def take(self, request: Request) -> None:
        """Wait until the request may be sent."""
        ...

    def used(self, request: Request, usage: Usage) -> None:
        """Learn what a request took."""
        ...


class Quota:
    """Holds requests back so that no minute has more of them, or of tokens, than allowed.

    How many tokens a request takes is known only after its reply, so it is estimated from its
    length and corrected by what earlier ones took.
    """

    def __init__(self, requests: int | None, tokens: int | None) -> None:
        """Set the limits, each a minute; None: no limit."""
        self._requests = None if requests is None else _limiter(requests)
        self._tokens = None if tokens is None else _limiter(tokens)
        self._guess = TokenGuess()

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
            amount = min(self._tokens.max_rate, self._guess.of(request))
            await self._tokens.acquire(amount)

    def used(self, request: Request, usage: Usage) -> None:
        """Learn what a request took."""
        if self._tokens is not None:
            self._guess.used(request, usage)


def _limiter(a_minute: int) -> AsyncLimiter:
    """Allow a burst, and so much less afterwards that no minute exceeds its allowance."""
    burst = BURST * a_minute
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
