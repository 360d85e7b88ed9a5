from typing import Any

import msgspec
import pytest

from plaudit.engines.base import Request, Sampling, Schema, TokenLogprob
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.openai.providers import is_reasoning_model, provider_of
from plaudit.engines.openai.requests import constrain
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.types import Message, Usage
from tests.support.asking import SCHEMA, TOO_MANY_LOGPROBS, TOP, request
from tests.support.server import (
    FakeOpenAI,
    Reply,
    chat,
    completion,
    error,
    map_logprobs,
)


async def test_chat_body(engines):
    with FakeOpenAI("fine") as server:
        sampling = Sampling(
            temperature=0.5, top_p=0.9, max_tokens=7, seed=3, stop=("\n",), extra=(("top_k", 4),)
        )
        reply = await engines(server).complete(request(sampling=sampling, schema=SCHEMA))
    assert server.bodies == [
        {
            "model": "m",
            "max_tokens": 7,
            "messages": [
                {"role": "system", "content": "be good"},
                {"role": "user", "content": "hi"},
            ],
            "chat_template_kwargs": {"enable_thinking": False},
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": ["\n"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "schema": {"type": "object"}, "strict": True},
            },
            "top_k": 4,
        }
    ]
    assert (reply.text, reply.finish_reason, reply.usage) == ("fine", "stop", Usage(12, 3))
    assert reply.logprobs is None


async def test_completion_body(engines):
    with FakeOpenAI(completion("yes", TOP)) as server:
        sampling = Sampling(seed=None)
        await engines(server).complete(request(chat_mode=False, logprobs=20, sampling=sampling))
    assert server.completions[0].path == "/v1/completions"
    assert server.bodies == [
        {
            "model": "m",
            "max_tokens": 1,
            "prompt": "hi",
            "temperature": 0.0,
            "top_p": 1.0,
            "logprobs": 20,
        }
    ]


async def test_tool_messages_are_sent_as_they_are(engines):
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    messages = (
        Message("user", "hi"),
        Message("assistant", tool_calls=calls),
        Message("tool", "42", tool_call_id="1"),
    )
    with FakeOpenAI() as server:
        await engines(server).complete(Request(prompt=messages, sampling=Sampling()))
    assert server.bodies[0]["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "content": "42", "tool_call_id": "1"},
    ]


async def test_extra_wins(engines):
    mine = {"enable_thinking": True}
    with FakeOpenAI() as server:
        sampling = Sampling(extra=(("chat_template_kwargs", mine),))
        await engines(server).complete(request(sampling=sampling))
    assert server.bodies[0]["chat_template_kwargs"] == mine


LOGPROB_SHAPES = {
    "chat": (True, chat("yes", TOP)),
    "chat, maps": (
        True,
        chat("yes", logprobs=None)
        | {"choices": [{"message": {"content": "yes"}, "logprobs": map_logprobs(TOP)}]},
    ),
    "completion, maps": (False, completion("yes", TOP)),
    "completion, list": (False, completion("yes", TOP, maps=False)),
    "unsorted": (True, chat("yes", TOP[::-1], sampled=TOP[0])),
    "masked and null": (
        True,
        chat("yes", [*TOP, ("x", -9999.0), ("y", -10000.0), ("z", None)]),
    ),
    "null in maps": (False, completion("yes", [*TOP, ("x", -9999.0), ("z", None)])),
    "sampled missing": (True, chat(" yes", TOP[:2], sampled=TOP[2])),
    "sampled missing in maps": (False, completion(" yes", TOP[:2], sampled=TOP[2])),
    "masked sample": (True, chat("?", TOP, sampled=("?", -9999.0))),
}


@pytest.mark.parametrize("name", LOGPROB_SHAPES)
async def test_logprobs(name, engines):
    chat_mode, answer = LOGPROB_SHAPES[name]
    with FakeOpenAI(answer) as server:
        reply = await engines(server).complete(request(chat_mode=chat_mode, logprobs=20))
    assert reply.logprobs == tuple(TokenLogprob(*entry) for entry in TOP)


async def test_logprobs_of_python_servers(engines):
    body = (
        b'{"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [{"token": "yes",'
        b'"logprob": -0.1, "top_logprobs": [{"token": "yes", "logprob": -0.1}, {"token": "a",'
        b'"logprob": -Infinity}, {"token": "b", "logprob": NaN}]}]}}]}'
    )
    with FakeOpenAI(Reply(200, body)) as server:
        reply = await engines(server).complete(request(logprobs=20))
    assert reply.logprobs == (TokenLogprob("yes", -0.1),)


async def test_same_text_twice_is_kept(engines):
    with FakeOpenAI(chat("a", [("a", -1.0), ("a", -2.0)])) as server:
        reply = await engines(server).complete(request(logprobs=20))
    assert reply.logprobs == (TokenLogprob("a", -1.0), TokenLogprob("a", -2.0))


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": []},
        {"content": None, "tokens": [], "token_logprobs": [], "top_logprobs": None},
        {"content": [{"token": "x", "logprob": -9999.0, "top_logprobs": []}]},
        {"tokens": ["x"], "token_logprobs": [None], "top_logprobs": [None]},
    ],
)
async def test_no_logprobs_although_asked(logprobs, engines):
    with FakeOpenAI(
        chat("yes", None) | {"choices": [{"message": {"content": "yes"}, "logprobs": logprobs}]}
    ) as server:
        engine = engines(server)
        for _ in range(2):
            with pytest.raises(ReplyError, match="readout json") as caught:
                await engine.complete(request(logprobs=20))
            assert caught.value.cause is Cause.OPTIONS_NOT_VISIBLE


async def test_sampled_token_alone(engines):
    answer = chat("yes") | {
        "choices": [
            {
                "message": {"content": "yes"},
                "logprobs": {"tokens": ["yes"], "token_logprobs": [-0.5], "token_ids": [9]},
            }
        ]
    }
    with FakeOpenAI(answer) as server:
        reply = await engines(server, "together").complete(request(logprobs=20))
    assert reply.logprobs == (TokenLogprob("yes", -0.5),)
    assert server.bodies[0]["logprobs"] == 20
    assert "top_logprobs" not in server.bodies[0]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        (None, "unknown"),
        ("whatever", "unknown"),
    ],
)
async def test_finish_reason(given, expected, engines):
    with FakeOpenAI(chat("x", finish_reason=given)) as server:
        reply = await engines(server).complete(request())
    assert reply.finish_reason == expected


async def test_broken_off_is_no_reply(engines):
    with (
        FakeOpenAI(chat("half", finish_reason="abort")) as server,
        pytest.raises(CallError) as caught,
    ):
        await engines(server).complete(request())
    assert (caught.value.cause, caught.value.retryable) == (Cause.SERVER_ERROR, True)


@pytest.mark.parametrize(
    "answer",
    [
        chat("", finish_reason="content_filter"),
        chat(None, message={"content": None, "refusal": "I will not"}),
    ],
)
async def test_refused(answer, engines):
    with (
        FakeOpenAI(answer) as server,
        pytest.raises(ReplyError) as caught,
    ):
        await engines(server).complete(request())
    assert caught.value.cause is Cause.REFUSED


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": "a", "reasoning_content": "thoughts", "reasoning": "more"}, "a"),
        ({"content": [{"type": "thinking"}, {"type": "text", "text": "a"}, {"text": "b"}]}, "ab"),
    ],
)
async def test_message_content(message, text, engines):
    with FakeOpenAI(chat("", message=message)) as server:
        assert (await engines(server).complete(request())).text == text


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 5}, Usage(5, 0)),
        ({"prompt_tokens": None, "completion_tokens": 2}, Usage(0, 2)),
    ],
)
async def test_usage(usage, expected, engines):
    with FakeOpenAI(chat("x") | {"usage": usage}) as server:
        assert (await engines(server).complete(request())).usage == expected


# Negotiation


def refusing(limit: int, message: str, field: str = "top_logprobs", param: str | None = None):
    """A server that gives at most so many log-probabilities."""

    def reply(body):
        if int(body.get(field, 0)) > limit:
            return error(400, message.format(asked=body[field], limit=limit), param=param)
        return chat("yes", TOP)

    return reply


@pytest.mark.parametrize(
    ("limit", "message", "asked"),
    [
        (20, TOO_MANY_LOGPROBS, [256, 20]),
        (100, TOO_MANY_LOGPROBS, [256, 100]),
        (5, TOO_MANY_LOGPROBS, [256, 5]),
        (5, "Invalid value for 'top_logprobs': must be less than or equal to {limit}.", [256, 5]),
        (20, "top_logprobs must be between 0 and {limit}", [256, 20]),
        (20, "bad top_logprobs", [256, 20]),
        (5, "bad top_logprobs", [256, 20, 5]),
        (1000, "", [256]),
    ],
)
async def test_logprobs_are_negotiated(limit, message, asked, engines):
    with FakeOpenAI(refusing(limit, message)) as server:
        engine = engines(server)
        for _ in range(3):
            reply = await engine.complete(request(logprobs=256))
            assert reply.logprobs
        sent = [body["top_logprobs"] for body in server.bodies]
    assert sent == [*asked, asked[-1], asked[-1]]
    assert engine.info.refused == len(asked) - 1
    assert len(engine.info.notes) == engine.info.refused


async def test_wanting_fewer_asks_fewer(engines):
    with FakeOpenAI(chat("yes", TOP)) as server:
        await engines(server).complete(request(logprobs=7))
        await engines(server, options="?logprobs=3").complete(request(logprobs=7))
        assert [body["top_logprobs"] for body in server.bodies] == [7, 3]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Unrecognized request argument supplied: logprobs"),
        (400, "logprobs is not supported for this model"),
        (403, "You are not allowed to request logprobs from this model"),
        (422, "logprobs: extra fields not permitted"),
    ],
)
async def test_logprobs_refused_altogether(status, message, engines):
    with FakeOpenAI(error(status, message)) as server:
        engine = engines(server, "openai")
        with pytest.raises(EngineUnusableError, match="--readout json") as caught:
            await engine.complete(request(logprobs=256))
        assert message[:40] in str(caught.value)


async def test_extra_logprobs_do_not_loop(engines):
    with FakeOpenAI(error(400, "too many top_logprobs")) as server:
        sampling = Sampling(extra=(("top_logprobs", 50),))
        with pytest.raises(EngineUnusableError):
            await engines(server).complete(request(logprobs=9, sampling=sampling))
        assert len(server.bodies) < 5


async def test_no_logprobs_at_all(engines):
    with FakeOpenAI() as server:
        engine = engines(server, "mistral")
        assert engine.capabilities.logprobs == 0
        with pytest.raises(EngineUnusableError, match='readout="json"'):
            await engine.complete(request(logprobs=5))
        assert not server.bodies


async def test_refusal_with_status_200(engines):
    def reply(body):
        if "seed" in body:
            return {"error": {"message": "seed is not supported", "code": 400}}
        return "fine"

    with FakeOpenAI(reply) as server:
        assert (await engines(server).complete(request())).text == "fine"


async def test_mistral_calls_it_random_seed(engines):
    with FakeOpenAI() as server:
        await engines(server, "mistral").complete(request())
        assert server.bodies[0]["random_seed"] == 0
        assert "seed" not in server.bodies[0]
        assert "chat_template_kwargs" not in server.bodies[0]


# Keys and base URLs


async def test_public_endpoint_needs_a_key():
    for scheme in ("openai", "together", "mistral"):
        engine = OpenAIEngine(EngineURI(scheme, "m"))
        with pytest.raises(EngineUnusableError, match=f"set {scheme.upper()}_API_KEY"):
            await engine.open()
        await engine.close()


async def test_base_url_from_the_environment(monkeypatch):
    with FakeOpenAI("x") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
        engine = OpenAIEngine(EngineURI("openai", "m"))
        await engine.open()
        assert (await engine.complete(request())).text == "x"
        assert "Authorization" not in server.requests[0].headers
        await engine.close()


# What is known without contact


@pytest.mark.parametrize(
    ("uri", "logprobs"),
    [
        ("openai:gpt-4o", 20),
        ("openai:m@http://127.0.0.1/v1", 256),
        ("openai:m@https://api.openai.com/v1", 20),
        ("vllm", 256),
        ("sglang:m", 256),
        ("together:m", 20),
        ("mistral:m", 0),
        ("vllm:m?logprobs=50", 50),
        ("vllm:m?logprobs=0", 0),
    ],
)
def test_capabilities(uri, logprobs):
    engine = OpenAIEngine(EngineURI.parse(uri))
    assert engine.uri == uri
    assert engine.capabilities.logprobs == logprobs
    assert engine.capabilities.chat
    assert engine.capabilities.remote
    assert not engine.capabilities.deterministic


@pytest.mark.parametrize(
    ("uri", "modes", "default"),
    [
        ("openai:gpt-4o", (True, False), "chat"),
        ("openai:davinci-002", (False, True), "completion"),
        ("openai:m@http://h/v1", (True, True), "chat"),
        ("vllm:m", (True, True), "chat"),
        ("mistral:m", (True, False), "chat"),
    ],
)
def test_modes(uri, modes, default):
    found = OpenAIEngine(EngineURI.parse(uri)).capabilities
    assert (found.chat, found.completion) == modes
    assert found.default_mode == default


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (EngineURI("vllm", "m", ("http://a/v1", "http://b/v1")), "one URL"),
        (EngineURI("vllm", "m", (), (("connect_timeout", "0"),)), "no number of seconds"),
        (EngineURI("vllm", "m", (), (("first_byte_timeout", "soon"),)), "no number of seconds"),
        (EngineURI("vllm", "m", ("ftp://a/v1",)), "not a base URL"),
        (EngineURI("vllm", "m", ("http://[a/v1",)), "not a base URL"),
        (EngineURI("vllm", "m", ("http://a:99999/v1",)), "not a base URL"),
        (EngineURI("vllm", "m", ("http://me:pw@a/v1",)), "password"),
        (EngineURI("vllm", "m", (), (("nope", "1"),)), "no option 'nope'"),
        (EngineURI("vllm", "m", (), (("logprobs", "-1"),)), "logprobs=20"),
        (EngineURI("nope", "m"), "is not one of openai"),
    ],
)
def test_usage_errors(uri, message):
    with pytest.raises(UsageError, match=message) as caught:
        OpenAIEngine(uri)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "o1",
        "o1-mini-2024-09-12",
        "o3",
        "o4-mini",
        "gpt-5",
        "gpt-5.1-mini",
        "openai/gpt-oss-20b",
        "deepseek-ai/DeepSeek-R1",
        "DeepSeek-R1-Distill-Llama-8B",
        "deepseek-reasoner",
        "Qwen/QwQ-32B",
        "magistral-small-2506",
        "Qwen/Qwen3-30B-A3B-Thinking-2507",
        "moonshotai/Kimi-K2-Thinking",
        "microsoft/Phi-4-reasoning-plus",
        "grok-4",
        "Qwen/Qwen3-8B",
        "zai-org/GLM-4.5",
    ],
)
def test_reasoning_models(name):
    assert is_reasoning_model(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt-4o",
        "gpt-4.1-mini",
        "gpt-5-chat-latest",
        "Qwen/Qwen3-30B-A3B-Instruct-2507",
        "Qwen/Qwen3-Coder-30B-A3B-Instruct",
        "Qwen/Qwen2.5-7B-Instruct",
        "meta-llama/Llama-3.1-8B-Instruct",
        "mistral-large-latest",
        "deepseek-chat",
        "grok-4-fast-non-reasoning",
        "claude-sonnet-4-5",
        "solo1",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    ],
)
def test_other_models(name):
    assert not is_reasoning_model(name)


@pytest.mark.parametrize(
    ("uri", "reasoning"),
    [
        ("openai:o3", True),
        ("openai:gpt-4o", False),
        ("vllm:Qwen/Qwen3-8B", False),
        ("sglang:Qwen/Qwen3-8B", False),
        ("together:Qwen/Qwen3-8B", True),
        ("vllm:deepseek-ai/DeepSeek-R1", True),
        ("vllm:Qwen/Qwen3-4B-Thinking-2507", True),
    ],
)
def test_reasoning(uri, reasoning):
    assert OpenAIEngine(EngineURI.parse(uri)).info.reasoning is reasoning


def test_the_public_host_gets_no_lengths_and_llama_cpp_gets_the_schema_twice() -> None:
    body = {"type": "object", "properties": {"x": {"type": "string", "maxLength": 3}}}
    schema = Schema("x", msgspec.Raw(msgspec.json.encode(body)))

    def sent_to(uri: str) -> dict[str, Any]:
        _, provider = provider_of(EngineURI.parse(uri))
        sent: dict[str, Any] = {"prompt": "p"}
        allowed = {"lengths": provider.lengths, "llama": provider.llama}
        constrain(sent, schema, "json_schema", **allowed)
        return msgspec.json.decode(msgspec.json.encode(sent))

    public = sent_to("openai:gpt-4o")
    assert public["response_format"]["json_schema"]["schema"]["properties"]["x"] == {
        "type": "string"
    }
    assert "json_schema" not in public
    custom = sent_to("openai:m@http://127.0.0.1:1/v1")
    assert custom["json_schema"] == body == custom["response_format"]["json_schema"]["schema"]
