"""Templates: checked before anything is asked, sandboxed, and never expanded twice."""

from typing import Any

import pytest

from plaudit.errors import TemplateError
from plaudit.judges.load import KINDS
from plaudit.prompts.shots import load_prior, load_shots
from plaudit.prompts.template import Template, builtin, read_template

NAMES = frozenset({"query", "answer"})
SAMPLE = "{% block sample %}{{ query }}{{ answer }}{% endblock %}"
BLOCKS = "{% block instructions %}{{ readout }}{% endblock %}" + SAMPLE


def failure(source: str, names: frozenset[str] = NAMES) -> str:
    with pytest.raises(TemplateError) as caught:
        Template(source, "own.jinja", names)
    return str(caught.value)


def render_failure(source: str, **values) -> str:
    template = Template(source, "own.jinja", NAMES)
    with pytest.raises(TemplateError) as caught:
        template.sample({"query": "q", "answer": "a"} | values)
    return str(caught.value)


def test_an_unknown_variable_is_named_with_its_line() -> None:
    message = failure("{{ query }}\n{{ answer }}\n{{ anwser }}")
    assert message.startswith("own.jinja:3: unknown variable 'anwser'")
    assert "answer" in message


def test_a_missing_slot_is_named() -> None:
    assert "'answer' is never used" in failure("{{ query }}")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("{{ query }}\n{{ answer", 2),
        ("{{ query }}{{ answer }}\n\n{% if %}", 3),
        ("{{ query }}{{ answer }}\n{% endif %}", 2),
        ("{{ query }}\n{{ answer | no_such_filter }}", 2),
        ("{{ query }}{{ answer }}\n{{ query is no_such_test }}", 2),
    ],
)
def test_a_syntax_error_is_named_with_file_and_line(source: str, line: int) -> None:
    assert failure(source).startswith(f"own.jinja:{line}: ")


def test_an_unknown_block_is_named() -> None:
    assert "unknown block 'samples'" in failure(
        "{% block samples %}{{ query }}{{ answer }}{% endblock %}"
    )


def test_blocks_without_a_sample_are_refused() -> None:
    source = "{% block instructions %}{{ query }}{{ answer }}{% endblock %}"
    assert "'sample' is missing" in failure(source)


@pytest.mark.parametrize(
    "delimiters", ["query", "5", "'[['", "[1]", "['[[', query]", "{}", "['#']", "['']"]
)
def test_delimiters_that_cannot_be_escaped_are_refused(delimiters: str) -> None:
    message = failure(f"{{{{ query }}}}{{{{ answer }}}}\n{{% set delimiters = {delimiters} %}}")
    assert message.startswith("own.jinja:2: 'delimiters' must be a list")


def test_delimiters_are_read_from_the_file() -> None:
    source = "{% set delimiters = ['[[', '##'] %}" + BLOCKS
    assert Template(source, "own", NAMES).delimiters == ("[[", "##")
    assert Template(BLOCKS, "own", NAMES).delimiters == ()


@pytest.mark.parametrize(
    "attack",
    [
        "query.__class__",
        "query.__class__.__mro__",
        "''.__class__.__subclasses__()",
        "query.format.__globals__",
        "shots.append(1)",
        "'{0.__class__}'.format(query)",
        "range(10**9)|list",
    ],
)
def test_a_template_stays_in_its_sandbox(attack: str) -> None:
    message = render_failure(f"{{{{ query }}}}{{{{ answer }}}}{{{{ {attack} }}}}", shots=[])
    assert message.startswith("own.jinja: ")


@pytest.mark.parametrize(
    "code",
    ["query.nothing", "1/0", "query + 1", "shots", "[][1]", "'x'|round"],
)
def test_what_fails_while_rendering_is_a_template_error(code: str) -> None:
    assert "own.jinja" in render_failure(f"{{{{ query }}}}{{{{ answer }}}}{{{{ {code} }}}}")


def test_other_files_cannot_be_read() -> None:
    assert "own.jinja" in render_failure("{{ query }}{{ answer }}{% include '/etc/passwd' %}")


def test_values_are_put_in_as_they_are_and_never_expanded() -> None:
    template = Template(BLOCKS, "own", NAMES)
    hostile = "{{ 7*7 }}{% raw %}{# x #}{{ answer }}<b>&"
    text = template.sample({"query": hostile, "answer": "{{ query }}", "readout": "json"})
    assert text == hostile + "{{ query }}"


@pytest.mark.parametrize("last", ["", "{{ readout }}", "{% if query %}{% endif %}"])
@pytest.mark.parametrize("value", ["v", "100%", "%s", "%(query)s", "", 7, None, ["a", {"b": 1}]])
def test_a_plain_sample_block_is_rendered_as_any_other(last: str, value: Any) -> None:
    """That is, as Jinja does, whose way `last` makes it go."""
    source = "{% block sample %}100% {{ query }} %s {{ answer }}{{ query }} %%" + last
    template = Template(source + "{% endblock %}", "own", NAMES)
    text = template.sample({"query": value, "answer": "a"}, {"readout": "r"})
    assert text == f"100% {value} %s a{value} %%" + ("r" if "readout" in last else "")


def test_blocks_are_rendered_apart_and_a_plain_file_is_all_sample() -> None:
    values = {"query": "q", "answer": "a", "readout": "json"}
    template = Template(BLOCKS, "own", NAMES)
    assert (template.instructions(values), template.sample(values)) == ("json", "qa")
    template = Template("{{ query }} {{ answer }}", "own", NAMES)
    assert (template.instructions(values), template.sample(values)) == ("", "q a")


def test_the_instructions_cannot_see_the_sample() -> None:
    source = "{% block instructions %}{{ query }}{% endblock %}" + SAMPLE
    with pytest.raises(TemplateError, match="query"):
        Template(source, "own", NAMES).instructions({"readout": "json"})


def test_a_file_that_is_not_there_is_a_template_error(tmp_path) -> None:
    with pytest.raises(TemplateError, match=r"none\.jinja"):
        read_template(str(tmp_path / "none.jinja"))
    with pytest.raises(TemplateError, match=tmp_path.name):
        read_template(str(tmp_path))


def test_a_file_that_is_not_utf8_is_a_template_error(tmp_path) -> None:
    (tmp_path / "own.jinja").write_bytes("{{ query }} \u00e4".encode("latin-1"))
    with pytest.raises(TemplateError, match=r"own\.jinja"):
        read_template(str(tmp_path / "own.jinja"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_the_shipped_templates_compile(kind: str, mode: str) -> None:
    template = Template(builtin(f"{kind}.{mode}"), f"{kind}.{mode}", KINDS[kind].variables)
    assert template.delimiters


@pytest.mark.parametrize("kind", KINDS)
def test_the_shipped_shots_are_rows_of_their_judge(kind: str) -> None:
    shots, digest = load_shots(kind)
    assert shots
    assert digest
    for shot in shots:
        assert len(KINDS[kind].read_row(shot, 0)) == 1
        assert KINDS[kind].label_of(None, shot["feedback"]) in [
            o.label for o in KINDS[kind].options
        ]
    for row in load_prior(kind)[0]:
        assert len(KINDS[kind].read_row(row, 0)) == 1


def test_a_judge_without_a_prior_set_has_none() -> None:
    assert load_prior("no-such-judge") == ((), "none")
