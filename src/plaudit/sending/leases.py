"""Limits that many processes share: a book of leases, and a holder in each process.

The book knows how many requests each holder may have in flight, and gives out requests and tokens
of the minute. A holder that is not heard of for some seconds has lost its lease, and the others
get what it held. A holder that cannot reach the book stops sending before that.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from plaudit.engines.base import Request
from plaudit.sending.quota import BURST, TokenGuess
from plaudit.types import Usage

LEASE_S = 10.0
"""Seconds after which a silent holder has lost what it held."""
_RENEW_S = 1.0
"""Seconds between two calls of a holder that wants nothing."""
_SOON_S = 0.05
"""Shortest time between two calls of a holder whose requests wait."""
_STOP_S = 0.6 * LEASE_S
"""A holder whose last answer is older sends nothing."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder says and wants."""

    holder: str
    held: Mapping[str, int]
    """By endpoint: the requests that it may have in flight, by the last answer."""
    using: Mapping[str, int]
    """By endpoint: its requests in flight."""
    wanted: Mapping[str, int]
    """By endpoint: how many it could have in flight."""
    requests: float = 0.0
    """Requests of the minute that it wants to send soon."""
    tokens: float = 0.0


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder gets."""

    slots: Mapping[str, int]
    """By endpoint: most requests in flight from now on."""
    requests: float = math.inf
    """Requests that it may send; infinite where they are not limited."""
    tokens: float = math.inf


class _Bucket:
    """An allowance a minute, of which a part may be spent at once."""

    def __init__(self, a_minute: int, now: float) -> None:
        self.most = max(1.0, BURST * a_minute)
        self._a_second = max(a_minute - self.most, a_minute / 2) / 60
        self._left, self._at = self.most, now

    def take(self, amount: float, now: float, *, whole: bool = False) -> float:
        """Take as much of an amount as there is, or a whole number of it."""
        self._left = min(self.most, self._left + (now - self._at) * self._a_second)
        self._at = now
        taken = min(amount, self._left)
        taken = math.floor(taken) if whole else taken
        self._left -= taken
        return taken


class _Lease:
    """What one holder has at one endpoint."""

    def __init__(self) -> None:
        self.granted = self.most = self.wanted = 0
        """Most in flight by the last answer; what may be in flight at the most; what it could."""


class LeaseBook:
    """What all holders have. Calls come one after the other."""

    def __init__(
        self,
        slots: int,
        requests: int | None = None,
        tokens: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing given out.

        Args:
            slots: requests in flight at each endpoint, over all holders.
            requests: requests a minute; None: not limited.
            tokens: tokens a minute; None: not limited.
            clock: seconds, never going back.
        """
        self._slots = slots
        self._clock = clock
        self._begun = now = clock()
        self._requests = None if requests is None else _Bucket(requests, now)
        self._tokens = None if tokens is None else _Bucket(tokens, now)
        self._leases: dict[str, dict[str, _Lease]] = {}
        self._seen: dict[str, float] = {}

    def ask(self, ask: Ask) -> Grant:
        """Renew a holder's leases, and give it what it wants of what is free."""
        now = self._clock()
        for holder in [one for one, seen in self._seen.items() if now - seen > LEASE_S]:
            self.leave(holder)
        slots = {endpoint: self._renew(ask, endpoint, now) for endpoint in ask.wanted}
        self._seen[ask.holder] = now
        requests = tokens = math.inf
        if self._requests is not None:
            requests = self._requests.take(ask.requests, now, whole=True)
        if self._tokens is not None:
            tokens = self._tokens.take(min(ask.tokens, self._tokens.most), now)
        return Grant(slots=slots, requests=requests, tokens=tokens)

    def leave(self, holder: str) -> None:
        """Take back what a holder has."""
        self._seen.pop(holder, None)
        for leases in self._leases.values():
            leases.pop(holder, None)

    def in_use(self, endpoint: str) -> int:
        """Return the most requests that may be in flight at an endpoint."""
        return sum(lease.most for lease in self._leases.get(endpoint, {}).values())

    def _renew(self, ask: Ask, endpoint: str, now: float) -> int:
        leases = self._leases.setdefault(endpoint, {})
        known = ask.holder in leases
        lease = leases.setdefault(ask.holder, _Lease())
        held, using = ask.held.get(endpoint, 0), ask.using.get(endpoint, 0)
        if not known and held and now - self._begun < LEASE_S:
            lease.granted = held  # This book is new, and the holder is not.
        lease.most, lease.wanted = max(lease.granted, using), ask.wanted[endpoint]
        free = self._slots - sum(o.most for one, o in leases.items() if one != ask.holder)
        granted = max(0, min(lease.wanted, free, _fair(leases, ask.holder, self._slots)))
        # What it gives back counts from its next call on, when it obeys.
        lease.most = max(granted, lease.most)
        lease.granted = granted
        return granted


def _fair(leases: Mapping[str, _Lease], holder: str, slots: int) -> int:
    """Return the share of a holder: as much as anyone who wants more, at least one."""
    left, open_ = slots, dict(leases)
    while open_:
        share = max(1, left // len(open_))
        small = {one: lease for one, lease in open_.items() if lease.wanted <= share}
        if holder in small:
            return small[holder].wanted
        if not small:
            place = sorted(open_).index(holder)
            return share + (place < left - share * len(open_))
        left -= sum(lease.wanted for lease in small.values())
        open_ = {one: lease for one, lease in open_.items() if one not in small}
    return slots


AskBook = Callable[[Ask], Awaitable[Grant]]
"""Calls the book, wherever it is; raises an exception where it cannot be reached."""


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint whose requests in flight are leased."""

    in_flight: Callable[[], int]
    """Counts them."""
    wanted: Callable[[], int]
    """Says how many there could be."""
    limit: Callable[[int], None]
    """Sets the most that there may be."""


class LeasedLimits:
    """The share of one process; a pool asks it before each request."""

    def __init__(self, holder: str, ask: AskBook, requests: bool, tokens: bool) -> None:
        """Join a book; nothing is asked before the pool is open.

        Args:
            holder: a name that no other process has.
            ask: calls the book.
            requests: whether requests a minute are limited.
            tokens: whether tokens a minute are.
        """
        self._holder = holder
        self._ask = ask
        self._limited = (requests, tokens)
        self._left = [0.0, 0.0]
        self._guess = TokenGuess()
        self._leased: Mapping[str, Leased] = {}
        self._held: Mapping[str, int] = {}
        self._waiting = [0.0, 0.0]
        self._in_line = 0
        self._answered = -math.inf
        self._news = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def watch(self, leased: Mapping[str, Leased]) -> None:
        """Keep to the leases of further endpoints, given by name, from now on."""
        self._leased = {**self._leased, **leased}
        for one in leased.values():
            one.limit(0)

    async def take(self, request: Request) -> None:
        """Wait until a request may be sent, as far as these limits go."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._renew())
        need = [1.0, self._guess.of(request)]
        if self._has(need):
            self._spend(need)
            return
        self._in_line += 1
        self._waiting = [a + b for a, b in zip(self._waiting, need, strict=True)]
        try:
            while not self._has(need):
                self._news.clear()
                self._wake.set()
                await self._news.wait()
            self._spend(need)
        finally:
            self._in_line -= 1
            self._waiting = [a - b for a, b in zip(self._waiting, need, strict=True)]

    def used(self, request: Request, usage: Usage) -> None:
        """Learn what a request took."""
        self._guess.used(request, usage)

    def close(self) -> None:
        """Ask no more; the lease ends by itself."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _has(self, need: Sequence[float]) -> bool:
        if time.monotonic() - self._answered > _STOP_S:
            return False
        left = zip(self._left, need, self._limited, strict=True)
        return all(not limited or has >= wanted for has, wanted, limited in left)

    def _spend(self, need: Sequence[float]) -> None:
        self._left = [has - spent for has, spent in zip(self._left, need, strict=True)]

    async def _renew(self) -> None:
        while True:
            asked = time.monotonic()
            grant = await self._asked()
            if grant is not None:
                self._answered = asked
                self._obey(grant)
            self._news.set()
            self._wake.clear()
            await asyncio.sleep(_SOON_S)
            if not self._in_line:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_RENEW_S):
                        await self._wake.wait()

    async def _asked(self) -> Grant | None:
        short = [max(0.0, w - has) for w, has in zip(self._waiting, self._left, strict=True)]
        ask = Ask(
            holder=self._holder,
            held=self._held,
            using={name: one.in_flight() for name, one in self._leased.items()},
            wanted={name: one.wanted() for name, one in self._leased.items()},
            requests=math.ceil(short[0]) if self._limited[0] else 0.0,
            tokens=short[1] if self._limited[1] else 0.0,
        )
        try:
            return await self._ask(ask)
        except asyncio.CancelledError:
            raise
        except Exception:  # Whatever the way to the book is, it may be open again soon.
            return None

    def _obey(self, grant: Grant) -> None:
        self._held = grant.slots
        for name, slots in grant.slots.items():
            self._leased[name].limit(slots)
        if self._limited[0]:
            self._left[0] += grant.requests
        if self._limited[1]:
            self._left[1] += grant.tokens
