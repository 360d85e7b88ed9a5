"""From the name, class, options and engine that a user gives to a judge."""

import re
from collections.abc import Mapping, Set
from typing import Any

from plaudit._util.choices import convert
from plaudit._util.forks import finished_before_a_fork
from plaudit._util.named import load_named
from plaudit.engines.base import SAMPLING, Engine, check_generation, engine_info, similar
from plaudit.errors import ArgumentError, UsageError
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import EngineFacts, JudgeConfig
from plaudit.judges.criteria import take_criteria
from plaudit.judges.feedback import FeedbackJudge
from plaudit.judges.pairwise import PairwiseJudge
from plaudit.judges.pointwise import PointwiseJudge
from plaudit.judges.reward_model import RewardModelPairwise, RewardModelPointwise
from plaudit.judges.verify import UnaskedVerifyJudge, VerifyJudge

KINDS: Mapping[str, type[BaseJudge]] = {
    judge.kind: judge for judge in (FeedbackJudge, PointwiseJudge, PairwiseJudge, VerifyJudge)
}
"""The kinds that ship."""
SCORED: Mapping[str, type[BaseJudge]] = {
    judge.kind: judge for judge in (RewardModelPointwise, RewardModelPairwise)
}
"""The judges that a trained reward model can be."""
UNASKED: Mapping[str, type[BaseJudge]] = {UnaskedVerifyJudge.kind: UnaskedVerifyJudge}
"""The judges that can do without a model."""

_own: dict[str, type[BaseJudge]] = {}
"""The user's kinds, registered in this process."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MUST_HAVE = ("kind", "variables", "options", "schema")

_OF_CALLS = frozenset(
    {
        "temperature", "top_p", "max_tokens", "seed", "shots", "pool", "select",
        "votes", "vote_error", "all_votes", "criteria", "gate", "reward_map", "calibration",
    }
)  # fmt: skip
"""Fields of the configuration that a call may set: what is drawn and shown, and the decision."""
_OF_JUDGES = frozenset({"kind", "engine", "cache", "send", "jury", "cascade"})
_PLACES = {
    "model": "name it in the engine URI, such as engine='openai:MODEL'",
    "base_url": "name it in the engine URI, such as engine='openai:MODEL@URL'",
    "api_key": "keys come from the environment alone, such as OPENAI_API_KEY",
    "stream": "replies are read whole; Judge.stream gives verdicts one by one",
}
"""Where options of other libraries are found here."""


# Kinds


def task_type(kind: str | type[BaseJudge]) -> type[BaseJudge]:
    """Return the class of a judge.

    Args:
        kind: the name of a kind that ships or is registered; a class, which is then registered; or
            `FILE.py:Class` or `module:Class`, whose code is imported.

    Raises:
        UsageError: there is no such judge, or the class is no complete judge.
    """
    if isinstance(kind, str) and ":" in kind:
        kind = load_named(kind)
    if not isinstance(kind, str):
        return register(kind)
    found = KINDS.get(kind) or _own.get(kind)
    if found is None:
        raise UsageError(
            f"there is no judge {kind!r}; there are {', '.join({**KINDS, **_own})}, and judges of "
            "your own as FILE.py:Class"
        )
    return found


def register(judge: type[BaseJudge]) -> type[BaseJudge]:
    """Make a judge known by its kind, for this process; return it.

    Raises:
        UsageError: it is no complete judge, or its kind is the name of one that ships.
    """
    given: Any = judge
    if not (isinstance(given, type) and issubclass(given, BaseJudge)):
        raise UsageError(
            f"{given!r} is no judge; it must be a subclass of plaudit.judges.BaseJudge"
        )
    if judge in KINDS.values():
        return judge
    name = judge.__name__
    lacking = [*(n for n in _MUST_HAVE if not hasattr(judge, n)), *judge.__abstractmethods__]
    if lacking:
        raise UsageError(f"the judge {name} lacks {', '.join(sorted(lacking))}")
    if not _NAME.fullmatch(judge.kind):
        raise UsageError(
            f"the judge {name} has the kind {judge.kind!r}; it must be 1 to 40 lower-case letters, "
            "digits and underscores, and begin with a letter"
        )
    if judge.kind in KINDS:
        raise UsageError(
            f"the judge {name} has the kind {judge.kind!r}, which ships; give it another one"
        )
    _own[judge.kind] = judge
    return judge


def kind_of(judge: str) -> type[BaseJudge] | None:
    """Return the class of a verdict's judge, `kind/fingerprint` or a kind; None: not known here."""
    kind = judge.partition("/")[0]
    return KINDS.get(kind) or _own.get(kind)


# Options


def make_config(kind: str | type[BaseJudge], fields: Mapping[str, Any]) -> JudgeConfig:
    """Check a judge's configuration.

    Raises:
        UsageError: there is no such judge, or a field is unknown or of the wrong type.
    """
    name = task_type(kind).kind
    unknown = sorted(fields.keys() - set(JudgeConfig.__struct_fields__))
    if unknown:
        known = ", ".join(JudgeConfig.__struct_fields__)
        raise UsageError(f"a judge has no option {unknown[0]!r}; it has {known}")
    if "criteria" in fields:
        fields = {**fields, "criteria": take_criteria(fields["criteria"])}
    try:
        return convert({"kind": name, **fields}, JudgeConfig)
    except ArgumentError:
        raise
    except UsageError as error:
        raise UsageError(f"judge options: {error}") from None


def judge_fields(given: Mapping[str, Any], engine: Engine) -> dict[str, Any]:
    """Return options of `Judge(...)` as fields of a configuration.

    Raises:
        UsageError: a name is neither a field nor a parameter that the engine declares.
    """
    return _sorted(given, set(JudgeConfig.__struct_fields__) - {"kind"}, engine, "a judge")


def call_fields(given: Mapping[str, Any], engine: Engine) -> dict[str, Any]:
    """Return options of one call as fields of a configuration.

    Raises:
        UsageError: a name belongs to the judge, or is neither an option of a call nor a parameter
            that the engine declares.
    """
    fixed = {*JudgeConfig.__struct_fields__, *_OF_JUDGES} - _OF_CALLS - {"generation"}
    for name in given:
        if name in fixed:
            raise UsageError(
                f"{name}= is no option of one call: it makes another judge; give it to Judge(...)"
            )
    for name in ("temperature", "top_p", "max_tokens"):
        if given.get(name) is not None and name not in engine.capabilities.generation:
            raise UsageError(f"the engine {engine.uri} has no generation parameter {name!r}")
    return _sorted(given, _OF_CALLS | {"generation"}, engine, "a call")


def _sorted(
    given: Mapping[str, Any], fields: Set[str], engine: Engine, what: str
) -> dict[str, Any]:
    if not isinstance(given.get("generation", {}), Mapping):
        raise UsageError("generation= takes a dict of parameters by name")
    found = {name: value for name, value in given.items() if name in fields}
    parameters = {name: value for name, value in given.items() if name not in fields}
    if not parameters:  # What an engine declares may stand in a file that is not here yet.
        return found
    declared = engine.capabilities.generation
    for name in parameters:
        if name not in declared:
            raise UsageError(_unknown(name, {*fields, *declared}, engine, what))
    return found | {"generation": {**given.get("generation", {}), **parameters}}


def _unknown(name: str, known: set[str], engine: Engine, what: str) -> str:
    problem = f"{what} has no option {name!r}"
    if name in _PLACES:
        return f"{problem}: {_PLACES[name]}"
    takes = ", ".join(n for n in engine.capabilities.generation if n not in SAMPLING) or "no others"
    return (
        f"{problem}{similar(name, known)}; it has {', '.join(sorted(known))}. Of generation "
        f"parameters {engine.uri} declares {takes}; give others as generation={{{name!r}: ...}}"
    )


# With an engine


async def bind(config: JudgeConfig, engine: Engine) -> BaseJudge:
    """Make the judge of a configuration for an engine's model.

    Raises:
        UsageError: the engine cannot do what the configuration asks for.
        EngineUnusableError: the engine does not name its model.
    """
    check_generation(config.generation, engine)
    make: Any = task_type(config.kind)
    if engine.capabilities.scores:
        make = _scored_type(config.kind)
    if not engine.capabilities.model:
        make = _unasked_type(config.kind)
    identity, info = await engine.identify(), engine_info(engine)
    facts = EngineFacts(
        identity=identity,
        capabilities=engine.capabilities,
        special_tokens=info.special_tokens,
        reasoning=info.reasoning,
    )
    with finished_before_a_fork():
        return make(config, facts)


def _scored_type(kind: str) -> type[BaseJudge]:
    if kind not in SCORED:
        raise UsageError(
            f"a reward model scores responses, so it cannot be the {kind} judge; it can be "
            + " or ".join(SCORED)
        )
    return SCORED[kind]


def _unasked_type(kind: str) -> type[BaseJudge]:
    if kind not in UNASKED:
        raise UsageError(
            f"the {kind} judge asks a model, and the engine none: has none; name another engine, "
            "such as local"
        )
    return UNASKED[kind]
