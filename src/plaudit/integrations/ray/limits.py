"""One limiter of a cluster: an actor that keeps the book, and how other actors call it."""

import itertools
import os
import secrets
from collections.abc import Sequence
from typing import Any

from plaudit.sending.leases import Ask, Grant, LeaseBook, LeasedLimits
from plaudit.sending.pool import SendPolicy


class Limiter:
    """Keeps the book of leases, and sends each actor to the endpoint that is near."""

    def __init__(self, send: SendPolicy) -> None:
        """Begin with nothing given out."""
        self._book = LeaseBook(send.concurrency, send.requests_per_minute, send.tokens_per_minute)
        self._order = itertools.count()
        self.calls = 0

    def ask(self, ask: Ask) -> Grant:
        """Renew leases; see `LeaseBook.ask`."""
        self.calls += 1
        return self._book.ask(ask)

    def place(self, hosts: Sequence[str], node: str) -> int:
        """Return which endpoint an actor goes to first.

        Args:
            hosts: of the endpoints.
            node: address of the actor's node; an endpoint there is nearest.
        """
        turn = next(self._order)
        near = [n for n, host in enumerate(hosts) if host == node] or [*range(len(hosts))]
        return near[turn % len(near)]


def start_limiter(ray: Any, send: SendPolicy) -> Any:
    """Start the limiter on this node; return its handle, which actors are given."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
    return actor(Limiter).remote(send)


def leased_limits(limiter: Any, send: SendPolicy) -> LeasedLimits:
    """Return the share of this process, as the limiter grants it."""

    async def ask(one: Ask) -> Grant:
        return await limiter.ask.remote(one)

    name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
    limited = (send.requests_per_minute is not None, send.tokens_per_minute is not None)
    return LeasedLimits(name, ask, *limited)
