"""Every enumerated option shows its choices, wherever it is given."""

from typing import Annotated, Literal

import msgspec
import pytest

from plaudit import Judge, UsageError
from plaudit._util.choices import convert
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import make_config
from plaudit.rollout import _config
from plaudit.rollouts.config import RolloutConfig
from plaudit.rollouts.rewards.spec import load_rewards

CHOICES = {
    "readout": "auto, logprob or json",
    "mode": "auto, chat or completion",
    "prior": "auto or none",
    "select": "fixed, random or similar",
}


@pytest.mark.parametrize("name", CHOICES)
def test_defect_17_a_wrong_choice_shows_the_choices(name: str) -> None:
    said = f"{name} is 'jsonn'; it can be {CHOICES[name]}"
    with pytest.raises(UsageError, match=said):
        Judge("pointwise", **{name: "jsonn"})
    members = [{"name": "a", name: "jsonn"}, {"name": "b"}]
    with pytest.raises(UsageError, match=f"'a': judge options: {said}"):
        Judge("pointwise", jury={"members": members})


def test_defect_17_specifications_show_the_choices_too() -> None:
    members = [{"name": "a"}, {"name": "b"}]
    with pytest.raises(UsageError, match="combine is 'meen'; it can be mean, median, majority"):
        Judge("pointwise", jury={"members": members, "combine": "meen"})
    with pytest.raises(UsageError, match="correctness: by is 'rulez'; it can be rules or judge"):
        load_rewards({"rewards": {"correctness": {"by": "rulez"}}})
    with pytest.raises(UsageError, match="tools_as is 'x'; it can be auto, native"):
        _config(1, {"tools_as": "x"})


ENUMERATED = [
    (config, field.name)
    for config in (JudgeConfig, RolloutConfig)
    for field in msgspec.structs.fields(config)
    if isinstance(field.default, str) and "Literal" in str(field.type)
]


@pytest.mark.parametrize(("config", "name"), ENUMERATED)
def test_no_enumerated_field_shows_a_path_of_json(config: type, name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 'no such'; it can be .* or "):
        if config is JudgeConfig:
            make_config("pointwise", {name: "no such"})
        else:
            _config(1, {name: "no such"})


class Inner(msgspec.Struct):
    size: Literal["s", "m"] | None = None


class Outer(msgspec.Struct):
    inner: Inner | None = None
    colour: Annotated[Literal["red"] | int, "note"] = "red"
    count: int = 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"inner": {"size": "l"}}, "inner.size is 'l'; it can be s or m"),
        ({"colour": "blue"}, "colour is 'blue'; it can be red"),
        ({"count": "x"}, "Expected `int`, got `str` - at `$.count`"),
        ({"colour": 1.5}, "Expected"),
        (3, "Expected `object`, got `int`"),
    ],
)
def test_what_is_wrong_is_named(given, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert(given, Outer)
    assert str(caught.value).startswith(said)
