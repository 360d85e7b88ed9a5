"""Conversations are changed as little as a template asks for."""

from typing import Any

import pytest

from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError, InputError
from plaudit.rollouts.tokens.chats import tokenize_chats
from plaudit.rollouts.tokens.conforming import Contents, as_objects, render
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import FileTokenizer, load_tokenizer
from plaudit.types import Message
from tests.rollouts.call_templates import HARMONY, HERMES, TURNS
from tests.rollouts.families import QWEN3, folder_of

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


def test_the_first_refusal_is_raised() -> None:
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


PRINTS = TURNS.replace("{{ m.content or '' }}", "{{ m.content }}").replace(
    "CALLS", "{{ m.tool_calls[0].function.arguments | tojson }}"
)
JOINS = PRINTS.replace(
    "{{ m.content }}",
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}"
    "{% endfor %}{% endif %}",
)
ONLY_PARTS = PRINTS.replace(
    "{{ m.content }}",
    "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}",
)
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"what": "x"}'}}
    ],
}
PARTS = [{"type": "text", "text": "So it "}, {"type": "text", "text": "is."}]
ASKED = {"role": "user", "content": "Where?"}


def template_of(source: str) -> ChatTemplate:
    return ChatTemplate("mine.jinja", {"default": source}, {"eos_token": "<|im_end|>"})


@pytest.fixture
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> FileTokenizer:
    return load_tokenizer(folder_of(QWEN3, tmp_path_factory))


def learned(source: str, chat: list[Any], tokenizer: FileTokenizer) -> str:
    """The text that the mask covers."""
    (tokens,) = tokenize_chats([chat], tokenizer, template_of(source))
    kept = [id_ for id_, sampled in zip(tokens.ids, tokens.mask, strict=True) if sampled]
    return tokenizer.native.decode(kept, skip_special_tokens=False)


def test_defect_27_an_absent_content_beside_a_call_is_no_word(tokenizer: FileTokenizer) -> None:
    assert learned(PRINTS, [ASKED, CALLED], tokenizer) == '{"what": "x"}<|im_end|>'
    without = {key: value for key, value in CALLED.items() if key != "content"}
    assert learned(PRINTS, [ASKED, without], tokenizer) == '{"what": "x"}<|im_end|>'


@pytest.mark.parametrize(
    ("source", "expected"),
    [(PRINTS, "So it \nis."), (JOINS, "So it is."), (ONLY_PARTS, "So it is.")],
)
def test_defect_27_parts_are_texts_and_no_notation_of_python(
    source: str, expected: str, tokenizer: FileTokenizer
) -> None:
    """A template that knows parts joins them itself; for others they become lines."""
    chat = [{"role": "user", "content": PARTS}, {"role": "assistant", "content": PARTS}]
    assert learned(source, chat, tokenizer) == f"{expected}<|im_end|>"
    whole = SafeTemplate(template_of(source), tokenizer).render(chat)
    assert whole.count(expected) == 2
    assert "text" not in whole


def test_texts_become_parts_where_a_template_takes_nothing_else(tokenizer: FileTokenizer) -> None:
    chat = [ASKED, {"role": "assistant", "content": "There."}]
    assert learned(ONLY_PARTS, chat, tokenizer) == "There.<|im_end|>"
    assert "Where?" in SafeTemplate(template_of(ONLY_PARTS), tokenizer).render(chat)


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_each_role_has_a_way_of_its_own(role: str) -> None:
    source = "{% for m in messages %}{% if m.role == '" + role + "' and m.content is not string %}"
    source += "{% for p in m.content %}{{ p.text }}{% endfor %}{% else %}{{ m.content }}{% endif %}"
    contents = Contents(template_of(source + "{% endfor %}"))
    fitted = contents.fit([{"role": name, "content": PARTS} for name in ("user", "tool", role)])
    assert [turn["content"] == PARTS for turn in fitted] == [role == "user", role == "tool", True]


def test_a_part_that_is_no_text_is_refused_by_name() -> None:
    contents = Contents(template_of(PRINTS))
    image = [{"type": "image_url", "image_url": {"url": "x"}}]
    with pytest.raises(CallError, match=r"message 2 has a content part .*mine\.jinja cannot show"):
        contents.fit([ASKED, {"role": "user", "content": image}])


# ---------------------------------------------------------------- calls that are left out


def test_defect_27_a_template_that_leaves_calls_out_is_named(tokenizer: FileTokenizer) -> None:
    chats = [[ASKED, {"role": "assistant", "content": "x"}], [ASKED, CALLED | {"content": "x"}]]
    rejected: list[tuple[int, str]] = []
    kept = list(
        tokenize_chats(
            chats,
            tokenizer,
            template_of(TURNS.replace("CALLS", "")),
            rejected=lambda number, error: rejected.append((number, str(error))),
        )
    )
    assert len(kept) == 1
    ((number, why),) = rejected
    assert number == 1
    assert "the chat template mine.jinja leaves out tool calls, and message 2 has 1" in why


def test_a_template_that_writes_the_first_call_alone_is_named(tokenizer: FileTokenizer) -> None:
    safe = SafeTemplate(template_of(HARMONY), tokenizer)
    one = safe.chat([ASKED, CALLED])
    safe.check_calls(one)
    two = safe.chat([ASKED, CALLED | {"tool_calls": CALLED["tool_calls"] * 2}])
    with pytest.raises(
        CallError, match="leaves out all tool calls of a message but 1, and message"
    ):
        safe.check_calls(two)
    SafeTemplate(template_of(HERMES), tokenizer).check_calls(two)


# ---------------------------------------------------------------- thoughts


def test_defect_28_a_thought_cannot_end_itself(tokenizer: FileTokenizer) -> None:
    source = PRINTS.replace(
        "{{ m.content }}",
        "{{ '<think>' + m.reasoning_content + '</think>' if m.reasoning_content }}{{ m.content }}",
    )
    thought = "It could be </think> 5 or [/THINK] 6 <channel|>."
    turn = {"role": "assistant", "content": "4", "reasoning_content": thought}
    text = learned(source, [ASKED, turn], tokenizer)
    assert text.count("</think>") == 1
    assert text.endswith("</think>4<|im_end|>")
    for tag in ("[/THINK]", "<channel|>"):
        assert tag not in text
