"""The reply cache: keyed by all that can change a reply, and it never keeps a failure."""

import asyncio
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.engines.base import (
    Capabilities,
    Completion,
    Request,
    Sampling,
    Schema,
    TokenLogprob,
    ToolCall,
    ToolSpec,
)
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError
from plaudit.judges.readout import read_options
from plaudit.runs.cached import CachedClient, CachePolicy, RequestKeys, SampleClient, trim
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.types import Message, Sample, Usage
from tests.judges.making import show


def request_key(identity: str, request: Request) -> bytes:
    return RequestKeys(identity).key(request)


ASK = Request(prompt="p", sampling=Sampling(), sample_id="s", logprobs=20, options=("yes", "no"))
FAST = SendPolicy(attempts=1, timeout=5)


class Store(dict):
    """A store in memory."""

    def get_reply(self, key: bytes) -> Completion | None:
        return self.get(key)

    def get_replies(self, keys) -> dict[bytes, Completion]:
        return {key: self[key] for key in keys if key in self}

    def put_reply(self, key: bytes, completion: Completion) -> None:
        self[key] = completion


class Engine:
    """Answers with the number of the request, or raises what it was given."""

    uri = "test:"
    capabilities = Capabilities(completion=True)

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.count = 0

    async def identify(self) -> str:
        return "test"

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.count += 1
        number = self.count
        await asyncio.sleep(0.002)
        if self.errors:
            raise self.errors.pop(0)
        return Completion(text=str(number), usage=Usage(10, 1))


def client(
    engine: Engine, store: Store | None = None, identity: str = "test", **policy
) -> CachedClient:
    return CachedClient(Pool(engine, FAST), identity, store, CachePolicy(**policy))


def changed(**fields) -> Request:
    return msgspec.structs.replace(ASK, **fields)


def sampled(**fields) -> Request:
    return changed(sampling=Sampling(**fields))


def tool(name: str = "search", description: str = "", parameters: bytes = b"{}") -> ToolSpec:
    return ToolSpec(name, description, msgspec.Raw(parameters))


# The key.

DIFFERENT = [
    changed(prompt="q"),
    changed(prompt=(Message("user", "p"),)),
    changed(prompt=(Message("assistant", "p"),)),
    changed(prompt=(Message("user", "p"), Message("user", ""))),
    sampled(temperature=0.1),
    sampled(top_p=0.5),
    sampled(max_tokens=2),
    sampled(seed=1),
    sampled(seed=None),
    sampled(stop=("x",)),
    sampled(extra=(("min_p", 0.1),)),
    sampled(extra=(("min_p", 0.2),)),
    changed(draw=1),
    changed(logprobs=0),
    changed(keep=9),
    changed(options=("yes",)),
    changed(options=("no", "yes")),
    changed(schema=Schema("v", msgspec.Raw(b"{}"))),
    changed(schema=Schema("v", msgspec.Raw(b'{"type": "object"}'))),
    changed(continuation="c"),
    changed(trace_tokens=True),
    changed(trace_tokens=True, continuation="c"),
    changed(prompt_ids=(1,)),
    changed(prompt_ids=(1,), trace_tokens=True),
    changed(prompt_ids=(1, 2)),
    changed(prompt_ids=(12,)),
    changed(tools=(tool(),)),
    changed(tools=(tool(), tool())),
    changed(tools=(tool("search "),)),
    changed(tools=(tool("searc", "h"),)),
    changed(tools=(tool(parameters=b'{"type":"object"}'),)),
    changed(tools=(tool(),), prompt_ids=(1,), trace_tokens=True),
]


def test_the_key_changes_with_all_that_can_change_the_reply() -> None:
    keys = [request_key("m", request) for request in [ASK, *DIFFERENT]]
    keys.append(request_key("another", ASK))
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {16}


@pytest.mark.parametrize("request_", [changed(sample_id="other"), changed(turn="swapped")])
def test_the_key_does_not_depend_on_what_it_is_asked_for(request_: Request) -> None:
    assert request_key("m", request_) == request_key("m", ASK)


@settings(deadline=None)
@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_two_messages_never_share_a_key_by_joining(a: str, b: str, c: str, d: str) -> None:
    one = changed(prompt=(Message("user", a), Message("assistant", b)))
    other = changed(prompt=(Message("user", c), Message("assistant", d)))
    assert (request_key("m", one) == request_key("m", other)) == ((a, b) == (c, d))


TURNS = tuple(Message("user", f"turn {n}") for n in range(4))


@pytest.mark.parametrize("prompt", ["one two three", TURNS])
def test_the_key_does_not_depend_on_what_is_hashed_once(prompt) -> None:
    keys = RequestKeys("m")
    for shared in (0, 1, 3, 2, 99):
        request = changed(prompt=prompt, shared=shared)
        assert keys.key(request) == request_key("m", changed(prompt=prompt))
        other = changed(prompt=(*prompt[:2], TURNS[0]) if prompt is TURNS else "one three")
        assert keys.key(other) == request_key("m", other) != keys.key(request)


def test_a_text_never_passes_for_another_and_its_draw() -> None:
    one, other = changed(prompt="a1", draw=0), changed(prompt="a", draw=10)
    assert request_key("m", one) != request_key("m", other)


def test_what_rollouts_add_changes_no_key_without_it() -> None:
    chat = changed(prompt=(Message("user", "p"),), draw=3, continuation="x")
    assert request_key("m", ASK).hex() == "7f880c8dd8d17613301820d5ad4ff973"
    assert request_key("m", chat).hex() == "d5a529410841c0a143dfaa52197a769a"


ROLLOUT_REQUESTS = st.builds(
    changed,
    tools=st.lists(
        st.builds(
            tool,
            st.text(max_size=3),
            st.text(max_size=3),
            st.sampled_from([b"{}", b"\xa0\x91", b""]),
        ),
        max_size=3,
    ).map(tuple),
    prompt_ids=st.lists(st.integers(0, 2**31), max_size=3).map(tuple),
    trace_tokens=st.booleans(),
)


@settings(deadline=None)
@given(ROLLOUT_REQUESTS, ROLLOUT_REQUESTS)
def test_two_requests_of_rollouts_never_share_a_key(one: Request, other: Request) -> None:
    assert (request_key("m", one) == request_key("m", other)) == (one == other)


def test_a_schema_never_passes_for_what_comes_after_it() -> None:
    whole = msgspec.msgpack.encode(([("search", "", b"{}")], (7,), False))
    inner = tool(parameters=b"{}" + whole[whole.index(b"{}") + 2 :])
    assert request_key("m", changed(tools=(inner,))) != request_key(
        "m", changed(tools=(tool(),), prompt_ids=(7,))
    )


# Asking.


async def test_a_reply_that_came_meanwhile_serves_samples_that_were_looked_up_before() -> None:
    engine = Engine()
    ask = client(engine, Store())
    sample = Sample(id="s", index=0)
    questions = ask.look_up([(sample, [ASK]), (sample, [ASK])])
    for question in questions:
        assert (await SampleClient(ask, question)(ASK)).text == "1"
        ask.release(question)
    assert engine.count == 1
    assert (await SampleClient(client(engine), questions[0])(ASK)).text == "2"


async def test_what_is_kept_for_samples_is_forgotten_with_them() -> None:
    ask = client(Engine())
    (question,) = ask.look_up([(Sample(id="s", index=0), [ASK])])
    await SampleClient(ask, question)(ASK)
    ask.release(question)
    assert (await SampleClient(ask)(ASK)).text == "2"


async def test_the_same_request_in_flight_is_sent_once() -> None:
    engine = Engine()
    ask = client(engine, Store())
    samples = [SampleClient(ask) for _ in range(5)]
    replies = await asyncio.gather(*(sample(ASK) for sample in samples))
    assert {reply.text for reply in replies} == {"1"}
    assert (engine.count, ask.pool.sent, ask.usage) == (1, 1, Usage(10, 1))
    assert not any(sample.from_store for sample in samples)


async def test_the_second_time_it_comes_from_the_store() -> None:
    engine, store = Engine(), Store()
    await SampleClient(client(engine, store))(ASK)
    again = client(engine, store)
    sample = SampleClient(again)
    assert (await sample(ASK)).text == "1"
    assert (engine.count, sample.from_store, again.usage) == (1, True, Usage())
    assert sample.requests == [ASK]


async def test_another_model_does_not_get_the_stored_reply() -> None:
    engine, store = Engine(), Store()
    await SampleClient(client(engine, store))(ASK)
    assert (await SampleClient(client(engine, store, "another"))(ASK)).text == "2"


@pytest.mark.parametrize(
    "error",
    [
        CallError(Cause.TIMEOUT, "late"),
        CallError(Cause.BAD_RESPONSE, "html", retryable=True),
        EngineUnusableError("bad key"),
    ],
)
async def test_a_failure_is_never_stored(error: Exception) -> None:
    engine, store = Engine(error), Store()
    ask = client(engine, store)
    with pytest.raises(type(error)):
        await SampleClient(ask)(ASK)
    assert store == {}
    assert (await SampleClient(ask)(ASK)).text == "2"
    assert len(store) == 1


async def test_defect_50_a_reply_of_no_use_is_stored_and_raised_again() -> None:
    refusal = ReplyError(Cause.REFUSED, "filtered")
    engine, store = Engine(refusal), Store()
    for ask in (client(engine, store), client(engine, store)):
        for _ in range(2):
            sample = SampleClient(ask)
            with pytest.raises(ReplyError, match="filtered") as caught:
                await sample(ASK)
            assert caught.value.cause is Cause.REFUSED
            assert sample.keys == list(store)
    assert sample.from_store
    assert engine.count == 1
    assert (await SampleClient(ask, fresh=True)(ASK)).text == "2"
    assert (await SampleClient(ask)(ASK)).text == "2"


async def test_defect_50_all_who_wait_for_a_reply_of_no_use_hear_of_it() -> None:
    engine = Engine(ReplyError(Cause.REFUSED, "filtered"))
    ask = client(engine, Store())
    replies = await asyncio.gather(
        *(SampleClient(ask)(ASK) for _ in range(3)), return_exceptions=True
    )
    assert [type(reply) for reply in replies] == [ReplyError] * 3
    assert engine.count == 1


async def test_all_who_wait_for_a_failing_request_hear_of_it() -> None:
    ask = client(Engine(CallError(Cause.TIMEOUT, "late")), Store())
    replies = await asyncio.gather(
        *(SampleClient(ask)(ASK) for _ in range(3)), return_exceptions=True
    )
    assert [type(reply) for reply in replies] == [CallError] * 3


async def test_a_draw_of_its_own_is_asked_of_its_own() -> None:
    engine = Engine()
    ask = client(engine, Store())
    texts = [(await SampleClient(ask)(changed(draw=draw))).text for draw in (0, 1, 0)]
    assert texts == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("policy", "texts", "kept"),
    [
        ({"read": False}, ["1", "2"], 1),
        ({"write": False}, ["1", "2"], 0),
        ({"read": False, "write": False}, ["1", "2"], 0),
    ],
)
async def test_the_store_may_be_left_alone(policy, texts, kept: int) -> None:
    engine, store = Engine(), Store()
    ask = client(engine, store, **policy)
    assert [(await SampleClient(ask)(ASK)).text for _ in range(2)] == texts
    assert len(store) == kept


async def test_without_a_store_every_request_is_sent() -> None:
    ask = client(Engine())
    assert [(await SampleClient(ask)(ASK)).text for _ in range(2)] == ["1", "2"]


async def test_a_fresh_sample_passes_the_store_over_and_replaces_the_reply() -> None:
    engine, store = Engine(), Store()
    ask = client(engine, store)
    await SampleClient(ask)(ASK)
    assert (await SampleClient(ask, fresh=True)(ASK)).text == "2"
    assert (await SampleClient(ask)(ASK)).text == "2"
    assert engine.count == 2


async def test_a_sample_that_goes_away_does_not_lose_the_others_reply() -> None:
    engine, store = Engine(), Store()
    ask = client(engine, store)
    first, second = (asyncio.create_task(SampleClient(ask)(ASK)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).text == "1"
    assert len(store) == 1


async def test_a_sample_is_from_the_store_only_as_a_whole() -> None:
    engine, store = Engine(), Store()
    ask = client(engine, store)
    assert not SampleClient(ask).from_store
    await SampleClient(ask)(ASK)
    sample = SampleClient(ask)
    await sample(ASK)
    await sample(changed(prompt="new"))
    assert (sample.from_store, sample.hits, len(sample.keys)) == (False, 1, 2)


# Trimming.

TOKENS = [
    "yes",
    " yes",
    "Yes",
    "YE",
    "no",
    " No",
    "nob",
    "The",
    "a",
    "\n",
    "b",
    "c",
    "d",
    "e",
    "nothing",
]


@st.composite
def replies(draw) -> Completion:
    tokens = draw(st.lists(st.sampled_from(TOKENS), unique=True, min_size=1))
    weights = draw(st.lists(st.floats(1e-6, 1), min_size=len(tokens), max_size=len(tokens)))
    total = math.fsum(weights) * draw(st.floats(1, 3))
    return show({t: w / total for t, w in zip(tokens, weights, strict=True)})


@settings(deadline=None)
@given(replies(), st.integers(1, 8))
def test_reading_a_trimmed_reply_equals_reading_the_whole_one(reply: Completion, keep: int) -> None:
    request = changed(options=("yes", "nobody"), keep=keep)
    trimmed = trim(reply, request)
    again = trim(trimmed, msgspec.structs.replace(request, keep=1))
    assert outcome(trimmed, request.options) == outcome(reply, request.options)
    assert outcome(again, request.options) == outcome(reply, request.options)
    assert trim(trimmed, request) == trimmed
    assert (trimmed.text, trimmed.usage) == (reply.text, reply.usage)


def outcome(reply: Completion, words: tuple[str, ...]):
    try:
        return read_options(reply, words)
    except ReplyError as error:
        return error.cause


def test_a_trimmed_reply_keeps_all_of_a_rollout() -> None:
    reply = Completion(
        text="",
        logprobs=tuple(TokenLogprob(f"t{n}", -float(n)) for n in range(9)),
        token_ids=(5, 6),
        token_logprobs=(-0.5, -1.5),
        prompt_token_ids=(1, 2, 3),
        tool_calls=(ToolCall("call-0-0", "search", "{}"),),
    )
    trimmed = trim(reply, changed(keep=3, trace_tokens=True))
    assert len(trimmed.logprobs) == 3
    assert msgspec.structs.replace(trimmed, logprobs=reply.logprobs, logprob_floor=None) == reply


def test_a_trimmed_reply_keeps_options_and_floor_and_drops_the_rest() -> None:
    shown = [TokenLogprob(f"t{n}", -float(n)) for n in range(30)]
    reply = Completion(text="x", logprobs=(*shown, TokenLogprob(" yes", -31.0)))
    trimmed = trim(reply, changed(keep=3))
    assert [c.token for c in trimmed.logprobs] == ["t0", "t1", "t2", " yes"]
    assert trimmed.logprob_floor == -31.0


@pytest.mark.parametrize("logprobs", [None, ()])
def test_a_reply_without_log_probabilities_is_left_as_it_is(logprobs) -> None:
    reply = Completion(text="x" * 100, logprobs=logprobs, token_ids=(1, 2))
    assert trim(reply, ASK) is reply
