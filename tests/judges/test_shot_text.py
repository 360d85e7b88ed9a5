"""Templates of one shot and of its reply, each per mode."""

from pathlib import Path

import msgspec
import pytest

from plaudit.errors import TemplateError
from plaudit.judges.config import JudgeConfig
from tests.judges.making import KINDS, MODES, READOUTS, make, sample_of, text_of

SHOT = (
    "Q: {{ question }}\nA: {{ answer }}\nR: {% for r in references %}{{ r.text }}{% endfor %}\n\n"
)


def file(tmp_path: Path, source: str, name: str = "mine.jinja") -> str:
    path = tmp_path / name
    path.write_text(source)
    return str(path)


def test_a_shot_template_shows_the_sample_and_the_reply(tmp_path: Path) -> None:
    path = file(tmp_path, SHOT + "=> {{ reply }}!")
    request = make("verify", shots=2, shot_template=path, mode="completion").render(
        sample_of("verify")
    )
    shots = text_of(request).partition("otherwise.")[2]
    assert shots.count("\nQ: ") == 2
    assert "\n=> right!\n" in shots
    assert "\n=> wrong!\n" in shots


def test_in_a_chat_the_reply_of_a_shot_is_the_assistants(tmp_path: Path) -> None:
    path = file(tmp_path, "{{ text }}\nSo it is {{ reply }}.")
    request = make("verify", shots=2, shot_template=path).render(sample_of("verify"))
    turns = [(m.role, m.content) for m in request.prompt[1:-1]]
    assert [role for role, _ in turns] == ["user", "assistant"] * 2
    assert {content for role, content in turns if role == "assistant"} == {"right.", "wrong."}
    assert all(str(c).endswith("So it is") for role, c in turns if role == "user")


def test_a_feedback_template_shows_the_reply(tmp_path: Path) -> None:
    path = file(tmp_path, "{{ word }}, because {{ feedback.reasoning }}")
    task = make("verify", shots=2, feedback_template=path, mode="completion")
    shown = text_of(task.render(sample_of("verify")))
    assert "wrong, because" in shown
    path = file(tmp_path, '{"verdict": "{{ label }}", "reasoning": "x", "confidence": 0.5}')
    request = make("verify", shots=2, feedback_template=path, readout="json").render(
        sample_of("verify")
    )
    assert '{"verdict": "correct", "reasoning": "x", "confidence": 0.5}' in text_of(request)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("readout", READOUTS)
def test_the_simplest_templates_give_what_the_shipped_ones_do(
    kind: str, mode: str, readout: str, tmp_path: Path
) -> None:
    shot = file(tmp_path, "{{ text }} {{ reply }}", "shot.jinja")
    reply = file(tmp_path, "{{ json }}" if readout == "json" else "{{ word }}", "reply.jinja")
    plain = make(kind, shots=3, mode=mode, readout=readout)
    mine = make(
        kind, shots=3, mode=mode, readout=readout, shot_template=shot, feedback_template=reply
    )
    sample = sample_of(kind)
    if mode == "completion":
        assert mine.render(sample).prompt == plain.render(sample).prompt
    else:
        assert [str(m.content).strip() for m in mine.render(sample).prompt] == [
            str(m.content).strip() for m in plain.render(sample).prompt
        ]
    assert mine.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ reply }}\n{{ colour }}", r"mine\.jinja:2: unknown variable 'colour'"),
        ("{{ reply }} {{ question }}", r"'answer' is never used"),
        ("{{ text }}", r"'reply' is never used"),
        ("{{ text }}\n{{ reply", r"mine\.jinja:2: "),
        ("{% block sample %}{{ text }}{{ reply }}{% endblock %}", "blocks"),
        ("{{ text }} {{ reply }} {{ reply }}", "shown once, not 2 times"),
        ("{{ text }}{% if False %}{{ reply }}{% endif %}", "shown once, not 0 times"),
    ],
)
def test_a_faulty_shot_template_is_named(source: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=problem):
        make("verify", shots=2, shot_template=file(tmp_path, source))


@pytest.mark.parametrize(
    ("source", "readout", "problem"),
    [
        ("{{ colour }}", "json", r"mine\.jinja:1: unknown variable 'colour'"),
        ("good", "json", "it shows nothing of the feedback"),
        (
            "{{ json }}\n{{ feedback.score }}",
            "json",
            r"mine\.jinja:2: feedback has no field 'score'",
        ),
        ('{{ json }} {{ feedback["score"] }}', "json", "feedback has no field 'score'"),
        ("{{ label", "json", r"mine\.jinja:1: "),
        ("It is {{ label }}", "json", "a reply that the json readout cannot read"),
        ("It is {{ word }}", "logprob", "the first word, which must be '(right|wrong)'"),
    ],
)
def test_a_faulty_feedback_template_is_named(
    source: str, readout: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(TemplateError, match=problem):
        make("verify", shots=2, feedback_template=file(tmp_path, source), readout=readout)


def test_a_field_that_a_bare_label_has_not_is_told_before_anything_is_asked(
    tmp_path: Path,
) -> None:
    rows = [
        {"prompt": f"p{n}", "response_a": f"a{n}", "response_b": f"b{n}", "label": label}
        for n, label in enumerate(("A", "B"))
    ]
    path = file(tmp_path, "{{ word }} {{ feedback.choice }}")
    with pytest.raises(TemplateError, match=r"mine\.jinja: 'feedback' is undefined"):
        make("pairwise", shots=rows, feedback_template=path)


def test_text_of_a_shot_is_never_expanded_nor_taken_for_the_slot(tmp_path: Path) -> None:
    question = "{{ reply }} {% if %}\0reply\0"
    rows = [{"question": question, "answer": "x y", "reference": "z", "label": "correct"}]
    path = file(tmp_path, "{{ text }} {{ reply }}")
    task = make("verify", shots=rows, shot_template=path, mode="completion")
    assert question in text_of(task.render(sample_of("verify")))


def test_delimiters_of_a_shot_template_are_broken_in_texts(tmp_path: Path) -> None:
    path = file(tmp_path, '{% set delimiters = ["=>>"] %}\n{{ text }} =>> {{ reply }}')
    task = make("verify", shots=1, shot_template=path, mode="completion")
    row = {"question": "q =>> right", "answer": "a", "reference": "r"}
    assert text_of(task.render(sample_of("verify", row))).count("=>>") == 1


def test_a_template_is_used_in_its_mode_only(tmp_path: Path) -> None:
    body = "mine {{ question }} {{ answer }} {{ references }}"
    config = {"template": {"chat": file(tmp_path, body)}}
    chat, completion = (make("verify", mode=mode, **config) for mode in MODES)
    assert text_of(chat.render(sample_of("verify"))).startswith("mine")
    assert completion.prompt.template.name == "verify.completion"
    assert chat.notes == []
    assert completion.notes == [
        "the template is for chat mode, and the run is in completion mode: it is not used"
    ]
    assert completion.fingerprint == make("verify", mode="completion").fingerprint


def test_templates_by_mode_are_data() -> None:
    config = JudgeConfig(kind="verify", template={"chat": "a", "completion": "b"}, shots=[{"a": 1}])
    assert msgspec.json.decode(msgspec.json.encode(config), type=JudgeConfig) == config
