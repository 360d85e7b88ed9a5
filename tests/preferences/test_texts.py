"""When two pieces of JSON say the same."""

import json
from typing import Any

import pytest
from msgspec import Raw

from plaudit.preferences.texts import prompt_key, response_key, same_text_key


@pytest.mark.parametrize("odd", [b"[1e999]", b'{"n": -1e400}', b"[" * 3000 + b"]" * 3000])
def test_what_cannot_be_decoded_is_compared_as_it_is_written(odd: bytes) -> None:
    assert same_text_key(Raw(odd)) == same_text_key(Raw(odd)) != b""
    assert same_text_key(Raw(odd)) != same_text_key(Raw(b"[1]"))


def key(value: Any) -> bytes:
    return response_key(Raw(value if isinstance(value, bytes) else json.dumps(value).encode()))


def said(content: Any = "Hi.", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content} | fields


def call(arguments: Any = '{"a": 1, "b": [2]}', **fields: Any) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}} | (
        fields
    )


def acted(*calls: dict[str, Any], content: Any = None) -> list[dict[str, Any]]:
    """Calls, their results in order, and an answer."""
    results = [
        {"role": "tool", "tool_call_id": one["id"], "content": f"result {n}"}
        for n, one in enumerate(calls)
    ]
    return [said(content, tool_calls=list(calls)), *results, said("Done.")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi.", said()),
        ("Hi.", [said()]),
        ("Hi.", said(" Hi. \n")),
        ("Hi.", said([{"type": "text", "text": "Hi."}])),
        ("Hi.", said([{"type": "text", "text": "H"}, {"type": "text", "text": "i. "}])),
        ("Hi.", said([{"type": "output_text", "text": "Hi.", "annotations": []}])),
        ("Hi.", said(refusal=None, audio=None, tool_calls=None, function_call=None)),
        ("Hi.", said(id="msg_1", created_at=3, usage={"output_tokens": 3}, annotations=[])),
        ("Hi.", said(name="", reasoning_content=" ", tool_calls=[])),
        (b'"caf\\u00e9\\u00a0"', '"café "'.encode()),
        (said(None, tool_calls=[call()]), said("", tool_calls=[call()])),
        (said("", tool_calls=[call()]),
         {"role": "assistant", "tool_calls": [call(id="2", index=0)]}),
        (said(tool_calls=[call()]), said(tool_calls=[call('{"b":[2],"a":1}')])),
        (said(tool_calls=[call()]), said(tool_calls=[call({"a": 1, "b": [2]})])),
        (said(tool_calls=[call("")]), said(tool_calls=[call("{}")])),
        (said(tool_calls=[call()]), said(tool_calls=[{"name": "f", "args": {"a": 1, "b": [2]}}])),
        (acted(call()), acted(call(id="other"))),
        (acted(call(), call(id="2")), acted(call(id="x"), call(id="y"))),
        (acted(call()), [{**one, "name": "f"} if one["role"] == "tool" else one
                         for one in acted(call())]),
        (acted(call()), [{**one, "content": f"{one['content'] or ''} "} for one in acted(call())]),
        (said([{"type": "image_url", "image_url": {"url": "x"}}]),
         said([{"type": "image_url", "image_url": {"url": "x", "detail": None}}])),
    ],
)  # fmt: skip
def test_defect_32_responses_that_are_rendered_alike_are_the_same(one: Any, other: Any) -> None:
    assert key(one) == key(other) != b""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi.", "Hi!"),
        ("Hi.", {"role": "user", "content": "Hi."}),
        ("Hi.", said(reasoning_content="I greet.")),
        ("Hi.", said(tool_calls=[call()])),
        ("Hi.", said([{"type": "text", "text": "Hi."}, {"type": "image_url", "image_url": "x"}])),
        ("Hi.", [said(), said()]),
        ("f", {"move": "f"}),
        (said(tool_calls=[call()]), said(tool_calls=[call('{"a": 2, "b": [2]}')])),
        (said(tool_calls=[call()]), said(tool_calls=[call(), call(id="2")])),
        (said(tool_calls=[call("{")]), said(tool_calls=[call("")])),
        (acted(call(), call(id="2")), [acted(call(), call(id="2"))[n] for n in (0, 2, 1, 3)]),
        ('{"move": 3}', {"move": 3}),
    ],
)
def test_responses_that_are_rendered_otherwise_are_two(one: Any, other: Any) -> None:
    assert key(one) != key(other)


def test_results_in_another_order_than_their_calls_keep_their_call() -> None:
    first, second = call(), call(id="2")
    results = [{"role": "tool", "tool_call_id": i, "content": "x"} for i in ("1", "2")]
    in_order = [said(None, tool_calls=[first, second]), *results]
    turned = [in_order[0], *reversed(results)]
    assert key(in_order) != key(turned)
    again = [said(None, tool_calls=[call(id="a"), call(id="b")]),
             {**results[0], "tool_call_id": "b"}, {**results[1], "tool_call_id": "a"}]  # fmt: skip
    assert key(turned) == key(again)


@pytest.mark.parametrize(
    "nothing",
    ["", " ", [], {}, None, said(""), said(None), [said(" ")], said([]), [said(None)] * 2],
)
def test_what_says_nothing_has_no_key(nothing: Any) -> None:
    assert key(nothing) == b""


@pytest.mark.parametrize("odd", [b"[1e999]", b'"\\ud83d"', b"[" * 3000 + b"]" * 3000])
def test_a_response_that_cannot_be_decoded_is_compared_as_it_is_written(odd: bytes) -> None:
    assert key(odd) == odd


def test_a_text_prompt_is_a_message_of_the_user() -> None:
    keys = {
        prompt_key(Raw(json.dumps(one).encode()))
        for one in (
            "Why?",
            {"role": "user", "content": "Why? "},
            [{"role": "user", "content": "Why?"}],
        )
    }
    assert keys == {b'"Why?'}


def test_the_key_that_ids_are_made_of_stays() -> None:
    """The ids of prompts in files that were written before are made of it."""
    assert same_text_key(Raw(b'" Why? "')) == b'"Why?'
    message = Raw(b'[{"role": "user", "id": "1", "content": "Why?"}]')
    assert same_text_key(message) == b'{"content":"Why?","id":"1","role":"user"}'
