"""What real servers tell of tokens and tools.

`PLAUDIT_LIVE_VLLM_TOOLS` (`_SGLANG_TOOLS`) is set where the server parses tool calls, as vLLM does
with `--enable-auto-tool-choice --tool-call-parser hermes`.
"""

import json

import msgspec
import pytest

from plaudit.engines.base import Completion, Request, Sampling, ToolSpec
from plaudit.engines.load import load_engine
from plaudit.errors import CallError, Cause, ToolsRefusedError
from plaudit.types import Message
from tests.live.conftest import LiveServer, setting

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

CHAT = (Message("user", "Say hi 😀."),)
SEARCH = ToolSpec(
    "search",
    "Finds passages.",
    msgspec.Raw(b'{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}'),
)


async def ask(uri: str, **fields: object) -> Completion:
    prompt, ids = fields.pop("prompt", CHAT), fields.pop("prompt_ids", ())
    tools = fields.pop("tools", ())
    engine = load_engine(uri)
    request = Request(
        prompt=prompt,  # type: ignore[arg-type]
        prompt_ids=tuple(ids),  # type: ignore[call-overload]
        tools=tools,  # type: ignore[arg-type]
        trace_tokens=True,
        sampling=Sampling(**fields),  # type: ignore[arg-type]
    )
    try:
        return await engine.complete(request)
    finally:
        await engine.close()


async def test_every_sampled_token_is_told(server: LiveServer) -> None:
    reported = await ask(server.engine, max_tokens=100)
    assert reported.token_ids and reported.token_logprobs and reported.prompt_token_ids
    assert len(reported.token_ids) == len(reported.token_logprobs) == reported.usage.output_tokens
    assert len(reported.prompt_token_ids) == reported.usage.input_tokens
    assert max(reported.token_logprobs) <= 0
    cut = await ask(server.engine, max_tokens=3)
    assert cut.token_ids == reported.token_ids[:3] and cut.finish_reason == "length"


async def test_ids_fed_back_go_on_where_they_ended(server: LiveServer) -> None:
    whole = await ask(server.engine, max_tokens=12)
    assert whole.prompt_token_ids and whole.token_ids and whole.token_logprobs
    ids = whole.prompt_token_ids + whole.token_ids[:4]
    rest = await ask(server.engine, prompt="as ids", prompt_ids=ids, max_tokens=8)
    assert rest.prompt_token_ids == ids
    assert rest.token_ids == whole.token_ids[4:]
    assert rest.token_logprobs == pytest.approx(whole.token_logprobs[4:], abs=0.1)


async def test_the_token_that_ends_a_reply_is_among_them(server: LiveServer, embedded: str) -> None:
    """The same model in this process says which one that is, and reads the same prompt."""
    asked = (Message("user", "Say hi"),)
    here = await ask(embedded, prompt=asked, max_tokens=200)
    there = await ask(server.engine, prompt=asked, max_tokens=200)
    assert here.prompt_token_ids == there.prompt_token_ids
    assert here.finish_reason == there.finish_reason == "stop"
    assert here.token_ids and there.token_ids and here.token_ids[-1] == there.token_ids[-1]
    print(f"\nfirst tokens: {here.token_ids[:9]} here, {there.token_ids[:9]} there")


async def test_tools_are_called_or_refused_in_so_many_words(server: LiveServer) -> None:
    required = (("tool_choice", "required"),)
    asking = ask(server.engine, tools=(SEARCH,), max_tokens=200, extra=required)
    if not setting(server.scheme, "TOOLS"):
        with pytest.raises(ToolsRefusedError, match="--tool-call-parser"):
            await asking
        return
    reported = await asking
    assert reported.tool_calls and reported.token_ids
    assert reported.tool_calls[0].name == "search" and reported.tool_calls[0].id
    print(f"\n{reported.finish_reason}: {reported.tool_calls}")


async def test_a_conversation_with_calls_is_taken(server: LiveServer) -> None:
    """Also one whose arguments the model got wrong."""
    if not setting(server.scheme, "TOOLS"):
        pytest.skip("needs a server that parses tool calls")
    for arguments in (json.dumps({"query": "hi"}), "{broken"):
        function = {"name": "search", "arguments": arguments}
        history = (
            *CHAT,
            Message(
                "assistant", tool_calls=[{"id": "c1", "type": "function", "function": function}]
            ),
            Message("tool", "nothing found", tool_call_id="c1"),
        )
        reported = await ask(server.engine, prompt=history, tools=(SEARCH,), max_tokens=8)
        assert reported.token_ids and reported.text


async def test_too_many_ids_are_an_overflow(server: LiveServer) -> None:
    with pytest.raises(CallError) as caught:
        await ask(server.engine, prompt="as ids", prompt_ids=[1] * 100_000, max_tokens=1)
    assert caught.value.cause is Cause.CONTEXT_OVERFLOW
