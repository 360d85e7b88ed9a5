"""SPEC: which rewards are served, under which names, and how dialects answer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from plaudit._util.choices import convert
from plaudit._util.ranges import SECONDS, Range, check_ranges
from plaudit.engines.base import Engine, similar
from plaudit.errors import UsageError
from plaudit.judge import Judge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import task_type
from plaudit.rewarding.scorers import GroupScorer, JudgeScorer, RewardScorer, Scorer
from plaudit.rewarding.unscored import UnscoredChoice, read_choice
from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.functions import FunctionReward
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import read_mapping
from plaudit.server.processes import FunctionProcesses
from plaudit.server.watch.options import WatchOptions
from plaudit.server.worker import Task

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OF_REWARDS = ("rewards", "engine")
_OF_JUDGES = (
    "judge",
    "engine",
    "jury",
    "cascade",
    *(name for name in JudgeConfig.__struct_fields__ if name != "kind"),
)


class Served(NamedTuple):
    """A reward under its name."""

    name: str
    scorer: Scorer
    kind: str = ""
    """The judge's kind; empty: a specification of rewards."""
    group: GroupScorer | None = None
    """Scores the members of a group against each other; None: each is scored for itself."""


class DialectOptions(NamedTuple):
    """How a dialect answers."""

    when_unscored: UnscoredChoice | None = None
    """None: nothing was chosen."""
    deadline: float | None = None
    """Seconds until a request is answered; None: what its peer's time-out leaves."""


class ServeSpec(NamedTuple):
    """What is served."""

    rewards: Mapping[str, Served]
    dialects: Mapping[str, DialectOptions]
    """Those that SPEC names."""
    path: str = ""
    watch: WatchOptions | None = None


class ServeDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all rewards that do not say otherwise."""

    engine: str | Engine | None = None
    cache: bool | str = True
    send: SendPolicy | None = None
    processes: int = 4
    """Calls of each sync function of the user's own that go on at once."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serve: dict[str, dict[str, Any]]
    dialect: dict[str, dict[str, Any]] = {}
    watch: dict[str, Any] | None = None


class _Dialect(msgspec.Struct, frozen=True):
    when_unscored: str | float | None = None
    deadline: Annotated[float | None, Range(0, SECONDS, above=True)] = None

    def __post_init__(self) -> None:
        check_ranges(self)


def load_spec(path: str | Path, defaults: ServeDefaults | None = None) -> ServeSpec:
    """Read SPEC and make what it serves. No engine is loaded before it is asked.

    A file of rewards, as `plaudit score` reads it, is served under its stem.

    Args:
        path: a TOML or JSON file.
        defaults: engine, store and sending of rewards that do not say otherwise.

    Raises:
        UsageError: it cannot be used; the message names the file, the table and the option.
    """
    table, where = read_mapping(str(path), "spec"), f"spec {path}"
    make = _Maker(defaults or ServeDefaults(), Path(path).parent)
    if "rewards" in table and "serve" not in table:
        name = _check_name(Path(path).stem, where)
        return ServeSpec({name: make.rewards(name, str(path), None)}, {}, str(path))
    _check_keys(where, table, _Table.__struct_fields__)
    if "serve" not in table:
        raise UsageError(f"{where}: it has no [serve.NAME] and no [rewards.NAME]")
    found = _convert(where, table, _Table)
    if not found.serve:
        raise UsageError(f"{where}: [serve] names no reward")
    return ServeSpec(
        {name: make.served(name, fields, where) for name, fields in found.serve.items()},
        {name: _dialect(name, fields, where) for name, fields in found.dialect.items()},
        str(path),
        None if found.watch is None else _watch(found.watch, where),
    )


class _Maker(NamedTuple):
    """Makes what is served from the fields of its table."""

    defaults: ServeDefaults
    folder: Path

    def served(self, name: str, fields: dict[str, Any], where: str) -> Served:
        """Make one reward.

        Raises:
            UsageError: an option is unknown or cannot be used.
        """
        where = f"{where}: [serve.{_check_name(name, where)}]"
        if ("rewards" in fields) == ("judge" in fields):
            _check_keys(where, fields, (*_OF_REWARDS, *_OF_JUDGES))
            raise UsageError(f"{where} needs rewards = FILE or judge = KIND, and not both")
        _check_keys(where, fields, _OF_REWARDS if "rewards" in fields else _OF_JUDGES)
        engine = fields.pop("engine", None)
        try:
            if "rewards" in fields:
                return self.rewards(name, str(self.folder / str(fields["rewards"])), engine)
            return self.judge(name, fields, engine)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None

    def rewards(self, name: str, path: str, engine: str | None) -> Served:
        """Make a specification of rewards."""
        defaults = self.defaults
        asked = defaults.engine if engine is None else engine
        grader = Grader(engine=asked, cache=defaults.cache, send=defaults.send)
        rewards = load_rewards(path, grader)
        for part in rewards.parts:
            _isolate(part.reward, str(Path(path).parent.absolute()), defaults.processes)
        return Served(name, RewardScorer(rewards))

    def judge(self, name: str, fields: dict[str, Any], engine: str | None) -> Served:
        """Make a judge."""
        kind = task_type(str(fields.pop("judge")))
        judge = Judge(
            kind,
            engine=self.defaults.engine if engine is None else engine,
            cache=self.defaults.cache,
            send=self.defaults.send,
            **fields,
        )
        group = GroupScorer(judge) if kind.kind == "pairwise" else None
        return Served(name, JudgeScorer(judge), kind.kind, group)


def _isolate(reward: Reward, folder: str, count: int) -> None:
    """Have a sync function of the user's own called in processes, which can be killed."""
    if isinstance(reward, FunctionReward) and reward.blocks:
        options = reward.options
        task = Task(function=options.function, folder=folder, arguments=options.arguments)
        reward.call_by(FunctionProcesses(task, count))


def _dialect(name: str, fields: dict[str, Any], where: str) -> DialectOptions:
    where = f"{where}: [dialect.{name}]"
    _check_keys(where, fields, _Dialect.__struct_fields__)
    given = _convert(where, fields, _Dialect)
    try:
        choice = given.when_unscored
        return DialectOptions(None if choice is None else read_choice(choice), given.deadline)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _watch(fields: dict[str, Any], where: str) -> WatchOptions:
    where = f"{where}: [watch]"
    _check_keys(where, fields, WatchOptions.__struct_fields__)
    return _convert(where, fields, WatchOptions)


def _check_name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{where}: the name {name!r} cannot stand in a path; use letters, digits, _ . and -"
        )
    return name


def _check_keys(where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise UsageError(
            f"{where}: there is no option {unknown!r}{similar(unknown, known)}; it has "
            f"{', '.join(dict.fromkeys(known))}"
        )


def _convert(where: str, given: Mapping[str, Any], form: type[Any]) -> Any:
    try:
        return convert(given, form)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
