"""Options of a judge and of one call, sorted into configuration and generation parameters."""

from collections.abc import Mapping, Set
from typing import Any

from plaudit.engines.base import SAMPLING, Engine, similar
from plaudit.errors import UsageError
from plaudit.judges.config import JudgeConfig

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
