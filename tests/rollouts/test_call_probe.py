"""Calls as chat templates write them, read back."""

import pytest

from plaudit.rollouts.call_probe import probe_calls
from tests.rollouts.call_templates import (
    FORMS,
    HARMONY,
    HERMES,
    LFM2,
    QWEN_CODER,
    TEMPLATES,
    TURNS,
    template_of,
    turns,
)  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_defect_22_the_calls_of_each_family_are_read_back(name: str) -> None:
    found = probe_calls(template_of(TEMPLATES[name]))
    assert (found.form, found.why) == (FORMS.get(name, name.removesuffix("-channel-first")), "")
    assert found.names_in_ids == (name == "kimi")


UNREADABLE = {
    "calls are left out": (TURNS.replace("CALLS", ""), "it leaves calls out"),
    "an unknown form": (
        turns("{% for c in m.tool_calls %}@{{ c.function.name }}{{ c.function.arguments }}@"
        "{% endfor %}"),
        "its calls have a form that is not known",
    ),
    "quotes are not escaped": (
        LFM2.replace(" | replace(\"'\", \"\\\\'\")", ""),
        "calls with quotes do not read back the same",
    ),
    "texts are in quotes where others are": (
        QWEN_CODER.replace("else v | string", "else v | tojson"),
        "its calls have a form that is not known",
    ),
    "only texts are written": (
        QWEN_CODER.replace("{{ v | tojson if", "{{ '?' if v is not string else v | tojson if"),
        "calls with numbers do not read back the same",
    ),
    "letters are lost": (
        HERMES.replace("arguments | tojson", "arguments | string | replace('ö', 'o')"),
        "calls with letters of other scripts do not read back the same",
    ),
    "spaces are lost": (
        QWEN_CODER.replace("else v | string", "else v | trim | replace('\n  ', '\n')"),
        "calls with several lines do not read back the same",
    ),
    "the name is lost": (
        HERMES.replace("f.name", "'call'"), "its calls have a form that is not known",
    ),
    "two calls become one": (
        HERMES.replace("</tool_call>'", "</tool_call>' if loop.last"),
        "calls with two calls in one turn do not read back the same",
    ),
    "an answer has a header of its own": (
        HERMES.replace("{{ m.content or '' }}", "{{ 'I say: ' + m.content if m.content }}"),
        "an answer does not read back the same",
    ),
    "it refuses calls": (
        turns("{{ raise_exception('no tools here') }}"), "refuses the conversation: no tools here",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_defect_22_calls_that_come_back_otherwise_have_no_form(name: str) -> None:
    source, why = UNREADABLE[name]
    found = probe_calls(template_of(source))
    assert found.forms == ()
    assert why in found.why


@pytest.mark.parametrize(
    "source", [HARMONY, HERMES.replace("m.tool_calls %}{% set", "m.tool_calls[:1] %}{% set")]
)
def test_a_template_may_write_the_first_call_alone(source: str) -> None:
    assert probe_calls(template_of(source)).forms


def test_thoughts_and_headers_of_the_prompt_are_no_part_of_a_reply() -> None:
    open_thought = HERMES.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    assert probe_calls(template_of(open_thought)).form == "hermes"
    empty_thought = HERMES.replace(
        "assistant\n{% endif %}", "assistant\n<think>\n\n</think>\n\n{% endif %}"
    )
    assert probe_calls(template_of(empty_thought)).form == "hermes"
    scored = HERMES.replace(
        "{{ m.content or '' }}",
        "{{ '<think>' + m.reasoning_content + '</think>' if m.reasoning_content }}{{ m.content }}",
    )
    assert probe_calls(template_of(scored)).form == "hermes"
