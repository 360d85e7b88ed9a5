"""Specifications of juries and cascades, and what binding them refuses."""

import asyncio
import json
from pathlib import Path

import pytest

from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.judges.config import JudgeConfig
from plaudit.judges.panel import (
    CascadeConfig,
    JuryConfig,
    PanelJudge,
    bind_panel,
    read_cascade,
    read_jury,
)
from tests.support.command import write_rows


@pytest.fixture
def script(tmp_path: Path) -> str:
    return f"scripted:{write_rows(tmp_path / 's.jsonl', [{'match': {}, 'replies': [{}]}])}"


def jury(spec, kind="pairwise", engine="local", **config) -> tuple[JuryConfig, tuple]:
    return read_jury(spec, JudgeConfig(kind=kind, **config), engine, load_engine)


def cascade(spec, kind="feedback", engine="local") -> tuple[CascadeConfig, tuple]:
    return read_cascade(spec, JudgeConfig(kind=kind), engine, load_engine)


def bound(found) -> PanelJudge:
    return asyncio.run(bind_panel(*found))


TWO = [{"name": "a"}, {"name": "b", "readout": "json"}]


def test_members_take_what_they_do_not_say_from_the_base(script: str) -> None:
    config, engines = jury({"members": [{"name": "a", "engine": script}, *TWO[1:]]}, max_tokens=7)
    assert [m.engine for m in config.members] == [script, "local"]
    assert [m.judge.readout for m in config.members] == ["auto", "json"]
    assert [m.judge.max_tokens for m in config.members] == [7, 7]
    assert [e.uri for e in engines] == [script, "local"]
    assert (config.combine, config.quorum) == ("majority", 2)


def test_the_same_uri_is_one_engine(script: str) -> None:
    _, engines = jury({"members": [{"name": n, "engine": script} for n in "abc"]})
    assert engines[0] is engines[1] is engines[2]


@pytest.mark.parametrize(
    ("kind", "members", "rule"),
    [
        ("feedback", TWO, "majority"),
        ("pointwise", TWO, "mean"),
        ("verify", [{"name": "a", "weight": 2}, {"name": "b"}], "weighted"),
    ],
)
def test_the_usual_rule_depends_on_the_judge(kind, members, rule) -> None:
    assert jury({"members": members}, kind)[0].combine == rule


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_specification_is_a_file_or_a_dict(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"spec.{form}"
    text = {
        "toml": 'combine = "median"\nquorum = 1\n[[members]]\nname = "a"\n[[members]]\nname = "b"\n'
        'readout = "json"\n',
        "json": json.dumps({"combine": "median", "quorum": 1, "members": TWO}),
    }[form]
    path.write_text(text)
    assert jury(path)[0] == jury({"combine": "median", "quorum": 1, "members": TWO})[0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "at least two judges, not 0"),
        ({"members": TWO[:1]}, "at least two judges, not 1"),
        ({"members": [{"name": "a"}, {"name": "a"}]}, "'a' is given twice"),
        ({"members": [{"name": "a"}, {"engine": "local"}]}, "judge 2 has no name"),
        ({"members": [{"name": "a"}, {"name": 3}]}, "judge 2 has no name"),
        ({"members": TWO, "method": "mean"}, "unknown field `method`; it has members, combine"),
        ({"steps": TWO}, "unknown field `steps`"),
        ({"members": TWO, "combine": "best"}, "'best'"),
        ({"members": "a"}, "Expected `array`"),
        ({"members": [{"name": "a"}, {"name": "b", "color": 1}]}, "'b': a judge has no option"),
        ({"members": [{"name": "a"}, {"name": "b", "gate": "x"}]}, "'b': judge options"),
        ({"members": [{"name": "a"}, {"name": "b", "kind": "verify"}]}, "all are of one kind"),
        (
            {"members": [{"name": "a"}, {"name": "b", "engine": "nope:x"}]},
            "'b': there is no engine",
        ),
        ({"members": [{"name": "a"}, {"name": "b", "weight": "x"}]}, "must be a number"),
        ({"members": [{"name": "a"}, {"name": "b", "weight": 2}], "combine": "mean"}, "weighted"),
        ({"members": TWO, "weights": "none.json"}, "none.json"),
    ],
)
def test_a_specification_that_cannot_be_used_says_why(spec, message) -> None:
    with pytest.raises(UsageError, match=message):
        jury(spec)


def test_steps_have_no_weight_and_a_cascade_no_rule() -> None:
    with pytest.raises(UsageError, match="no weight"):
        cascade({"steps": [{"name": "a"}, {"name": "b", "weight": 2}]})
    with pytest.raises(UsageError, match="unknown field"):
        cascade({"steps": TWO, "combine": "mean"})


@pytest.mark.parametrize(("text", "message"), [("x =", "not TOML"), ("", "at least two")])
def test_a_broken_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"jury .*spec\.toml: .*{message}"):
        jury(path)


# Bound to models.


def test_every_step_but_the_last_needs_a_gate(script: str) -> None:
    def steps(kind, **gate):
        names = [{"name": "a", **gate}, {"name": "b"}]
        return cascade({"steps": names}, kind, script)

    with pytest.raises(UsageError, match="'a' has no gate"):
        bound(steps("verify"))
    assert bound(steps("verify", gate=0.7)).tasks[0].gate == 0.7
    with pytest.raises(UsageError, match="'a' has no gate"):
        bound(steps("feedback"))  # its default promises nothing
    with pytest.raises(UsageError, match="judge 'a': the pointwise judge has no confidence"):
        bound(steps("pointwise", gate=0.7))


def test_labels_have_no_mean_and_the_quorum_must_be_possible(script: str) -> None:
    with pytest.raises(UsageError, match="labels have no mean"):
        bound(jury({"members": TWO, "combine": "mean"}, "feedback", script))
    with pytest.raises(UsageError, match=r"1\.\.2"):
        bound(jury({"members": TWO, "quorum": 3}, "feedback", script))


def test_the_fingerprint_follows_members_and_rule_and_not_names_or_gates(script: str) -> None:
    def print_of(*members, **rule):
        return bound(jury({"members": list(members), **rule}, "feedback", script)).fingerprint

    a, b = {"name": "a"}, {"name": "b", "max_tokens": 9}
    same = {print_of(a, b), print_of({"name": "x"}, b), print_of({**a, "gate": 0.9}, b)}
    others = {print_of(b, a), print_of(a, b, quorum=1), print_of({**a, "weight": 2}, b)}
    assert len(same) == 1
    assert len(same | others) == 4
    steps = bound(cascade({"steps": [a | {"gate": 0.6}, b]}, "feedback", script))
    assert steps.fingerprint not in same | others
    assert steps.judge_name == f"feedback/{steps.fingerprint[:12]}"


def test_learned_weights_hold_for_the_judge_they_were_learned_for(
    tmp_path: Path, script: str
) -> None:
    plain = bound(jury({"members": TWO}, "feedback", script))
    path = tmp_path / "w.json"

    def weigh(names, judges):
        entries = {
            name: {"judge": judge, "weight": 1.5, "samples": 9}
            for name, judge in zip(names, judges, strict=True)
        }
        path.write_text(json.dumps(entries))
        return jury({"members": TWO, "weights": str(path)}, "feedback", script)

    names = [task.judge_name for task in plain.tasks]
    assert bound(weigh("ab", names)).rule.weights == (1.5, 1.5)
    with pytest.raises(UsageError, match="'b' was learned for the judge feedback/0"):
        bound(weigh("ab", [names[0], "feedback/000000000000"]))
    with pytest.raises(UsageError, match="no weight for the member 'b'"):
        weigh("ac", names)
    path.write_text('{"a": {"weight": "x"}}')
    with pytest.raises(UsageError, match="plaudit jury-weights"):
        jury({"members": TWO, "weights": str(path)}, "feedback", script)
