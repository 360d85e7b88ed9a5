"""A specification of rewards: which there are and how they make one; TOML, JSON or a dict."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from plaudit._util.choices import convert
from plaudit.errors import UsageError
from plaudit.rollouts.rewards.base import Measure, Reward
from plaudit.rollouts.rewards.composite import Combine, Composite, OnNone, Requirement, RewardPart
from plaudit.rollouts.rewards.correctness import Correctness, CorrectnessOptions, Grader
from plaudit.rollouts.rewards.functions import FunctionOptions, FunctionReward, load_function
from plaudit.rollouts.rewards.measures import (
    AnswerSupport,
    ChunkHit,
    Length,
    Repetition,
    SearchEffort,
    WellFormed,
)
from plaudit.sending.prices import read_mapping

Spec = str | Path | Mapping[str, Any]
"""The path of a specification, or what is in it."""

MEASURES: Mapping[str, type[Measure]] = {
    measure.name: measure
    for measure in (WellFormed, SearchEffort, ChunkHit, AnswerSupport, Length, Repetition)
}
"""The rewards that ask no judge, by name."""

NAMES = (Correctness.name, *MEASURES)
"""The rewards that come with plaudit."""

DEFAULT = Path(__file__).with_name("default.toml")
"""The specification that is used where none is named."""

_SCALE_TOLERANCE = 1e-6


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rewards: dict[str, dict[str, Any]]
    combine: Combine = "sum"
    scale: tuple[float, float] | None = None


class _Counting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    weight: float = 1.0
    on_none: OnNone = "abstain"
    requires: str | list[str] | dict[str, float] = []


_COUNTING = _Counting.__struct_fields__


def load_rewards(spec: Spec | None = None, grader: Grader | None = None) -> Composite:
    """Read a specification and make its rewards. No engine is loaded before it is asked.

    ::

        rewards = load_rewards({"rewards": {"correctness": {}, "length": {"weight": 0.1}}})
        score = await rewards.score(trace)

    Args:
        spec: the path of a TOML or JSON file, or a dict of the same form; None or `default`: the
            one that ships.
        grader: who is asked by rewards that need a judge; None: nobody.

    Raises:
        UsageError: it cannot be used; the message names the file and the reward.
    """
    table, where, folder = _table(DEFAULT if spec is None or spec == "default" else spec)
    with _named(where):
        found = _convert(table, _File)
    make = _Maker(grader or Grader(), folder)
    parts: list[RewardPart] = []
    for name, fields in found.rewards.items():
        with _named(f"{where}: {name}"):
            parts.append(_part(name, fields, make))
    with _named(where):
        composite = Composite(parts, found.combine)
        _check_scale(composite, found.scale)
    return composite


def _table(spec: Spec) -> tuple[Mapping[str, Any], str, Path]:
    if isinstance(spec, Mapping):
        return spec, "rewards", Path()
    return read_mapping(str(spec), "rewards"), f"rewards {spec}", Path(spec).parent


@contextmanager
def _named(where: str) -> Generator[None]:
    """Say in a usage error where it was made."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _convert(table: Mapping[str, Any], form: type[Any], besides: Iterable[str] = ()) -> Any:
    try:
        return convert(table, form)
    except UsageError as error:
        known = ", ".join((*form.__struct_fields__, *besides))
        raise UsageError(f"{error}; it has {known}") from None


def _check_scale(composite: Composite, stated: tuple[float, float] | None) -> None:
    """Refuse a scale that is not the one that weights and ranges give."""
    if stated is None:
        return
    found = (composite.low, composite.high)
    if any(abs(a - b) > _SCALE_TOLERANCE for a, b in zip(stated, found, strict=True)):
        raise UsageError(
            f"'scale' says {stated[0]:g} to {stated[1]:g}, but weights and ranges give "
            f"{found[0]:g} to {found[1]:g}"
        )


def _part(name: str, fields: Mapping[str, Any], make: "_Maker") -> RewardPart:
    counting = _convert({k: v for k, v in fields.items() if k in _COUNTING}, _Counting)
    return RewardPart(
        name=name,
        reward=make.reward(name, {k: v for k, v in fields.items() if k not in _COUNTING}),
        weight=counting.weight,
        on_none=counting.on_none,
        requires=_requirements(counting.requires),
    )


def _requirements(given: str | list[str] | dict[str, float]) -> tuple[Requirement, ...]:
    if isinstance(given, dict):
        return tuple(Requirement(name, least) for name, least in given.items())
    return tuple(map(Requirement, [given] if isinstance(given, str) else given))


class _Maker(NamedTuple):
    """Makes rewards from the fields of a specification."""

    grader: Grader
    folder: Path

    def reward(self, name: str, fields: dict[str, Any]) -> Reward:
        """Make one reward.

        Raises:
            UsageError: there is no such reward or option.
        """
        if "function" in fields:
            options = _convert(fields, FunctionOptions, _COUNTING)
            function, code = load_function(options.function, self.folder)
            return FunctionReward(name, function, options, code)
        kind = fields.pop("reward", name)
        if kind == Correctness.name:
            return Correctness(_convert(fields, CorrectnessOptions, _COUNTING), self.grader)
        if kind not in MEASURES:
            raise UsageError(
                f"there is no reward {kind!r}; there are {', '.join(NAMES)}, and "
                'function = "module:function" for one of your own'
            )
        return _convert(fields, MEASURES[kind], _COUNTING)
