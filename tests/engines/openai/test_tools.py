"""Native tool calls over OpenAI's protocol, against a server of ours."""

import asyncio
import json

import msgspec
import pytest

from plaudit.engines.base import Request, Sampling, ToolCall, ToolSpec
from plaudit.engines.load import load_engine
from plaudit.engines.replies import arguments_object
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, ToolsRefusedError, UsageError
from plaudit.prompts.escape import unescape
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.types import Message
from tests.support.server import FakeOpenAI, chat, error

SEARCH = ToolSpec(
    "search",
    "Finds passages.",
    msgspec.Raw(b'{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}'),
)


def ask(*messages, **fields):
    prompt = messages or (Message("user", "Where is it?"),)
    return Request(
        prompt=prompt, sampling=Sampling(max_tokens=50), tools=(SEARCH,), turn="1", **fields
    )


def calling(*calls, content=None, finish_reason="tool_calls", **message):
    message |= {"role": "assistant", "content": content, "tool_calls": list(calls)}
    return chat(None, finish_reason=finish_reason, message=message)


def call(arguments='{"q": "a"}', **fields):
    function = {"name": "search", "arguments": arguments}
    return {"id": "c1", "type": "function", "function": function} | fields


async def test_tools_are_offered_and_calls_are_read(engines):
    with FakeOpenAI(calling(call(), call('{"q": "b"}', id="c2"))) as server:
        completion = await engines(server).complete(ask())
    assert server.bodies[0]["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "search",
                "description": "Finds passages.",
                "parameters": json.loads(bytes(SEARCH.parameters)),
            },
        }
    ]
    assert "tool_choice" not in server.bodies[0] and "return_token_ids" not in server.bodies[0]
    assert (completion.text, completion.finish_reason) == ("", "tool_calls")
    assert completion.tool_calls == (
        ToolCall("c1", "search", '{"q": "a"}'),
        ToolCall("c2", "search", '{"q": "b"}'),
    )


@pytest.mark.parametrize(
    ("reported", "read"),
    [
        (call({"q": "日本"}), ToolCall("c1", "search", '{"q":"日本"}')),
        (call(None), ToolCall("c1", "search", "{}")),
        (call("{broken"), ToolCall("c1", "search", "{broken")),
        (call(id=None), ToolCall("call-1-0", "search", '{"q": "a"}')),
        (call(id=""), ToolCall("call-1-0", "search", '{"q": "a"}')),
        ({"function": {"name": "search"}}, ToolCall("call-1-0", "search", "{}")),
    ],
)
async def test_calls_as_different_servers_send_them(engines, reported, read):
    with FakeOpenAI(calling(reported, content="Let me see.", finish_reason="stop")) as server:
        completion = await engines(server).complete(ask())
    assert completion.tool_calls == (read,)
    assert (completion.text, completion.finish_reason) == ("Let me see.", "tool_calls")


@pytest.mark.parametrize("calls", ["search", [{}], [{"function": "search"}], {"a": 1}, [None]])
async def test_calls_of_an_unknown_shape(engines, calls):
    with (
        FakeOpenAI(chat(None, message={"content": "x", "tool_calls": calls})) as server,
        pytest.raises(CallError, match="unknown shape") as caught,
    ):
        await engines(server).complete(ask())
    assert caught.value.cause is Cause.BAD_RESPONSE and caught.value.retryable


async def test_a_plain_answer_to_a_request_with_tools(engines):
    for calls in ([], None):
        with FakeOpenAI(chat("There.", message={"content": "There.", "tool_calls": calls})) as own:
            completion = await engines(own).complete(ask())
        assert (completion.text, completion.finish_reason) == ("There.", "stop")
        assert completion.tool_calls == ()


async def test_R3_calls_and_results_go_back_as_they_were(engines):
    history = (
        Message("user", "Where?"),
        Message("assistant", "Let me see.", tool_calls=[call()]),
        Message("tool", "nothing", tool_call_id="c1"),
    )
    with FakeOpenAI(calling(call())) as server:
        completion = await engines(server).complete(ask(*history, shared=1))
    assert server.bodies[0]["messages"] == list(msgspec.to_builtins(history))
    assert completion.tool_calls[0].id == "call-1-0", "an id that was taken already is not used"


async def test_arguments_that_are_no_object_do_not_spoil_the_conversation(engines):
    """vLLM refuses a conversation with them, again and again."""
    said = ["{broken", "[1]", "", '{"q":  "a"}']
    history = Message("assistant", tool_calls=[call(text, id=text) for text in said])
    with FakeOpenAI() as server:
        await engines(server).complete(ask(Message("user", "x"), history))
    sent = server.bodies[0]["messages"][1]["tool_calls"]
    assert [json.loads(each["function"]["arguments"]) for each in sent] == [
        {"unreadable_arguments": "{broken"},
        {"unreadable_arguments": "[1]"},
        {},
        {"q": "a"},
    ]
    assert sent[3]["function"]["arguments"] == said[3], "what can be read stays as it was written"
    assert [each["id"] for each in sent] == said
    assert history.tool_calls[0]["function"]["arguments"] == "{broken"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": NaN}', '"\\ud800"', "null"])
def test_hostile_arguments_become_an_object(text):
    assert arguments_object(text) == {"unreadable_arguments": text}
    assert arguments_object("\ud800") == {"unreadable_arguments": "?"}


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_thoughts_that_the_server_took_out_are_put_back(engines, field):
    with FakeOpenAI(calling(call(), content="Then.", **{field: "Hm.\n"})) as server:
        engine = engines(server)
        assert (await engine.complete(ask())).text == "<think>Hm.\n</think>\nThen."
        judging = Request(prompt=(Message("user", "x"),), sampling=Sampling())
        assert (await engine.complete(judging)).text == "Then."


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_defect_28_a_thought_that_is_put_back_does_not_end_itself(engines, field):
    thought = "They wrote </think> there, so 5."
    with FakeOpenAI(calling(content="It is 4.", **{field: thought})) as server:
        reply = read_reply((await engines(server).complete(ask())).text)
    assert (reply.text, unescape(reply.reasoning)) == ("It is 4.", thought)


@pytest.mark.parametrize(
    "refusal",
    [
        error(
            400,
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be '
            "set",
            type="BadRequestError",
            code=400,
        ),
        error(400, "registry.ollama.ai/library/gemma:2b does not support tools"),
        error(400, "Unsupported parameter: 'tools' is not supported.", param="tools"),
        error(422, "tools: Extra inputs are not permitted"),
    ],
)
async def test_a_server_without_tools_is_said_to_be_so(engines, refusal):
    with FakeOpenAI(refusal) as server:
        engine = engines(server)
        with pytest.raises(ToolsRefusedError, match="write its calls as text") as caught:
            await engine.complete(ask())
        assert isinstance(caught.value, UsageError)
        assert len(server.bodies) == 1
        server.reply = "fine"
        plain = Request(prompt=(Message("user", "x"),), sampling=Sampling())
        assert (await engine.complete(plain)).text == "fine"


async def test_a_wrong_schema_of_a_tool_is_no_lack_of_tools(engines):
    said = "Invalid schema for function 'search': array schema missing items"
    with (
        FakeOpenAI(error(400, said, param="tools[0].function.parameters")) as server,
        pytest.raises(CallError, match="Invalid schema") as caught,
    ):
        await engines(server).complete(ask())
    assert caught.value.cause is Cause.BAD_REQUEST


async def test_features_are_given_up_beside_tools(engines):
    def picky(body):
        return error(400, "seed is not supported") if "seed" in body else calling(call())

    with FakeOpenAI(picky) as server:
        engine = engines(server)
        replies = await asyncio.gather(*(engine.complete(ask()) for _ in range(9)))
    assert engine.info.refused == 1 and all(reply.tool_calls for reply in replies)


async def test_tools_need_a_chat(engines):
    with FakeOpenAI() as server:
        text = msgspec.structs.replace(ask(), prompt="x")
        with pytest.raises(UsageError, match=r"mode=.chat"):
            await engines(server).complete(text)
        assert not server.bodies


@pytest.mark.parametrize(
    ("uri", "tools", "ids"),
    [
        ("vllm:m", True, True),
        ("sglang:m", True, True),
        ("openai:m@http://127.0.0.1:1/v1", True, True),
        ("openai:gpt-4.1-mini", True, False),
        ("openai:gpt-3.5-turbo-instruct", False, False),
        ("together:m", True, False),
        ("mistral:m", True, False),
    ],
)
def test_what_is_declared(uri, tools, ids):
    able = load_engine(uri).capabilities
    assert (able.tools, able.token_ids, able.token_prompts) == (tools, ids, ids)
    assert str(EngineURI.parse(uri)) == uri
