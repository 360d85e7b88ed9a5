"""Whether an endpoint is down, or single requests to it are bad: a request that worked decides."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from plaudit.engines.base import Capabilities, Completion, Request, Sampling, Schema
from plaudit.engines.http.errors import Rejected, Unreachable
from plaudit.engines.replicas import Replicas
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError
from plaudit.sending.endpoints import harmless
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.types import Message, Usage

BAD = CallError(Cause.SERVER_ERROR, "boom", retryable=True)
REJECTED = Rejected("answered 403: no", "set a key")
FAST = SendPolicy(attempts=6, backoff=0.0001, max_backoff=0.0002, outage=5)


def ask(text: str, **fields) -> Request:
    return Request(prompt=text, sampling=Sampling(), **fields)


class Server:
    """Answers all but what a test says; an exception is raised, None is never answered."""

    capabilities = Capabilities()

    def __init__(self, says: Callable[[Request], Exception | None] = lambda _: None) -> None:
        self.uri = "test:"
        self.says = says
        self.asked: list[Request] = []

    @property
    def texts(self) -> list[object]:
        return [request.prompt for request in self.asked]

    async def identify(self) -> str:
        return "test"

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        await asyncio.sleep(0)
        if error := self.says(request):
            raise error
        return Completion(text="fine", usage=Usage(len(request.prompt), 1))


def about(text: str, error: Exception) -> Callable[[Request], Exception | None]:
    return lambda request: error if text in request.prompt else None


async def outcomes(pool: Pool, texts: list[str]) -> list[object]:
    asked = (pool.complete(ask(text)) for text in texts)
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_requests_that_always_fail_leave_the_endpoint_up() -> None:
    server = Server(about("bad", BAD))
    pool = Pool(server, FAST)
    await outcomes(pool, ["a good one", "good"])
    failed = await outcomes(pool, [f"bad {n}" for n in range(20)])
    assert {str(error) for error in failed} == {"boom"}
    assert (await pool.complete(ask("better"))).text == "fine"
    assert server.texts.count("good") > 1  # The cheapest that worked was the probe.
    assert server.texts.count("a good one") == 1
    assert pool.sent == len(server.asked)


async def test_an_outage_is_one_where_what_worked_fails_too() -> None:
    server = Server()
    pool = Pool(server, msgspec.structs.replace(FAST, outage=0.05))
    await pool.complete(ask("good"))
    server.says = lambda _: BAD
    found = await outcomes(pool, [f"any {n}" for n in range(50)])
    ended = [error for error in found if isinstance(error, EngineUnusableError)]
    assert ended
    assert "no sign of life for 0.05 s; the last failure: boom" in str(ended[0])
    assert "good" in server.texts[1:]


async def test_before_anything_worked_harmless_text_is_the_probe() -> None:
    server = Server(about("bad", BAD))
    pool = Pool(server, FAST)
    failed = await outcomes(pool, [f"bad {n}" for n in range(8)])
    assert {type(error) for error in failed} == {CallError}
    probes = [request for request in server.asked if request.turn == "probe"]
    assert probes
    assert "bad" not in probes[0].prompt


async def test_what_never_answers_costs_its_own_attempts_only() -> None:
    class Hanging(Server):
        async def complete(self, request: Request) -> Completion:
            await asyncio.sleep(3600 if "bad" in request.prompt else 0)
            return await super().complete(request)

    pool = Pool(Hanging(), msgspec.structs.replace(FAST, timeout=0.02, outage=1))
    await pool.complete(ask("good"))
    failed = await outcomes(pool, [f"bad {n}" for n in range(8)])
    assert [error.cause for error in failed if isinstance(error, CallError)] == [Cause.TIMEOUT] * 8
    assert (await pool.complete(ask("good"))).text == "fine"


async def test_requests_that_wait_for_an_endpoint_lose_no_attempt_to_its_trials() -> None:
    server = Server()
    pool = Pool(server, msgspec.structs.replace(FAST, attempts=4, outage=30))
    await pool.complete(ask("good"))
    server.says = lambda _: Unreachable(Cause.CONNECTION, "nobody there", retryable=True)
    waiting = [asyncio.create_task(pool.complete(ask(f"w{n}"))) for n in range(3)]
    while "good" not in server.texts[1:]:  # The first trial.
        await asyncio.sleep(0.01)
    server.says = lambda _: None
    assert [reply.text for reply in await asyncio.gather(*waiting)] == ["fine"] * 3


async def test_what_was_let_in_before_the_endpoint_went_is_no_trial() -> None:
    """All that is in flight may fail at once; one trial follows, and not one for each."""
    server = Server()
    pool = Pool(server, msgspec.structs.replace(FAST, attempts=50, outage=30, concurrency=20))
    await outcomes(pool, [f"good {n}" for n in range(60)])
    server.says = lambda _: CallError(Cause.CONNECTION, "reset", retryable=True)
    waiting = [asyncio.create_task(pool.complete(ask(f"w{n}"))) for n in range(60)]
    while not pool.busy or server.texts.count("good 0") < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert server.texts.count("good 0") == 2
    server.says = lambda _: None
    assert {reply.text for reply in await asyncio.gather(*waiting)} == {"fine"}


@pytest.mark.parametrize("first", [True, False])
async def test_a_rejection_of_one_request_is_its_own(first: bool) -> None:
    server = Server(about("bad", REJECTED))
    pool = Pool(server, FAST)
    if not first:
        await pool.complete(ask("good"))
    budget = pool.budget()
    with pytest.raises(CallError, match=r"^answered 403: no$") as caught:
        await pool.complete(ask("bad"), budget)
    assert (caught.value.cause, caught.value.attempts) == (Cause.BAD_REQUEST, 1)
    assert [attempt.cause for attempt in budget.failed] == [Cause.BAD_REQUEST]
    assert (await pool.complete(ask("good"))).text == "fine"


async def test_a_rejection_of_everything_is_the_end() -> None:
    server = Server()
    pool = Pool(server, FAST)
    await outcomes(pool, [f"good {n}" for n in range(20)])
    server.says = lambda _: REJECTED
    found = await outcomes(pool, [f"any {n}" for n in range(40)])
    assert {type(error) for error in found} == {Rejected}
    assert "set a key" in str(found[0])
    assert len(server.asked) <= 20 + 10 + 40


async def test_from_the_start_one_probe_is_enough() -> None:
    server = Server(lambda _: REJECTED)
    found = await outcomes(Pool(server, FAST), [f"any {n}" for n in range(8)])
    assert {type(error) for error in found} == {Rejected}
    assert [request.turn for request in server.asked].count("probe") == 1


async def test_many_rejected_requests_need_few_probes() -> None:
    server = Server(about("bad", REJECTED))
    pool = Pool(server, FAST)
    for number in range(200):
        found = await outcomes(pool, [f"good {number}", f"bad {number}"])
        assert [type(one) for one in found] == [Completion, CallError]
    assert pool.sent <= 400 + 20


async def test_a_probe_that_fails_in_another_way_proves_nothing() -> None:
    server = Server(about("bad", REJECTED))
    pool = Pool(server, FAST)
    await pool.complete(ask("good"))
    server.says = lambda request: REJECTED if "bad" in request.prompt else BAD
    with pytest.raises(CallError, match="answered 403"):
        await pool.complete(ask("bad"))


async def test_a_refusal_to_write_shows_that_the_key_is_taken() -> None:
    refused = ReplyError(Cause.REFUSED, "filtered")
    server = Server(lambda request: REJECTED if "bad" in request.prompt else refused)
    with pytest.raises(CallError, match="answered 403"):
        await Pool(server, FAST).complete(ask("bad"))


async def test_bad_requests_take_no_replica_down() -> None:
    servers = [Server(about("bad", BAD)), Server(about("bad", REJECTED))]
    pool = Pool(Replicas(EngineURI("test"), servers), FAST)
    texts = [f"{'bad' if n % 10 == 0 else 'good'} {n}" for n in range(300)]
    found = await outcomes(pool, texts)
    kinds = [isinstance(one, Completion) for one in found]
    assert kinds == ["good" in text for text in texts]
    assert all(endpoint.asked for endpoint in servers)


async def test_each_kind_of_request_is_probed_with_its_own() -> None:
    """Where chats are answered and completions are not, the latter are not only bad samples."""
    server = Server(lambda request: REJECTED if isinstance(request.prompt, str) else None)
    pool = Pool(server, FAST)
    await pool.complete(Request(prompt=(Message("user", "hi"),), sampling=Sampling()))
    chats = (
        pool.complete(Request(prompt=(Message("user", f"{n}"),), sampling=Sampling()))
        for n in range(9)
    )
    found = await asyncio.gather(pool.complete(ask("hi")), *chats, return_exceptions=True)
    assert [type(one) for one in found] == [Rejected, *[Completion] * 9]


def test_harmless_text_keeps_what_is_asked_for() -> None:
    schema = Schema("s", msgspec.Raw(b"{}"))
    sampling = Sampling(max_tokens=3072, temperature=0.5)
    request = Request(
        prompt=(Message("system", "x"), Message("user", "y")), sampling=sampling, schema=schema,
        logprobs=5, shared=1, sample_id="s", draw=3,
    )  # fmt: skip
    made = harmless(request)
    assert [message.role for message in made.prompt] == ["user"]
    assert (made.schema, made.logprobs, made.sampling.temperature) == (schema, 5, 0.5)
    assert made.sampling.max_tokens < 100
    assert (made.shared, made.sample_id, made.draw) == (0, "", 0)
    assert isinstance(harmless(ask("z", prompt_ids=(1, 2))).prompt, str)
    assert harmless(ask("z", prompt_ids=(1, 2))).prompt_ids == ()
