"""No step of a template makes a huge value, in prompts and in chat templates."""

import tracemalloc

import pytest

from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError, TemplateError
from plaudit.prompts.template import Template
from plaudit.types import Message

HUGE = [
    "{{ 'a' * 10**9 }}",
    "{{ ['a'] * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ 9**9**9 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%999999999d'|format(1) }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'.zfill(10**9) }}",
    "{{ 'a'|center(10**9) }}",
    "{{ 'a'|indent(10**9, true) }}",
    "{{ lipsum(n=10**7) }}",
    "{{ range(10**9)|list }}",
    "{{ [1]|batch(10**9, 'x')|list }}",
    "{% set a = 'a' * 10**6 %}{{ a|replace('a', a) }}",
    "{% set a = 'a' * 10**6 %}{{ a.replace('a', a) }}",
    "{% set a = 'a' * 10**6 %}{{ ([a] * 10**5)|join }}",
    "{% set a = 'a' * 10**6 %}{{ ([a] * 10**5)|join(a) }}",
    "{% set a = 'a' * 10**6 %}{{ a.join([a] * 10**5) }}",
    "{% set n = namespace(a='aa') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
    "{% set n = namespace(a='aa') %}{% for i in range(60) %}{% set n.a = n.a + n.a %}{% endfor %}",
    "{% set a = 'a' * 10**5 %}{% for i in range(9999) %}{{ a }}{% endfor %}",
    "{% macro m() %}{% for i in range(9999) %}{{ 'a' * 10**5 }}{% endfor %}{% endmacro %}{{ m() }}",
]


@pytest.mark.parametrize("source", HUGE)
def test_defect_55_a_template_cannot_exhaust_memory(source: str) -> None:
    template = Template(source + "{{ question }}", "mine.jinja", frozenset({"question"}))
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError, match=r"mine\.jinja"):
            template.sample({"question": "q"})
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("source", HUGE[:1] + HUGE[-4:])
def test_defect_55_nor_can_a_chat_template(source: str) -> None:
    with pytest.raises(CallError, match="refuses the conversation"):
        ChatTemplate("m", {"default": source}, {}).render([Message("user", "hi")])


def test_what_templates_do_stays_as_it_was() -> None:
    source = (
        "{{ 'a' * 3 }} {{ 2 ** 10 }} {{ '%05d' % 7 }} {{ 'x' ~ 1 ~ question }} {{ 'a'.ljust(3) }}|"
        "{{ [1, 2]|join(', ') }} {{ 'abab'|replace('a', 'c') }} {{ 'a'|center(5) }} {{ 7 % 4 }} "
        "{{ question|upper|indent(2) }} {{ '-'.join(['a', 'b']) }} {{ range(3)|list }}"
    )
    template = Template(source, "mine.jinja", frozenset({"question"}))
    assert template.sample({"question": "q"}) == (
        "aaa 1024 00007 x1q a  |1, 2 cbcb   a   3 Q a-b [0, 1, 2]"
    )
