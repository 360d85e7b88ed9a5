"""Conversations are changed as little as a template asks for."""

from typing import Any

import pytest

from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError, InputError
from plaudit.rollouts.tokens.conforming import as_objects, render
from plaudit.types import Message

SHOW = (
    "{% for m in messages %}{{ m.role }}={{ m.content }}"
    "{% for c in m.tool_calls or [] %}[{{ c.id }}:{{ c.function.arguments }}]{% endfor %}"
    "{{ '(' + m.tool_call_id + ')' if m.tool_call_id }};{% endfor %}"
)


def made(source: str) -> ChatTemplate:
    return ChatTemplate("mine", {"default": source}, {})


def refusing(condition: str) -> ChatTemplate:
    """A template that takes no message for which the condition holds."""
    return made(
        "{% for m in messages %}{% if " + condition + " %}{{ raise_exception(loop.index ~ '') }}"
        "{% endif %}{% endfor %}" + SHOW
    )


def call(arguments: Any = '{"x": 1}', name: str = "call-0-0") -> dict[str, Any]:
    function = {"name": "find", "arguments": arguments}
    calls = [{"id": name, "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


CHAT = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "u"},
    call(),
    {"role": "tool", "content": "r", "tool_call_id": "call-0-0"},
    {"role": "tool", "content": "t", "tool_call_id": "call-0-1"},
]


def test_a_conversation_that_is_taken_is_not_changed() -> None:
    assert render(made(SHOW), as_objects(CHAT)) == (
        'system=s;user=u;assistant=None[call-0-0:{"x": 1}];tool=r(call-0-0);tool=t(call-0-1);'
    )


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("m.content is none", "assistant=["),
        ("m.tool_calls and m.tool_calls[0].function.arguments is mapping", ':{"x":1}]'),
        ("m.role == 'tool'", 'assistant=None[call-0-0:{"x": 1}];user=r\n\nt;'),
        ("m.role == 'system'", "user=s\n\nu;assistant"),
        ("m.content is none or m.role in ['tool', 'system']", "user=s\n\nu;assistant=[call-0-0"),
    ],
)
def test_what_the_template_refuses_is_changed_alone(condition: str, expected: str) -> None:
    assert expected in render(refusing(condition), as_objects(CHAT))


def test_ids_become_nine_letters_and_digits_alike_in_calls_and_results() -> None:
    condition = "m.tool_call_id and m.tool_call_id | length != 9"
    text = render(refusing(condition), as_objects(CHAT))
    first = text.split("[")[1].split(":")[0]
    assert len(first) == 9
    assert f"tool=r({first});" in text
    assert f"tool=t({first});" not in text
    kept = [call(name="abcdefghi"), {"role": "tool", "content": "r", "tool_call_id": "x"}]
    assert "[abcdefghi:" in render(refusing(condition), as_objects(kept))


def test_parts_of_text_become_one_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    chat = as_objects([{"role": "user", "content": parts}])
    assert render(made("{{ messages[0].content[1].text }}"), chat) == "b"
    assert render(made("{{ messages[0].content + '!' }}"), chat) == "a\nb!"


def test_parts_that_are_no_text_are_refused() -> None:
    chat = as_objects([{"role": "user", "content": [{"type": "image"}]}])
    with pytest.raises(CallError, match="refuses the conversation"):
        render(made("{{ messages[0].content + '!' }}"), chat)


def test_the_first_refusal_is_told() -> None:
    with pytest.raises(CallError, match=r"the chat template mine refuses the conversation: 1$"):
        render(refusing("true"), as_objects(CHAT))


def test_arguments_are_read_where_they_are_an_object() -> None:
    for given, expected in [
        ('{"x": 1}', {"x": 1}), ("{", "{"), ("[1]", "[1]"), ({"x": 1}, {"x": 1}), ("", ""),
    ]:  # fmt: skip
        (turn,) = as_objects([call(given)])
        assert turn["tool_calls"][0]["function"]["arguments"] == expected


def test_content_that_is_missing_without_calls_is_empty() -> None:
    turns = as_objects([Message(role="assistant"), {"role": "user", "content": None}])
    assert [turn["content"] for turn in turns] == ["", ""]
    assert as_objects([call()])[0]["content"] is None


@pytest.mark.parametrize("turn", [7, "user: hi", None, {}, {"role": None}, ["role"]])
def test_what_is_no_message_is_refused(turn: Any) -> None:
    with pytest.raises(InputError, match="message 2 is no object with a role"):
        as_objects([{"role": "user", "content": "hi"}, turn])


def test_nothing_that_was_given_is_changed() -> None:
    given = [call()]
    render(refusing("m.content is none"), as_objects(given))
    assert given == [call()]
