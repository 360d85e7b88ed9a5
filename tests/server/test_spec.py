"""SPEC: what is served, and each mistake with its place."""

from pathlib import Path

import pytest

from plaudit.errors import UsageError
from plaudit.rewarding.scorers import JudgeScorer, RewardScorer
from plaudit.rewarding.unscored import UnscoredChoice
from plaudit.server.service import DialectChoices, choose_dialects
from plaudit.server.spec import ServeSpec, load_spec
from tests.support.serving import RULES

WHOLE = """
[serve.maths]
rewards = "own/rules.toml"

[serve.helpful]
judge = "pointwise"
engine = "scripted:script.jsonl"
readout = "json"

[serve.better]
judge = "pairwise"
engine = "scripted:script.jsonl"
swap = false

[dialect.openrlhf]
when_unscored = "error"
deadline = 100

[dialect.slime]
when_unscored = -0.5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "rules.toml").write_text(RULES)
    (tmp_path / "script.jsonl").write_text('{"match": {}, "replies": [{}]}\n')
    return tmp_path


def spec(text: str, name: str = "serve.toml") -> ServeSpec:
    Path(name).write_text(text)
    return load_spec(name)


def test_rewards_and_judges_are_served_by_their_names() -> None:
    found = spec(WHOLE)
    assert list(found.rewards) == ["maths", "helpful", "better"]
    maths, helpful, better = found.rewards.values()
    assert isinstance(maths.scorer, RewardScorer) and maths.group is None
    assert isinstance(helpful.scorer, JudgeScorer) and helpful.kind == "pointwise"
    assert better.group is not None
    assert helpful.scorer.judge.config.readout == "json"
    spoken = choose_dialects(found, DialectChoices())
    assert list(spoken) == ["native", "openrlhf", "slime"]
    assert (str(spoken["openrlhf"].choice), spoken["openrlhf"].deadline) == ("error", 100.0)
    assert (str(spoken["slime"].choice), spoken["slime"].deadline) == ("-0.5", 110.0)


def test_a_file_of_rewards_is_served_under_its_stem() -> None:
    assert list(spec(RULES, "sums.toml").rewards) == ["sums"]


MISTAKES = {
    "a typo in a key": (
        '[serve.a]\nreward = "r"',
        r"\[serve.a\]: .*'reward'.*did you mean 'rewards'",
    ),
    "a typo in a table": ('[served.a]\nrewards = "r"', "'served' .did you mean 'serve'"),
    "a typo in an option": (
        '[serve.a]\njudge = "verify"\nreadut = "json"',
        r"\[serve.a\]: there is no option 'readut' .did you mean 'readout'",
    ),
    "a value that there is not": (
        '[serve.a]\njudge = "verify"\nreadout = "jsonn"',
        r"\[serve.a\].*readout",
    ),
    "no such judge": ('[serve.a]\njudge = "verifi"', r"\[serve.a\]: there is no judge 'verifi'"),
    "no such file": ('[serve.a]\nrewards = "no.toml"', r"\[serve.a\]: rewards .*no.toml: No such"),
    "both": ('[serve.a]\nrewards = "own/rules.toml"\njudge = "verify"', "and not both"),
    "neither": ("[serve.a]\nengine = 'local'", "needs rewards = FILE or judge = KIND"),
    "nothing": ("", r"no \[serve.NAME\]"),
    "an empty table": ("[serve]", "names no reward"),
    "no table": ("serve = 5", "serve.toml"),
    "a name that is no path": ('[serve."a/b"]\nrewards = "r"', "'a/b' cannot stand in a path"),
    "a deadline of 0": ("[serve.a]\njudge = 'verify'\n[dialect.slime]\ndeadline = 0", "deadline"),
    "a choice that there is not": (
        "[serve.a]\njudge = 'verify'\n[dialect.slime]\nwhen_unscored = 'zero'",
        r"\[dialect.slime\]: there is no choice 'zero'",
    ),
    "no toml": ("[serve", "not TOML"),
    "a typo in the rewards": (
        '[serve.a]\nrewards = "bad.toml"',
        r"\[serve.a\]: rewards .*bad.toml: .*correctnes",
    ),
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_place(text: str, problem: str) -> None:
    Path("bad.toml").write_text("[rewards.correctnes]\n")
    with pytest.raises(UsageError, match=problem):
        spec(text)


def test_dialects_are_served_where_something_is_chosen() -> None:
    found = spec(RULES, "r.toml")

    def names(**given: object) -> list[str]:
        return list(choose_dialects(found, DialectChoices(**given)))  # type: ignore[arg-type]

    assert names() == ["native"]
    everything = ["native", "openrlhf", "slime", "llama-factory", "nemo-gym", "vllm"]
    assert names(when_unscored=UnscoredChoice("error")) == everything
    assert names(when_unscored=UnscoredChoice("drop")) == ["native", "nemo-gym"]
    assert names(names=["slime"], when_unscored=UnscoredChoice("error")) == ["native", "slime"]
    assert names(by_name={"vllm": UnscoredChoice("error")}) == ["native", "vllm"]
    for given, problem in (
        ({"names": ["slime"]}, "slime: its trainer takes no null"),
        ({"names": ["slim"]}, "did you mean 'slime'"),
        ({"names": ["slime"], "when_unscored": UnscoredChoice("drop")}, "slime cannot carry drop"),
        ({"by_name": {"slime": UnscoredChoice("null")}}, "slime cannot carry null"),
    ):
        with pytest.raises(UsageError, match=problem):
            names(**given)


def test_a_choice_for_all_leaves_null_where_it_can_be_said() -> None:
    found = spec(RULES, "r.toml")
    for word, native in (("error", "null"), ("group-mean", "group-mean")):
        spoken = choose_dialects(found, DialectChoices(when_unscored=UnscoredChoice(word)))
        assert str(spoken["native"].choice) == native
