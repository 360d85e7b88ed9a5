"""Several endpoints for one model: who gets a request, and what happens when one goes away."""

import asyncio
import pickle
from collections import Counter

import pytest

from plaudit.engines.base import Capabilities, Completion, EngineInfo, Request, Sampling
from plaudit.engines.http.errors import Unreachable
from plaudit.engines.load import load_engine
from plaudit.engines.replicas import Replicas
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.sending.pool import Pool, SendPolicy
from tests.support.clock import virtual_time

URI = EngineURI.parse("vllm:m@http://127.0.0.1:1/v1,http://127.0.0.1:2/v1,http://127.0.0.1:3/v1")
DOWN = EngineUnusableError("nobody there", outage=True)


def ask(number: int = 0, affinity: str = "") -> Request:
    return Request(prompt=f"p{number}", sampling=Sampling(), affinity=affinity)


class Server:
    """An endpoint of its own speed, which can be up or down."""

    capabilities = Capabilities()

    def __init__(self, name: str, delay: float = 0.002, identity: str = "vllm:m") -> None:
        self.uri = name
        self.info = EngineInfo(base_url=name, notes=("does not take a seed",), refused=1)
        self.delay = delay
        self.identity = identity
        self.up = True
        self.served: list[str] = []
        self.error: Exception | None = None
        self.open_error: Exception | None = None
        self.opened = 0

    async def identify(self) -> str:
        if not self.up:
            raise DOWN
        return self.identity

    async def open(self) -> None:
        self.opened += 1
        if self.open_error:
            raise self.open_error
        if not self.up:
            raise DOWN

    async def complete(self, request: Request) -> Completion:
        if not self.up:
            raise Unreachable(Cause.CONNECTION, f"{self.uri} cannot be reached", retryable=True)
        await asyncio.sleep(self.delay)
        if not self.up:
            raise CallError(Cause.CONNECTION, f"{self.uri} dropped the connection", retryable=True)
        if self.error:
            raise self.error
        self.served.append(str(request.prompt))
        return Completion(text=self.uri)

    async def close(self) -> None:
        pass


def pool_of(*servers: Server, **policy) -> Pool:
    fast = {"backoff": 0.001, "max_backoff": 0.01, "concurrency": 8}
    return Pool(Replicas(URI, servers), SendPolicy(**(fast | policy)))


async def send(pool: Pool, count: int, at_once: int = 16, affinity: str = "") -> list[str]:
    numbers = iter(range(count))
    texts: list[str] = []

    async def work() -> None:
        for number in numbers:
            texts.append((await pool.complete(ask(number, affinity))).text)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return texts


def test_a_uri_with_several_urls_is_several_engines_and_one() -> None:
    engine = load_engine(str(URI))
    assert isinstance(engine, Replicas)
    assert [replica.uri for replica in engine.info.replicas] == [
        f"vllm:m@http://127.0.0.1:{port}/v1" for port in (1, 2, 3)
    ]
    assert engine.uri == str(URI)
    assert pickle.loads(pickle.dumps(engine)).uri == engine.uri
    assert Pool(engine, SendPolicy(concurrency=10)).window == 60


def test_a_url_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        load_engine("vllm:m@http://a/v1,http://a/v1")


@virtual_time
async def test_all_are_used_and_each_request_is_served_once() -> None:
    servers = [Server(name) for name in "abc"]
    texts = await send(pool_of(*servers), 300)
    assert sorted(p for server in servers for p in server.served) == sorted(
        f"p{n}" for n in range(300)
    )
    assert all(count > 50 for count in Counter(texts).values())
    assert len(Counter(texts)) == 3


@virtual_time
async def test_a_slow_one_gets_little_and_holds_nobody_up() -> None:
    fast, slow = Server("fast", 0.002), Server("slow", 0.2)
    pool = pool_of(fast, slow)
    await send(pool, 40, at_once=6)
    before = len(slow.served)
    await send(pool, 300, at_once=6)
    assert len(slow.served) - before < 0.1 * 300


@virtual_time
async def test_one_that_dies_loses_nothing_and_is_left_alone() -> None:
    a, b = Server("a"), Server("b")
    pool = pool_of(a, b)

    async def die() -> None:
        await asyncio.sleep(0.05)
        b.up = False

    texts, _ = await asyncio.gather(send(pool, 400), die())
    assert len(texts) == 400
    assert len(b.served) > 5
    sent = pool.sent
    await send(pool, 200)
    assert pool.sent - sent <= 203


@virtual_time
async def test_one_that_comes_back_is_used_again() -> None:
    a, b = Server("a"), Server("b")
    b.up = False
    pool = pool_of(a, b)
    await send(pool, 50)
    b.up = True
    await asyncio.sleep(0.6)
    await send(pool, 200)
    assert len(b.served) > 40


@virtual_time
async def test_requests_that_begin_alike_keep_together_while_that_is_no_burden() -> None:
    servers = [Server(name) for name in "abc"]
    pool = pool_of(*servers)
    texts = [(await pool.complete(ask(n, "the same beginning"))).text for n in range(30)]
    assert Counter(texts).most_common(1)[0][1] >= 27
    busy = await send(pool, 300, at_once=24, affinity="the same beginning")
    assert min(Counter(busy).values()) > 40


@virtual_time
async def test_an_outage_of_all_ends_everything_after_a_while_and_says_why() -> None:
    servers = [Server("http://a"), Server("http://b")]
    pool = pool_of(*servers, outage=0.3, attempts=100)
    await send(pool, 20)
    for server in servers:
        server.up = False
    results = await asyncio.gather(*(send(pool, 5) for _ in range(3)), return_exceptions=True)
    assert {type(result) for result in results} == {EngineUnusableError}
    assert "no sign of life for 0.3 s" in str(results[0])
    assert "cannot be reached" in str(results[0])


@virtual_time
async def test_an_outage_that_ends_in_time_costs_no_sample() -> None:
    a, b = Server("a"), Server("b")
    pool = pool_of(a, b, attempts=6)
    await send(pool, 20)

    async def outage() -> None:
        await asyncio.sleep(0.02)
        a.up = b.up = False
        await asyncio.sleep(1.0)
        a.up = b.up = True

    texts, _ = await asyncio.gather(send(pool, 600), outage())
    assert len(texts) == 600


async def test_one_that_cannot_be_opened_does_not_matter() -> None:
    a, b = Server("a"), Server("b")
    b.up = False
    engine = Replicas(URI, [a, b])
    await engine.open()
    assert await engine.identify() == "vllm:m"
    await engine.close()


async def test_none_that_can_be_opened_does() -> None:
    servers = [Server("a"), Server("b")]
    for server in servers:
        server.up = False
    with pytest.raises(EngineUnusableError, match="nobody there"):
        await Replicas(URI, servers).open()
    with pytest.raises(EngineUnusableError, match="nobody there"):
        await Replicas(URI, servers).identify()


async def test_a_refused_key_at_one_of_them_ends_the_run() -> None:
    a, b = Server("a"), Server("b")
    b.open_error = EngineUnusableError("bad key")
    with pytest.raises(EngineUnusableError, match="bad key"):
        await Replicas(URI, [a, b]).open()
    b.open_error, pool = None, pool_of(a, b)
    await send(pool, 10)
    b.error = EngineUnusableError("bad key")
    with pytest.raises(EngineUnusableError, match="bad key"):
        await send(pool, 50)


async def test_different_models_are_told_apart() -> None:
    with pytest.raises(EngineUnusableError, match=r"vllm:m, vllm:other.*name the one"):
        await Replicas(URI, [Server("a"), Server("b", identity="vllm:other")]).identify()


async def test_a_refusal_to_answer_is_no_sign_of_death() -> None:
    server = Server("a")
    server.error = ReplyError(Cause.REFUSED, "filtered")
    pool = pool_of(server)
    for number in range(30):
        with pytest.raises(ReplyError):
            await pool.complete(ask(number))
    assert pool.sent == 30


@virtual_time
async def test_a_waiter_that_goes_away_gives_its_place_back() -> None:
    server = Server("a", 0.05)
    pool = pool_of(server, concurrency=1)
    tasks = [asyncio.create_task(pool.complete(ask(n))) for n in range(4)]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    await asyncio.sleep(0.05)
    tasks[2].cancel()
    assert (await tasks[3]).text == "a"
    assert server.served[0] == "p0"
    assert server.served[-1] == "p3"
    assert (await pool.complete(ask(9))).text == "a"


async def test_what_they_gave_up_is_told_once_and_counted_for_each() -> None:
    info = Replicas(URI, [Server("a"), Server("b")]).info
    assert (info.notes, info.refused, info.reasoning) == (("does not take a seed",), 2, False)


async def test_a_sample_has_one_budget_for_all_that_it_asks() -> None:
    server = Server("a")
    server.error = CallError(Cause.SERVER_ERROR, "oops", retryable=True)
    pool = pool_of(server, attempts=4)
    budget = pool.budget()
    with pytest.raises(CallError) as caught:
        await pool.complete(ask(), budget)
    assert (caught.value.attempts, pool.sent) == (4, 4)
    with pytest.raises(CallError) as caught:
        await pool.complete(Request(prompt="q", sampling=Sampling(), turn="swapped"), budget)
    assert (caught.value.attempts, pool.sent) == (1, 5)
    assert [attempt.turn for attempt in budget.failed] == ["main"] * 4 + ["swapped"]
    assert {attempt.endpoint for attempt in budget.failed} == {"a"}


async def test_a_server_that_asks_to_wait_longer_than_an_outage_ends_everything() -> None:
    server = Server("a")
    server.error = CallError(Cause.RATE_LIMITED, "tomorrow", retryable=True, retry_after=86400)
    pool = pool_of(server)
    with pytest.raises(EngineUnusableError, match="tomorrow; it asks to wait 86400 s"):
        await pool.complete(ask())
    assert pool.sent == 1
    with pytest.raises(EngineUnusableError, match="same command again"):
        await pool.complete(ask())
    assert pool.sent == 1  # Nothing is sent before the time.


async def test_one_that_asks_to_wait_for_long_is_left_alone_and_the_others_go_on() -> None:
    a, b = Server("a"), Server("b")
    a.error = CallError(Cause.RATE_LIMITED, "tomorrow", retryable=True, retry_after=86400)
    pool = pool_of(a, b)
    assert {*await send(pool, 100)} == {"b"}
    assert pool.sent <= 100 + 8
    b.error = CallError(Cause.SERVER_ERROR, "maintenance", retryable=True, retry_after=86400)
    with pytest.raises(EngineUnusableError, match="it asks to wait 86400 s"):
        await send(pool, 100)


class Strict(Server):
    """Asks one request to wait until tomorrow, late or at once."""

    def __init__(self, name: str, late: float) -> None:
        super().__init__(name, 0.02)
        self.late = late
        self.refused = 0

    async def complete(self, request: Request) -> Completion:
        if request.prompt != "p99":
            return await super().complete(request)
        self.refused += 1
        await asyncio.sleep(self.late)
        raise CallError(Cause.RATE_LIMITED, "you", retryable=True, retry_after=86400)


@pytest.mark.parametrize("late", [0.0, 0.1])
async def test_one_request_that_is_to_wait_for_long_fails_alone_where_others_are_answered(
    late: float,
) -> None:
    server = Strict("a", late)
    pool = pool_of(server)
    refused = asyncio.create_task(pool.complete(ask(99)))
    assert len(await send(pool, 40)) == 40
    with pytest.raises(CallError, match="you") as caught:
        await refused
    assert (caught.value.cause, server.refused) == (Cause.RATE_LIMITED, 1)
    assert (await pool.complete(ask(1))).text == "a"
