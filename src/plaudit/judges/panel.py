"""Panels: several judges of one kind over the same samples, as a jury or as a cascade.

A panel is configured by a specification: a TOML or JSON file, or a dict of the same form.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from plaudit._util.choices import convert
from plaudit._util.ranges import FINITE, check_number
from plaudit.engines.base import Engine
from plaudit.errors import EngineUnusableError, UsageError
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind, make_config, task_type
from plaudit.scoring.jury import Combine, Learned, Rule, check
from plaudit.sending.prices import read_mapping
from plaudit.types import Json, Sample

Spec = str | Path | Mapping[str, Any]
"""The path of a specification, or what is in it."""


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One judge of a panel."""

    name: str
    engine: str
    """Engine URI."""
    judge: JudgeConfig
    weight: float = 1.0
    """In a jury that weighs its votes."""
    learned_for: str = ""
    """The judge for which the weight was learned; empty: it was given."""


class JuryConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="panel", tag="jury"):
    """Judges that all judge every sample, and whose verdicts are combined."""

    members: tuple[Member, ...]
    combine: Combine
    quorum: int
    """Least number of `ok` verdicts that make a verdict."""


class CascadeConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="panel", tag="cascade"):
    """Judges that are asked in turn: each about what those before it could not decide."""

    members: tuple[Member, ...]


PanelConfig = JuryConfig | CascadeConfig


class LearnedWeight(Learned, frozen=True, kw_only=True):
    """One entry of a file of learned weights, by member name."""

    judge: str
    """`kind/fingerprint` of the judge for which it was learned."""


# Reading a specification


class _JurySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    members: list[dict[str, Any]] = []
    combine: Combine | None = None
    quorum: int | None = None
    weights: str | None = None


class _CascadeSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    steps: list[dict[str, Any]] = []


def read_jury(
    spec: Spec, base: JudgeConfig, engine: str | Engine, load: Callable[[str | Engine], Engine]
) -> tuple[JuryConfig, tuple[Engine, ...]]:
    """Read a jury and load the engines of its members, one a member.

    Args:
        spec: `members`, and where wanted `combine`, `quorum` and `weights`, the path of a file of
            learned weights.
        base: what holds for each member that does not say otherwise.
        engine: the engine of members that name none.
        load: makes an engine of a URI.

    Raises:
        UsageError: the specification cannot be used; the message names the member.
    """
    table, where = _table(spec, "jury")
    found = _convert(table, _JurySpec, where)
    members, engines = _members(found.members, base, engine, load, where)
    if found.weights is not None:
        members = _with_weights(members, found.weights, where)
    weighs = found.weights is not None or any("weight" in raw for raw in found.members)
    combine = found.combine or _usual_rule(base.kind, weighs)
    if weighs and combine != "weighted":
        raise UsageError(f'{where}: weights are used with combine = "weighted" only')
    quorum = len(members) // 2 + 1 if found.quorum is None else found.quorum
    return JuryConfig(members=members, combine=combine, quorum=quorum), engines


def read_cascade(
    spec: Spec, base: JudgeConfig, engine: str | Engine, load: Callable[[str | Engine], Engine]
) -> tuple[CascadeConfig, tuple[Engine, ...]]:
    """Read a cascade and load the engines of its steps; see `read_jury`.

    Raises:
        UsageError: the specification cannot be used; the message names the step.
    """
    table, where = _table(spec, "cascade")
    found = _convert(table, _CascadeSpec, where)
    if any("weight" in step for step in found.steps):
        raise UsageError(f"{where}: the steps of a cascade have no weight")
    steps, engines = _members(found.steps, base, engine, load, where)
    return CascadeConfig(members=steps), engines


def _table(spec: Spec, what: str) -> tuple[Mapping[str, Any], str]:
    if isinstance(spec, Mapping):
        return spec, what
    return read_mapping(str(spec), what), f"{what} {spec}"


def _convert(table: Mapping[str, Any], form: type[Any], where: str) -> Any:
    try:
        return convert(table, form)
    except UsageError as error:
        known = ", ".join(form.__struct_fields__)
        raise UsageError(f"{where}: {error}; it has {known}") from None


def _usual_rule(kind: str, weighs: bool) -> Combine:
    if weighs:
        return "weighted"
    return "mean" if task_type(kind).scale == "scores" else "majority"


def _members(
    raw: Sequence[Mapping[str, Any]],
    base: JudgeConfig,
    engine: str | Engine,
    load: Callable[[str | Engine], Engine],
    where: str,
) -> tuple[tuple[Member, ...], tuple[Engine, ...]]:
    """Make the members and their engines; the same URI is one engine."""
    if len(raw) < 2:
        raise UsageError(f"{where}: name at least two judges, not {len(raw)}")
    names = [_name(fields, number, where) for number, fields in enumerate(raw, 1)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where}: the name {name!r} is given twice")
    loaded: dict[str, Engine] = {}
    members: list[Member] = []
    engines: list[Engine] = []
    for name, fields in zip(names, raw, strict=True):
        with named(name, where):
            wanted = fields.get("engine", engine)
            known = loaded.get(wanted) if isinstance(wanted, str) else None
            one = known or load(wanted)
            loaded.setdefault(wanted if isinstance(wanted, str) else one.uri, one)
            members.append(_member(name, fields, base, one.uri))
        engines.append(one)
    return tuple(members), tuple(engines)


def _name(fields: Mapping[str, Any], number: int, where: str) -> str:
    name = fields.get("name")
    if not isinstance(name, str) or not name:
        raise UsageError(f'{where}: judge {number} has no name; write name = "..."')
    return name


def _member(name: str, fields: Mapping[str, Any], base: JudgeConfig, uri: str) -> Member:
    own = {k: v for k, v in fields.items() if k not in ("name", "engine", "weight")}
    kind = own.pop("kind", base.kind)
    if kind != base.kind:
        raise UsageError(f"a {kind} judge cannot sit with {base.kind} judges: all are of one kind")
    weight = fields.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise UsageError(f"the weight must be a number, not {weight!r}")
    check_number("weight", weight, FINITE)
    config = make_config(kind, _fields_of(base) | own)
    return Member(name=name, engine=uri, judge=config, weight=float(weight))


def _fields_of(config: JudgeConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__struct_fields__ if name != "kind"}


def _with_weights(members: Sequence[Member], path: str, where: str) -> tuple[Member, ...]:
    """Put learned weights in.

    Raises:
        UsageError: the file cannot be read, or has no weight for a member.
    """
    table = read_mapping(path, "weights")
    try:
        learned = msgspec.convert(table, dict[str, LearnedWeight])
    except msgspec.ValidationError as error:
        raise UsageError(f"weights {path}: {error}; write it with plaudit jury-weights") from None
    for member in members:
        if member.name not in learned:
            raise UsageError(f"{where}: {path} has no weight for the member {member.name!r}")
        if member.weight != 1.0:
            raise UsageError(f"{where}: the member {member.name!r} has a weight, and {path} too")
    return tuple(
        msgspec.structs.replace(
            member, weight=learned[member.name].weight, learned_for=learned[member.name].judge
        )
        for member in members
    )


# Bound to models


class PanelJudge:
    """What a panel asks and how its verdicts are called; the counterpart of `BaseJudge`."""

    def __init__(self, config: PanelConfig, tasks: Sequence[BaseJudge]) -> None:
        """Join the tasks of the members.

        Raises:
            UsageError: the panel cannot decide.
        """
        self.config = config
        self.tasks = tuple(tasks)
        self.kind = tasks[0].kind
        self.rule = self._make_rule() if isinstance(config, JuryConfig) else None
        self.readout = _common([task.readout for task in tasks])
        self.mode = _common([task.mode for task in tasks])
        self.fingerprint = self._digest()
        self.judge_name = f"{self.kind}/{self.fingerprint[:12]}"

    @property
    def form(self) -> Literal["jury", "cascade"]:
        """Which panel it is."""
        return "cascade" if self.rule is None else "jury"

    def read_row(self, row: Mapping[str, Any], index: int) -> list[Sample]:
        """Take the samples from an input row; see `BaseJudge.read_row`."""
        return self.tasks[0].read_row(row, index)

    def row_of(self, sample: Any) -> dict[str, Json]:
        """Return a sample in the form of an input row."""
        return self.tasks[0].row_of(sample)

    def _make_rule(self) -> Rule:
        config = cast("JuryConfig", self.config)
        scale = self.tasks[0].scale
        rule = Rule(
            combine=config.combine,
            scale=scale,
            labels=() if scale == "scores" else self.tasks[0].labels,
            weights=tuple(member.weight for member in config.members),
            quorum=config.quorum,
        )
        check(rule)
        for member, task in zip(config.members, self.tasks, strict=True):
            if member.learned_for not in ("", task.judge_name):
                raise UsageError(
                    f"the weight of {member.name!r} was learned for the judge "
                    f"{member.learned_for}, and this one is {task.judge_name}: learn it again "
                    "with plaudit jury-weights"
                )
        return rule

    def _digest(self) -> str:
        """Return the fingerprint: the members' and the rule; no name, no gate, no URL."""
        data = [1, self.form, [task.fingerprint for task in self.tasks], self.rule]
        encoded = msgspec.json.encode(data, order="deterministic")
        return hashlib.blake2b(encoded, digest_size=32).hexdigest()


async def bind_panel(config: PanelConfig, engines: Sequence[Engine]) -> PanelJudge:
    """Make the task of a panel for its engines, one a member.

    Raises:
        UsageError: an engine cannot do what its member asks for, or a step has no gate.
        EngineUnusableError: a model cannot be found out. Both name the member.
    """
    tasks: list[BaseJudge] = []
    for member, engine in zip(config.members, engines, strict=True):
        with named(member.name):
            tasks.append(await bind(member.judge, engine))
    if isinstance(config, CascadeConfig):
        for member, task in zip(config.members[:-1], tasks[:-1], strict=True):
            if member.judge.gate is None and task.promise is None:
                raise UsageError(
                    f"the step {member.name!r} has no gate that says what it settles: give it a "
                    "gate, or a calibration that has one"
                )
    return PanelJudge(config, tasks)


@contextmanager
def named(name: str, where: str = "") -> Generator[None]:
    """Put the name of a member before what goes wrong with it."""
    before = f"{where}: judge {name!r}" if where else f"judge {name!r}"
    try:
        yield
    except EngineUnusableError as error:
        raise EngineUnusableError(f"{before}: {error}", outage=error.outage) from error
    except UsageError as error:
        raise UsageError(f"{before}: {error}") from error


def _common(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "mixed"
