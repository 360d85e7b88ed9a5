"""Tool calls over Anthropic's API, against a server of ours."""

import msgspec
import pytest

from plaudit.engines.anthropic import AnthropicEngine
from plaudit.engines.base import Request, Sampling, Schema, ToolCall, ToolSpec
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause
from plaudit.types import Message
from tests.support.server import FakeAnthropic, anthropic_error

SEARCH = ToolSpec("search", "Finds passages.", msgspec.Raw(b'{"type":"object"}'))


@pytest.fixture
async def engines():
    made = []

    def make(server: FakeAnthropic) -> AnthropicEngine:
        made.append(AnthropicEngine(EngineURI.parse(f"claude:claude-x@{server.url}")))
        return made[-1]

    yield make
    for engine in made:
        await engine.close()


def ask(*messages, **fields):
    prompt = messages or (Message("user", "Where is it?"),)
    return Request(prompt=prompt, sampling=Sampling(max_tokens=50), tools=(SEARCH,), **fields)


def saying(*blocks, stop_reason="tool_use"):
    usage = {"input_tokens": 12, "output_tokens": 3}
    return {"type": "message", "content": list(blocks), "stop_reason": stop_reason, "usage": usage}


def text(said):
    return {"type": "text", "text": said}


def use(arguments, **fields):
    return {"type": "tool_use", "id": "toolu_1", "name": "search", "input": arguments} | fields


def call(id_, arguments="{}"):
    function = {"name": "search", "arguments": arguments}
    return {"id": id_, "type": "function", "function": function}


async def test_tools_are_offered_and_calls_are_read(engines):
    reply = saying(text("Let me see."), use({"q": "a"}), use({}, id="toolu_2"))
    with FakeAnthropic(reply) as server:
        completion = await engines(server).complete(ask())
    assert server.bodies[0]["tools"] == [
        {"name": "search", "description": "Finds passages.", "input_schema": {"type": "object"}}
    ]
    assert "tool_choice" not in server.bodies[0]
    assert (completion.text, completion.finish_reason) == ("Let me see.", "tool_calls")
    first, second = completion.tool_calls
    assert (first.id, first.name) == ("toolu_1", "search")
    assert msgspec.json.decode(first.arguments) == {"q": "a"}
    assert second == ToolCall("toolu_2", "search", "{}")


async def test_a_plain_answer_to_a_request_with_tools(engines):
    with FakeAnthropic(saying(text("The"), text("re."), stop_reason="end_turn")) as server:
        completion = await engines(server).complete(ask())
    assert (completion.text, completion.finish_reason) == ("There.", "stop")
    assert completion.tool_calls == ()


async def test_thoughts_are_kept_in_rollouts_alone(engines):
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    reply = saying(thinking, text("There."), stop_reason="end_turn")
    with FakeAnthropic(reply) as server:
        engine = engines(server)
        assert (await engine.complete(ask())).text == "<think>Hm.</think>\nThere."
        judging = Request(prompt=(Message("user", "x"),), sampling=Sampling())
        assert (await engine.complete(judging)).text == "There."


async def test_calls_and_results_go_back_as_blocks(engines):
    history = (
        Message("system", "be good"),
        Message("user", "Where?"),
        Message("assistant", "Let me see.", tool_calls=[call("a", '{"q": "x"}'), call("b")]),
        Message("tool", "nothing", tool_call_id="a"),
        Message("tool", [{"type": "text", "text": "chunk 7"}], tool_call_id="b"),
        Message("assistant", " ", tool_calls=[call("c", "{broken")]),
        Message("tool", "error: no JSON", tool_call_id="c"),
        Message("user", "Go on."),
    )
    with FakeAnthropic("fine") as server:
        await engines(server).complete(ask(*history))
    body = server.bodies[0]
    assert body["system"] == "be good"
    assert body["messages"] == [
        {"role": "user", "content": "Where?"},
        {
            "role": "assistant",
            "content": [
                text("Let me see."),
                use({"q": "x"}, id="a"),
                use({}, id="b"),
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "nothing"},
                {"type": "tool_result", "tool_use_id": "b", "content": "chunk 7"},
            ],
        },
        {
            "role": "assistant",
            "content": [use({"unreadable_arguments": "{broken"}, id="c")],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c", "content": "error: no JSON"}],
        },
        {"role": "user", "content": "Go on."},
    ]


async def test_a_schema_beside_tools_is_the_answer(engines):
    schema = Schema("verdict", msgspec.Raw(b'{"type":"object"}'))
    with FakeAnthropic(saying(use({"good": True}, name="verdict"))) as server:
        completion = await engines(server).complete(ask(schema=schema))
    body = server.bodies[0]
    assert [tool["name"] for tool in body["tools"]] == ["search", "verdict"]
    assert body["tool_choice"] == {"type": "tool", "name": "verdict"}
    assert msgspec.json.decode(completion.text) == {"good": True}
    assert (completion.finish_reason, completion.tool_calls) == ("stop", ())


async def test_a_refused_tool_is_not_given_up(engines):
    said = "tools.0.custom.input_schema: JSON schema is invalid"
    with (
        FakeAnthropic(anthropic_error(400, said)) as server,
        pytest.raises(CallError, match="input_schema") as caught,
    ):
        await engines(server).complete(ask())
    assert caught.value.cause is Cause.BAD_REQUEST and len(server.bodies) == 1


async def test_a_broken_tool_block_is_a_bad_response(engines):
    with (
        FakeAnthropic(saying(use({}, name=7))) as server,
        pytest.raises(CallError) as caught,
    ):
        await engines(server).complete(ask())
    assert caught.value.cause is Cause.BAD_RESPONSE


def test_it_declares_tools():
    assert AnthropicEngine(EngineURI.parse("claude:claude-x")).capabilities.tools
