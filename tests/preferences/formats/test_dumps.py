"""Dumps of LangChain's and OpenAI's messages, as these libraries write them."""

import json
from typing import Any

import pytest
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.formats.dumps import undumped

COMMON = {"additional_kwargs": {}, "response_metadata": {}, "name": None, "id": None}
LC_CALL = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
SAID = {"role": "assistant", "content": "hi"}
OPENAI = {"content": "hi", "refusal": None, "role": "assistant", "annotations": None,
          "audio": None, "function_call": None, "tool_calls": None}  # fmt: skip


def langchain(kind: str, content: Any = "hi", **fields: Any) -> dict[str, Any]:
    return COMMON | {"content": content, "type": kind} | fields


def ai(content: Any = "hi", **fields: Any) -> dict[str, Any]:
    more = {"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None}
    return langchain("ai", content, **(more | fields))


def constructed(name: str, **kwargs: Any) -> dict[str, Any]:
    id_ = ["langchain", "schema", "messages", name]
    return {"lc": 1, "type": "constructor", "id": id_, "kwargs": kwargs}


def completion(*choices: dict[str, Any], kind: str = "chat.completion") -> dict[str, Any]:
    return {"id": "x", "object": kind, "created": 1, "model": "m", "choices": list(choices)}


def choice(**fields: Any) -> dict[str, Any]:
    return {"finish_reason": "stop", "index": 0, "logprobs": None} | fields


def response(*output: dict[str, Any]) -> dict[str, Any]:
    return {"id": "r", "object": "response", "output": list(output), "usage": None}


def read(value: Any) -> Any:
    return json.loads(bytes(undumped(Raw(json.dumps(value).encode()))))


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        (ai(), SAID),
        (langchain("human"), {"role": "user", "content": "hi"}),
        (langchain("system"), {"role": "system", "content": "hi"}),
        (langchain("system", additional_kwargs={"__openai_role__": "developer"}),
         {"role": "developer", "content": "hi"}),
        (langchain("chat", role="critic"), {"role": "critic", "content": "hi"}),
        (langchain("AIMessageChunk"), SAID),
        (langchain("tool", tool_call_id="c1", name="f", artifact=None, status="success"),
         {"role": "tool", "content": "hi", "name": "f", "tool_call_id": "c1"}),
        ({"type": "human", "content": "hi"}, {"role": "user", "content": "hi"}),
        (ai("", tool_calls=[LC_CALL]), {"role": "assistant", "content": "", "tool_calls": [CALL]}),
        (ai("", additional_kwargs={"tool_calls": [CALL]}),
         {"role": "assistant", "content": "", "tool_calls": [CALL]}),
        (ai([{"type": "text", "text": "t"}, {"type": "tool_use", "id": "c1", "name": "f",
                                             "input": {"a": 1}}]),
         {"role": "assistant", "content": [{"type": "text", "text": "t"}], "tool_calls": [CALL]}),
        (ai(additional_kwargs={"reasoning_content": "so"}), SAID | {"reasoning_content": "so"}),
        ({"type": "ai", "data": ai()}, SAID),
        (constructed("AIMessage", content="hi", type="ai", tool_calls=[LC_CALL]),
         SAID | {"tool_calls": [CALL]}),
        (constructed("HumanMessage", content="hi"), {"role": "user", "content": "hi"}),
        ({"text": "hi", "generation_info": None, "type": "ChatGeneration", "message": ai()}, SAID),
        ({"text": "hi", "generation_info": None, "type": "Generation"}, "hi"),
        ({"generations": [[{"text": "hi", "message": ai(), "generation_info": None}]]}, SAID),
        ({"messages": [langchain("human"), ai()]}, [{"role": "user", "content": "hi"}, SAID]),
        ([langchain("human"), SAID], [{"role": "user", "content": "hi"}, SAID]),
        ({"text": "hi", "type": "StringPromptValue"}, "hi"),
        (completion(choice(message=OPENAI)), SAID),
        (completion(choice(text="hi"), kind="text_completion"), "hi"),
        (choice(message=OPENAI), SAID),
        ({"choices": [{"message": SAID}]}, SAID),
        ({"model": "m", "messages": [SAID], "temperature": 0}, [SAID]),
        (response({"type": "reasoning", "summary": []},
                  {"type": "message", "id": "m", "role": "assistant", "status": "completed",
                   "content": [{"type": "output_text", "text": "hi", "annotations": []}]}),
         [SAID]),
        (response(*({"type": "function_call", "call_id": n, "name": "f", "arguments": '{"a":1}'}
                    for n in ("c1", "c1"))),
         [{"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}]),
        ([SAID, {"type": "function_call_output", "call_id": "c1", "output": "r"}],
         [SAID, {"role": "tool", "tool_call_id": "c1", "content": "r"}]),
    ],
)  # fmt: skip
def test_defect_36_dumps_are_messages(dump: Any, message: Any) -> None:
    assert read(dump) == message


@pytest.mark.parametrize(
    ("dump", "name"),
    [
        (langchain("remove", ""), "a LangChain message of type 'remove'"),
        (ai(invalid_tool_calls=[{"name": "f", "args": "{"}]), "a tool call that could not be read"),
        (constructed("PromptTemplate", template="x"), "a LangChain PromptTemplate"),
        ({"lc": 1, "type": "not_implemented", "id": ["a", "Tool"], "repr": "Tool()"},
         "a LangChain Tool that was not serialised"),
        ({"generations": [[], []]}, "a LangChain result of 0 generations"),
        (completion(choice(message=OPENAI), choice(message=OPENAI)), "of 2 choices"),
        (completion(), "of 0 choices"),
        (completion({"index": 0, "delta": {"content": "h"}}, kind="chat.completion.chunk"),
         "an OpenAI chat.completion.chunk without a message"),
        (response({"type": "web_search_call", "id": "w"}), "an item of type 'web_search_call'"),
        ({"messages": [{"text": "hi"}]}, "messages that are no messages of a chat"),
        ([SAID, langchain("remove", "")], "a LangChain message of type 'remove'"),
    ],
)  # fmt: skip
def test_defect_36_other_dumps_are_named(dump: Any, name: str) -> None:
    with pytest.raises(InputError, match=name):
        read(dump)


@pytest.mark.parametrize(
    "plain",
    [
        b'"text"', b'{"role":"assistant",  "content": "x", "id": "m"}', b"[1, [2, [3]]]", b"1.50",
        b'{"move":  3}', b'{"choices": ["a", "b"]}', b'{"messages": ["a"]}', b'{"messages": []}',
        b'{"type": "move", "content": "e4"}', b'[{"type": "text", "text": "x"}]', b"[1e999]",
        b'[{"role": "user", "content": [{"type": "text", "text": "x"}]}]', b"{}", b"[]",
        b"[" * 3000 + b"]" * 3000,
    ],
)  # fmt: skip
def test_what_is_no_dump_keeps_its_bytes(plain: bytes) -> None:
    assert bytes(undumped(Raw(plain))) == plain
