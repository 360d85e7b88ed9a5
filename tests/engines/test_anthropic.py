import asyncio
import json
import pickle

import msgspec
import pytest

from plaudit.engines.anthropic import AnthropicEngine
from plaudit.engines.base import Request, Sampling, Schema
from plaudit.engines.uri import EngineURI
from plaudit.errors import (
    CallError,
    Cause,
    EngineUnusableError,
    ReplyError,
    UsageError,
)
from plaudit.types import Message, Usage
from tests.support.server import FakeAnthropic, Reply, anthropic_error, message

KEY = "sk-ant-secret-0123456789"
SCHEMA = Schema("verdict", msgspec.Raw(b'{"type": "object"}'))
ASK = Request(
    prompt=(Message("system", "be good"), Message("user", "hi")), sampling=Sampling(max_tokens=9)
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


@pytest.fixture
async def engines():
    made = []

    def make(server: FakeAnthropic, model="claude-x", options="") -> AnthropicEngine:
        made.append(AnthropicEngine(EngineURI.parse(f"claude:{model}@{server.url}{options}")))
        return made[-1]

    yield make
    for engine in made:
        await engine.close()


async def test_body_and_headers(engines):
    with FakeAnthropic("fine", key=KEY) as server:
        sampling = Sampling(max_tokens=9, stop=("END",), extra=(("top_k", 3),))
        reply = await engines(server).complete(msgspec.structs.replace(ASK, sampling=sampling))
    sent = server.completions[0]
    assert sent.body == {
        "model": "claude-x",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "system": "be good",
        "temperature": 0.0,
        "stop_sequences": ["END"],
        "top_k": 3,
    }
    assert sent.path == "/v1/messages"
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in sent.headers
    assert (reply.text, reply.finish_reason, reply.usage) == ("fine", "stop", Usage(12, 3))
    assert reply.logprobs is None


@pytest.mark.parametrize(
    ("messages", "system", "sent"),
    [
        ((Message("user", "a"),), None, ["a"]),
        ((Message("system", "s"),), None, ["s"]),
        (
            (
                Message("system", "s"),
                Message("user", "a"),
                Message("system", [{"type": "text", "text": "t"}]),
                Message("assistant", "b"),
            ),
            "s\n\nt",
            ["a", "b"],
        ),
    ],
)
async def test_system_messages_are_lifted(messages, system, sent, engines):
    with FakeAnthropic() as server:
        await engines(server).complete(Request(prompt=messages, sampling=Sampling()))
    assert server.bodies[0].get("system") == system
    assert [entry["content"] for entry in server.bodies[0]["messages"]] == sent


async def test_schema_is_a_forced_tool(engines):
    verdict = {"score": 7, "why": ["é", None]}
    with FakeAnthropic(message("Let me see.", tool_input=verdict)) as server:
        reply = await engines(server).complete(msgspec.structs.replace(ASK, schema=SCHEMA))
    body = server.bodies[0]
    assert body["tool_choice"] == {"type": "tool", "name": "verdict"}
    assert body["tools"][0]["input_schema"] == {"type": "object"}
    assert json.loads(reply.text) == verdict
    assert reply.finish_reason == "stop"


async def test_schema_tool_cut_off(engines):
    with FakeAnthropic(message(tool_input={}, stop_reason="max_tokens")) as server:
        reply = await engines(server).complete(msgspec.structs.replace(ASK, schema=SCHEMA))
    assert reply.finish_reason == "length"


def picky(body):
    if "tools" in body:
        return anthropic_error(400, "tool_choice forces tool use is not compatible with thinking")
    if "top_p" in body and "temperature" in body:
        return anthropic_error(
            400, "`temperature` and `top_p` cannot both be specified for this model."
        )
    if "temperature" in body:
        return anthropic_error(400, "`temperature` is deprecated for this model.")
    return message("{}")


async def test_negotiation(engines):
    ask = msgspec.structs.replace(ASK, schema=SCHEMA, sampling=Sampling(top_p=0.5))
    with FakeAnthropic(picky) as server:
        engine = engines(server)
        await asyncio.gather(*(engine.complete(ask) for _ in range(50)))
        assert engine.info.refused == 3
        assert len(server.bodies) == 53
        assert len(engine.info.notes) == 3


async def test_top_p_goes_first(engines):
    def reply(body):
        return picky(body) if "top_p" in body else "fine"

    ask = msgspec.structs.replace(ASK, sampling=Sampling(top_p=0.5))
    with FakeAnthropic(reply) as server:
        await engines(server).complete(ask)
        assert server.bodies[-1]["temperature"] == 0.0


@pytest.mark.parametrize(
    ("stop_reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "unknown"),
    ],
)
async def test_stop_reason(stop_reason, expected, engines):
    with FakeAnthropic(message("x", stop_reason=stop_reason)) as server:
        assert (await engines(server).complete(ASK)).finish_reason == expected


async def test_refusal(engines):
    with (
        FakeAnthropic(message("", stop_reason="refusal")) as server,
        pytest.raises(ReplyError) as caught,
    ):
        await engines(server).complete(ASK)
    assert caught.value.cause is Cause.REFUSED


async def test_usage_counts_cached_tokens(engines):
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 300,
        "output_tokens": None,
    }
    with FakeAnthropic(message("x", usage=usage)) as server:
        assert (await engines(server).complete(ASK)).usage == Usage(321, 0)


@pytest.mark.parametrize(
    ("reply", "cause", "retryable"),
    [
        (anthropic_error(529, "Overloaded", "overloaded_error"), Cause.SERVER_ERROR, True),
        (anthropic_error(429, "slow", "rate_limit_error"), Cause.RATE_LIMITED, True),
        (anthropic_error(500, "oops", "api_error"), Cause.SERVER_ERROR, True),
        (anthropic_error(400, "bad", "invalid_request_error"), Cause.BAD_REQUEST, False),
        (anthropic_error(413, "big", "request_too_large"), Cause.BAD_REQUEST, False),
        (
            anthropic_error(400, "prompt is too long: 208310 tokens > 200000 maximum"),
            Cause.CONTEXT_OVERFLOW,
            False,
        ),
        (Reply(200, {"type": "message"}), Cause.BAD_RESPONSE, True),
        (Reply(200, {"content": "text"}), Cause.BAD_RESPONSE, True),
        (Reply(200, b"<html>"), Cause.BAD_RESPONSE, True),
    ],
)
async def test_failures(reply, cause, retryable, engines):
    with (
        FakeAnthropic(reply) as server,
        pytest.raises(CallError) as caught,
    ):
        await engines(server).complete(ASK)
    assert (caught.value.cause, caught.value.retryable) == (cause, retryable)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (anthropic_error(401, f"invalid x-api-key {KEY}"), "ANTHROPIC_API_KEY"),
        (anthropic_error(404, "model: claude-x", "not_found_error"), "claude-x"),
        (anthropic_error(400, "Your credit balance is too low to access"), "credit"),
    ],
)
async def test_ends_the_run(reply, message, engines):
    with (
        FakeAnthropic(reply) as server,
        pytest.raises(EngineUnusableError, match=message) as caught,
    ):
        await engines(server).complete(ASK)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"logprobs": 5}, {"prompt": "text"}], ids=["logprobs", "completion"]
)
async def test_what_it_does_not_have(wrong, engines):
    with (
        FakeAnthropic() as server,
        pytest.raises(EngineUnusableError, match=r"readout=.json"),
    ):
        await engines(server).complete(msgspec.structs.replace(ASK, **wrong))


async def test_discovery_and_identity(engines):
    with FakeAnthropic(models=["claude-y"]) as server:
        engine = engines(server, model="", options="?revision=r1")
        await engine.open()
        assert await engine.identify() == "anthropic:claude-y@r1"
        assert {request.path for request in server.requests} == {"/v1/models"}
        server.models = ["a", "b"]
        with pytest.raises(EngineUnusableError, match="a, b"):
            await engines(server, model="").identify()


async def test_preflight_refuses_bad_key(engines):
    with (
        FakeAnthropic(key="another") as server,
        pytest.raises(EngineUnusableError, match="ANTHROPIC_API_KEY"),
    ):
        await engines(server).open()


async def test_base_url(monkeypatch):
    with FakeAnthropic("x") as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        for uri in ("anthropic:m", f"anthropic:m@{server.url}/v1"):
            engine = AnthropicEngine(EngineURI.parse(uri))
            assert (await engine.complete(ASK)).text == "x"
            await engine.close()


async def test_public_endpoint_needs_a_key(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    engine = AnthropicEngine(EngineURI("claude", "m"))
    with pytest.raises(EngineUnusableError, match="set ANTHROPIC_API_KEY"):
        await engine.open()
    await engine.close()


def test_capabilities_and_secrets():
    engine = AnthropicEngine(EngineURI("claude", "m"))
    assert engine.uri == "claude:m"
    assert not engine.info.reasoning
    assert engine.capabilities.logprobs == 0
    assert engine.capabilities.json_schema
    assert not engine.capabilities.completion
    assert KEY.encode() not in pickle.dumps(engine) + repr(vars(engine)).encode()
    assert pickle.loads(pickle.dumps(engine)).uri == engine.uri


@pytest.mark.parametrize(
    "uri",
    [
        EngineURI("anthropic", "m", ("http://a", "http://b")),
        EngineURI("anthropic", "m", (), (("logprobs", "5"),)),
        EngineURI("openai", "m"),
    ],
)
def test_usage_errors(uri):
    with pytest.raises(UsageError):
        AnthropicEngine(uri)
