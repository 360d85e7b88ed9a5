import asyncio
import math

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.sending.leases import LEASE_S, Ask, Grant, LeaseBook, Leased, LeasedLimits
from tests.support.clock import virtual_time

URL = "vllm:m@http://a/v1"


class Clock:
    """Seconds that go by as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Holder:
    """A holder that obeys, and is asked for its lease by hand."""

    def __init__(self, book: LeaseBook, name: str) -> None:
        self.book, self.name = book, name
        self.using = self.held = 0

    def ask(self, wanted: int, **rates: float) -> Grant:
        grant = self.book.ask(
            Ask(
                holder=self.name,
                held={URL: self.held},
                using={URL: self.using},
                wanted={URL: wanted},
                **rates,
            )
        )
        self.held = grant.slots[URL]
        return grant


def test_slots_are_shared_evenly_and_never_exceeded() -> None:
    book = LeaseBook(10, clock=Clock())
    first, second = Holder(book, "a"), Holder(book, "b")
    assert first.ask(100).slots[URL] == 10
    first.using = 10
    assert second.ask(100).slots[URL] == 0  # All are in flight.
    assert first.ask(100).slots[URL] == 5
    assert second.ask(100).slots[URL] == 0  # The first has not given back yet.
    first.using = 7
    first.ask(100)
    assert second.ask(100).slots[URL] == 3
    first.using = 5
    first.ask(100)
    assert second.ask(100).slots[URL] == 5
    assert book.in_use(URL) == 10


def test_what_one_does_not_want_the_others_get() -> None:
    book = LeaseBook(10, clock=Clock())
    first, second = Holder(book, "a"), Holder(book, "b")
    assert first.ask(2).slots[URL] == 2
    assert second.ask(100).slots[URL] == 8


def test_a_dead_holder_gives_back_what_it_held() -> None:
    clock = Clock()
    book = LeaseBook(10, clock=clock)
    dead, alive = Holder(book, "a"), Holder(book, "b")
    dead.ask(100)
    clock.now += LEASE_S
    assert alive.ask(100).slots[URL] == 0
    clock.now += 0.1
    assert alive.ask(100).slots[URL] == 10


def test_a_new_book_lets_holders_keep_what_they_held() -> None:
    old, new = LeaseBook(10, clock=Clock()), LeaseBook(10, clock=Clock())
    holder = Holder(old, "a")
    holder.ask(6)
    holder.book = new
    holder.using = 6
    assert holder.ask(6).slots[URL] == 6
    assert Holder(new, "b").ask(100).slots[URL] == 4


def test_no_minute_has_more_than_its_requests() -> None:
    clock = Clock()
    book = LeaseBook(100, requests=60, clock=clock)
    holders = [Holder(book, name) for name in "abc"]
    given = 0.0
    for _ in range(600):
        given += sum(holder.ask(10, requests=5.0).requests for holder in holders)
        clock.now += 0.1
    assert 0.9 * 60 <= given <= 60


def test_tokens_of_a_large_request_are_gathered() -> None:
    clock = Clock()
    book = LeaseBook(100, tokens=600, clock=clock)
    holder = Holder(book, "a")
    first = holder.ask(1, tokens=500.0)
    assert first.tokens == 60.0 and math.isinf(first.requests)
    clock.now += 60
    assert holder.ask(1, tokens=440.0).tokens == 60.0


def request() -> Request:
    return Request(prompt="x" * 400, sampling=Sampling(max_tokens=10))


@virtual_time
async def test_a_process_waits_for_its_share() -> None:
    book, limits = LeaseBook(4, requests=1000), list[int]()

    async def ask(one: Ask) -> Grant:
        return book.ask(one)

    leased = LeasedLimits("a", ask, requests=True, tokens=False)
    leased.watch({URL: Leased(in_flight=lambda: 0, wanted=lambda: 9, limit=limits.append)})
    await asyncio.gather(*(leased.take(request()) for _ in range(50)))
    leased.close()
    assert limits[0] == 0 and set(limits[1:]) == {4}


@virtual_time
async def test_a_process_that_cannot_reach_the_book_sends_nothing() -> None:
    asked, open_again = asyncio.Event(), asyncio.Event()
    book = LeaseBook(4)

    async def ask(one: Ask) -> Grant:
        asked.set()
        if not open_again.is_set():
            raise ConnectionError
        return book.ask(one)

    leased = LeasedLimits("a", ask, requests=False, tokens=False)
    leased.watch({URL: Leased(in_flight=lambda: 0, wanted=lambda: 9, limit=lambda _: None)})
    taken = asyncio.ensure_future(leased.take(request()))
    await asked.wait()
    assert not taken.done()
    open_again.set()
    await taken
    leased.close()


@pytest.mark.parametrize("wants", [(1, 1, 1), (9, 1, 1), (9, 9, 9), (4, 4, 9)])
def test_shares_add_up(wants: tuple[int, ...]) -> None:
    book = LeaseBook(10, clock=Clock())
    holders = [Holder(book, str(n)) for n in range(len(wants))]
    for _ in range(4):
        for holder, wanted in zip(holders, wants, strict=True):
            holder.using = min(holder.using, holder.held)
            holder.ask(wanted)
            holder.using = min(holder.held, wanted)
    assert sum(holder.held for holder in holders) == min(10, sum(wants))
