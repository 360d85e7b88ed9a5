"""Chat templates: read from all the places where models have them, and rendered as usual."""

import datetime
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError, Cause, UsageError
from plaudit.types import Message

TOOL = ToolSpec("find", "Finds <it>.", msgspec.Raw(b'{"type": "object"}'))
TALK = [Message(role="user", content="hi"), Message(role="assistant", content="hello")]
ECHO = "{% for m in messages %}{{ m.content }};{% endfor %}"


def made(source: str, tokens: dict[str, str] | None = None, **sources: str) -> ChatTemplate:
    day = datetime.datetime(2026, 3, 1, 12, 30)
    return ChatTemplate("mine", {"default": source, **sources}, tokens or {}, day)


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_jinja", ".jinja").replace(
            "_json", ".json"
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


# ---------------------------------------------------------------- reading


def test_a_folder_with_a_configuration(tmp_path: Path) -> None:
    config = {
        "chat_template": "{{ bos_token }}" + ECHO + "{{ eos_token }}",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "special": True},
        "pad_token": None,
        "add_bos_token": True,
    }
    template = ChatTemplate.load(write(tmp_path, tokenizer_config_json=config))
    assert template.render(TALK, begin=True) == "<s>hi;hello;</s>"
    assert template.render(TALK) == "hi;hello;</s>"
    assert template.tokens == {"bos_token": "<s>", "eos_token": "</s>"}


def test_a_template_in_a_file_of_its_own_goes_before_the_configurations(tmp_path: Path) -> None:
    config = {"chat_template": "old", "eos_token": "</s>"}
    folder = write(tmp_path, tokenizer_config_json=config, chat_template_jinja="new{{ eos_token }}")
    assert ChatTemplate.load(folder).render(TALK) == "new</s>"
    assert ChatTemplate.load(folder / "chat_template.jinja").render(TALK) == "new</s>"
    assert ChatTemplate.load(folder / "tokenizer_config.json").render(TALK) == "old"


def test_a_template_in_a_json_file_of_its_own(tmp_path: Path) -> None:
    folder = write(tmp_path, tokenizer_config_json={}, chat_template_json={"chat_template": "new"})
    assert ChatTemplate.load(folder).render(TALK) == "new"


@pytest.mark.parametrize("apart", [True, False])
def test_the_template_for_tools_is_taken_where_there_are_tools(tmp_path: Path, apart: bool) -> None:
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]
    config = {"chat_template": named[:1] if apart else named}
    write(tmp_path, tokenizer_config_json=config)
    if apart:
        write(tmp_path, additional_chat_templates__tool_use_jinja="tools")
    template = ChatTemplate.load(tmp_path)
    assert (template.render(TALK), template.render(TALK, [TOOL])) == ("plain", "tools")


def test_one_template_does_for_both(tmp_path: Path) -> None:
    assert made("{{ tools is none }}").render(TALK) == "True"
    assert made("{{ tools | length }}").render(TALK, [TOOL]) == "1"


@pytest.mark.parametrize(
    "config",
    [{}, {"chat_template": [{"name": "tool_use", "template": "x"}]}, {"chat_template": 3}, [], 3],
)
def test_a_folder_without_a_template_is_refused(tmp_path: Path, config: Any) -> None:
    write(tmp_path, tokenizer_config_json=config)
    with pytest.raises(UsageError, match=f"chat template {tmp_path}: .*give a Jinja file"):
        ChatTemplate.load(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no default chat template"):
        ChatTemplate.load(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UnicodeDecodeError"):
        ChatTemplate.load(tmp_path / "t.jinja")


def test_digests_tell_templates_and_their_tokens_apart() -> None:
    templates = [made("a"), made("b"), made("a", {"eos_token": "x"}), made("a", tool_use="a")]
    assert len({template.digest for template in templates}) == 4
    assert made("a").digest == templates[0].digest


# ---------------------------------------------------------------- rendering


def test_blocks_leave_no_lines_behind() -> None:
    source = (
        "{% for m in messages %}\n    {% if true %}\n{{ m.role }}\n    {% endif %}\n{% endfor %}"
    )
    assert made(source).render(TALK) == "user\nassistant\n"


def test_generation_blocks_and_loop_controls_are_known() -> None:
    source = (
        "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}"
        "{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    )
    assert made(source).render(TALK) == "hi"


def test_json_has_no_escapes_for_html_and_keeps_letters() -> None:
    talk = [{"role": "user", "content": "<ü> & 'it'"}]
    assert made("{{ messages[0].content | tojson }}").render(talk) == "\"<ü> & 'it'\""
    indented = made("{{ {'b': 1, 'a': [2]} | tojson(indent=1) }}").render(talk)
    assert indented == '{\n "b": 1,\n "a": [\n  2\n ]\n}'


def test_tools_are_objects_with_their_schema() -> None:
    text = made("{{ tools[0] | tojson }}").render(TALK, [TOOL])
    function = {"name": "find", "description": "Finds <it>.", "parameters": {"type": "object"}}
    assert json.loads(text) == {"type": "function", "function": function}


def test_the_time_stays_the_same() -> None:
    assert made("{{ strftime_now('%Y-%m-%d %H:%M') }}").render(TALK) == "2026-03-01 12:30"
    template = ChatTemplate("x", {"default": "{{ strftime_now('%f') }}"}, {})
    assert template.render(TALK) == template.render(TALK)


def call(arguments: Any) -> list[dict[str, Any]]:
    function = {"name": "find", "arguments": arguments}
    return [{"role": "assistant", "tool_calls": [{"id": "1", "function": function}]}]


def test_arguments_that_a_template_takes_for_text_are_json() -> None:
    source = "{{ 'x' ~ messages[0].tool_calls[0].function.arguments }}"
    assert made(source).render(call({"a": "é", "b": None})) == 'x{"a": "é", "b": null}'
    assert made(source).render(call("as it is")) == "xas it is"
    mapping = "{{ messages[0].tool_calls[0].function.arguments is mapping }}"
    assert made(mapping).render(call({})) == "True"


def test_content_that_is_not_there_is_none() -> None:
    assert made("{{ messages[0].content is none }}").render(call({})) == "True"


def test_the_header_of_the_next_message_is_there_where_asked_for() -> None:
    template = made(ECHO + "{{ 'assistant:' if add_generation_prompt }}")
    assert template.render(TALK) == "hi;hello;"
    assert template.render(TALK, prompt=True) == "hi;hello;assistant:"


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('only user') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].content.__class__.__mro__ }}",
        "{{ messages[0].content + 1 }}",
        "{{ messages[0].role.strip.x.y }}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{{ range(10000000) | list }}",
        "{{ strftime_now(3) }}",
    ],
)
def test_what_a_template_cannot_do_is_a_refusal(source: str) -> None:
    with pytest.raises(CallError, match="the chat template mine refuses the conversation") as e:
        made(source).render(TALK)
    assert (e.value.cause, e.value.retryable) == (Cause.BAD_REQUEST, False)
