"""What one sample may spend on retries, and the attempts that failed."""

import time

import msgspec

from plaudit.engines.base import Request
from plaudit.errors import CallError, Cause
from plaudit.sending.endpoints import Endpoint, Meter


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """One time that a request was sent and failed."""

    turn: str
    """What it was for within its sample."""
    endpoint: str
    cause: Cause
    message: str
    seconds: float


class RetryBudget:
    """What one sample may spend on retries, and what it has spent.

    Attributes:
        retries: retries left, over all requests of the sample.
        meter: counts attempts.
        failed: the attempts that failed.
        refused: the endpoints that asked to wait for longer than an outage, and how.
    """

    def __init__(self, retries: int, meter: Meter) -> None:
        """Allow so many retries."""
        self.retries = retries
        self.meter = meter
        self.failed: list[Attempt] = []
        self.refused: dict[str, CallError] = {}


def record_failure(
    endpoint: Endpoint, request: Request, started: float, budget: RetryBudget, error: CallError
) -> None:
    """Keep a failed attempt."""
    seconds = round(time.monotonic() - started, 3)
    budget.failed.append(Attempt(request.turn, endpoint.name, error.cause, str(error), seconds))
    error.attempts = sum(other.turn == request.turn for other in budget.failed)
