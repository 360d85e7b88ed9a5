"""One limiter of a cluster: an actor that keeps the book, and how other actors call it."""

import itertools
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from plaudit._util.packages import load_package
from plaudit.sending.leases import Ask, Grant, LeaseBook, LeasedLimits
from plaudit.sending.pool import SendPolicy

_LOOPBACK = re.compile(r"//(127\.|localhost|\[::1\])")


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


class Share:
    """What one actor asks the limiter."""

    def __init__(self, limiter: Any, send: SendPolicy) -> None:
        """Take the handle of the limiter, and how requests are sent."""
        self._limiter = limiter
        self._send = send

    def limits(self) -> LeasedLimits:
        """Return this process's share of the limits."""
        name = f"{_node()}-{os.getpid()}-{secrets.token_hex(4)}"
        send = self._send
        limited = (send.requests_per_minute is not None, send.tokens_per_minute is not None)
        return LeasedLimits(name, self._ask, *limited)

    async def near(self, urls: Sequence[str]) -> int:
        """Return which of several endpoints this actor goes to first."""
        hosts = [str(urlsplit(url).hostname) for url in urls]
        address = load_package("ray.util", "ray").get_node_ip_address()
        return await self._limiter.place.remote(hosts, address)

    async def _ask(self, ask: Ask) -> Grant:
        """Ask with the names that endpoints have in the cluster; return the answer with ours."""
        ours = {_cluster_name(one): one for one in ask.wanted}
        named = replace(
            ask,
            held=_renamed(ask.held),
            using=_renamed(ask.using),
            wanted=_renamed(ask.wanted),
        )
        grant: Grant = await self._limiter.ask.remote(named)
        return replace(grant, slots={ours[name]: slots for name, slots in grant.slots.items()})


def _renamed(amounts: Mapping[str, int]) -> dict[str, int]:
    return {_cluster_name(name): amount for name, amount in amounts.items()}


def _cluster_name(endpoint: str) -> str:
    """Return a name that no other endpoint of the cluster has: each node has a 127.0.0.1."""
    return f"{_node()} {endpoint}" if _LOOPBACK.search(endpoint) else endpoint


def _node() -> str:
    return os.uname().nodename
