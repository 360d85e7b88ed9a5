"""A specification: read from TOML, JSON or a dict, checked, and known by its fingerprint."""

import re
import textwrap
import tomllib
from pathlib import Path

import msgspec
import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.rewards.composite import Requirement
from plaudit.rollouts.rewards.correctness import CorrectnessOptions
from plaudit.rollouts.rewards.functions import FunctionOptions
from plaudit.rollouts.rewards.spec import DEFAULT, MEASURES, NAMES, load_rewards
from plaudit.rollouts.trace import StopReason, Unscored
from tests.rollouts.rewards.playing import Found, Judge, chunks, question, rollout
from tests.support.command import REPOSITORY

BEST = [Found("pilot", data=chunks("c1")), Found("crew", "The crew was told.", chunks("c2"))]


def write(folder: Path, text: str, name: str = "rewards.toml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


# The default one


def test_the_default_one_has_every_reward_and_states_its_scale() -> None:
    rewards = load_rewards()
    assert sorted(part.name for part in rewards.parts) == sorted(NAMES)
    assert (rewards.low, rewards.high) == (-0.2, 1.5)
    assert "scale = [-0.2, 1.5]" in DEFAULT.read_text(encoding="utf-8")


def test_the_default_one_has_a_name() -> None:
    assert load_rewards("default").fingerprint == load_rewards().fingerprint


async def test_the_default_ones_greatest_total_can_be_reached() -> None:
    found = await load_rewards().score(rollout(*BEST))
    assert found.value == pytest.approx(1.5)
    without_gold = rollout(*BEST, asked=question(chunk_ids=[]))
    assert (await load_rewards().score(without_gold)).value == pytest.approx(1.5)


async def test_the_default_ones_least_total_can_be_reached() -> None:
    wrong = Judge(value="incorrect")
    found = await load_rewards(None, wrong.grader).score(rollout(answer="Lovell " * 2000))
    assert found.value == pytest.approx(-0.2, abs=0.01)


async def test_the_default_one_abstains_where_nothing_can_be_said() -> None:
    broken = await load_rewards().score(rollout(*BEST, stop=StopReason.FAILED))
    assert (broken.value, broken.cause) == (None, "broken_off")
    unknown = await load_rewards().score(rollout(*BEST, asked=question(answer=None)))
    assert (unknown.value, unknown.cause) == (None, "no_reference")


# Reading


TOML = """
    combine = "mean"

    [rewards.correctness]
    by = "rules"

    [rewards.early]
    reward = "chunk_hit"
    grade = "rank"
    weight = 0.5
    on_none = "renormalise"
    requires = ["correctness"]

    [rewards.length]
    weight = 0.1
    free = 10
    full = 20
    requires = {correctness = 0.5, early = 0.1}
"""


def test_a_file_says_which_rewards_and_how_they_are_combined(tmp_path: Path) -> None:
    rewards = load_rewards(write(tmp_path, TOML))
    names = [(part.name, part.reward.name, part.weight, part.on_none) for part in rewards.parts]
    assert names == [
        ("correctness", "correctness", 1.0, "abstain"),
        ("early", "chunk_hit", 0.5, "renormalise"),
        ("length", "length", 0.1, "abstain"),
    ]
    assert rewards.combine == "mean"
    assert rewards.parts[1].requires == (Requirement("correctness"),)
    assert rewards.parts[2].requires == (
        Requirement("correctness", 0.5),
        Requirement("early", 0.1),
    )


def test_json_and_a_dict_say_the_same(tmp_path: Path) -> None:
    table = tomllib.loads(textwrap.dedent(TOML))
    text = msgspec.json.encode(table).decode()
    prints = {
        load_rewards(write(tmp_path, TOML)).fingerprint,
        load_rewards(write(tmp_path, text, "rewards.json")).fingerprint,
        load_rewards(table).fingerprint,
    }
    assert len(prints) == 1


def test_the_fingerprint_is_of_what_is_meant_and_not_of_how_it_is_written() -> None:
    plain = load_rewards({"rewards": {"search_effort": {}}})
    spelt = load_rewards({"rewards": {"search_effort": {"best": 2, "zero": 10, "weight": 1}}})
    other = load_rewards({"rewards": {"search_effort": {"best": 3}}})
    assert plain.fingerprint == spelt.fingerprint != other.fingerprint


async def test_a_function_of_ones_own_is_a_reward(tmp_path: Path) -> None:
    write(
        tmp_path, "def polite(trace, word):\n    return float(word in trace.final_answer)", "p.py"
    )
    spec = """
        [rewards.polite]
        function = "p.py:polite"
        arguments = {word = "please"}
        low = 0
        high = 1
        weight = 2
    """
    rewards = load_rewards(write(tmp_path, spec))
    assert (rewards.low, rewards.high) == (0.0, 2.0)
    assert (await rewards.score(rollout(answer="Swigert, please"))).value == 2.0
    assert (await rewards.score(rollout(answer=None))).cause == "raised"


async def test_one_reward_may_stand_there_twice(tmp_path: Path) -> None:
    table = {"found": {"reward": "chunk_hit"}, "early": {"reward": "chunk_hit", "grade": "rank"}}
    late = rollout(Found(data=chunks("c2", "c1")))
    found = await load_rewards({"rewards": table}).score(late)
    assert [part.value for part in found.components.values()] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "missing required field `rewards`; it has rewards, combine, scale"),
        ("rewards = 3", "Expected `object`"),
        ("[rewards]", "no reward counts"),
        ("[rewords.x]", "unknown field `rewords`|missing required field"),
        ("[rewards.x]", "x: there is no reward 'x'; there are correctness, format"),
        (
            "[rewards.format]\ncals = 1",
            "format: .*unknown field `cals`; it has calls",
        ),
        ("[rewards.format]\nweight = 'much'", "format: Expected `float`"),
        ("[rewards.format]\non_none = 0.0", "format: Expected `str`"),
        (
            "[rewards.format]\non_none = 'zero'",
            "on_none is 'zero'; it can be abstain or renormalise",
        ),
        ("[rewards.format]\nrequires = 'x'", "requires 'x', which is no other reward"),
        ("[rewards.search_effort]\nbest = 0", "search_effort: best must be at least 1"),
        ("[rewards.correctness]\njudge = {votes = 'x'}", "correctness: judge options"),
        ("[rewards.f]\nfunction = 'none.py:f'", "f: there is no file"),
        (
            "[rewards.f]\nfunction = 'math:floor'\nbest = 2",
            "f: .*unknown field `best`",
        ),
        ("combine = 'max'\n[rewards.format]", "combine is 'max'; it can be sum or mean"),
        ("scale = [0, 2]\n[rewards.format]", "weights and ranges give 0 to 1"),
        ("[rewards.total]\nreward = 'format'", "'total' is taken"),
        ("rewards = {", "not TOML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_file(spec: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path, spec)
    with pytest.raises(UsageError, match=why) as caught:
        load_rewards(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match=r"rewards none\.toml: No such file"):
        load_rewards("none.toml")


def test_every_measure_has_a_range_and_says_what_it_is() -> None:
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.low < measure.high
        assert measure.__doc__
        assert msgspec.json.decode(msgspec.json.encode(measure())) is not None


PAGE = (REPOSITORY / "docs" / "reference" / "rewards.md").read_text(encoding="utf-8")


def test_the_default_one_in_the_docs_is_the_one_that_ships() -> None:
    shown = PAGE.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(shown) == tomllib.loads(DEFAULT.read_text(encoding="utf-8"))


def test_the_docs_name_every_reward_option_and_cause() -> None:
    for name, measure in MEASURES.items():
        assert f"`{name}`" in PAGE
        for option in measure.__struct_fields__:
            assert re.search(rf"`{option}\b", PAGE), (name, option)
    for form in (CorrectnessOptions, FunctionOptions):
        for option in form.__struct_fields__:
            assert re.search(rf"`{option}\b", PAGE) or f"\n{option} = " in PAGE, option
    for cause in Unscored:
        assert f"`{cause.value}`" in PAGE, cause
