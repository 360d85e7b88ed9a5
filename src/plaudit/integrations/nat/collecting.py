"""The candidates among the steps of an evaluation, by turn."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.integrations.nat.carrying import prompt_of, response_of
from plaudit.preferences.formats.traces import candidate_of_step
from plaudit.preferences.types import Candidate, Id

_log = logging.getLogger(__name__)


class Collected(msgspec.Struct, kw_only=True):
    """What was found in a run, and what was not read."""

    turns: list[list[Candidate]] = []
    """Candidates that compete, in the order of their steps."""
    unread: int = 0
    """Steps of the name that are no candidate: without turn, or with unreadable data."""
    not_text: int = 0
    """Candidates that a DPO item cannot hold; they are among `turns`, without a score."""
    seen: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    """Type and name of all steps."""


def collect(items: Iterable[Any], step_name: str) -> Collected:
    """Read the candidates of evaluation items: of each its own turns, also where ids repeat."""
    found = Collected(turns=[])
    for item in items:
        turns: dict[Id, list[Candidate]] = {}
        for step in item.trajectory:
            kind, name = str(step.payload.event_type), str(step.payload.name)
            found.seen[kind, name] += 1
            if kind == "TTC_END" and name == step_name:
                _add(found, turns, _read(_id_of(item), step))
        found.turns.extend(turns.values())
    return found


def _read(example_id: Id, step: Any) -> Candidate | None:
    """Return a step's candidate; None, and a word in the log, where it is none."""
    try:
        if getattr(step.payload.data, "turn_id", None) is None:
            raise InputError("it has no turn_id")
        return candidate_of_step(example_id, step, step_name=step.payload.name)
    except InputError as error:
        _log.warning("step %s of example %r is left out: %s", step.payload.UUID, example_id, error)
        return None


def _add(found: Collected, turns: dict[Id, list[Candidate]], candidate: Candidate | None) -> None:
    if candidate is None:
        found.unread += 1
        return
    response = response_of(candidate.response)
    if response is None or prompt_of(candidate.prompt) is None:
        found.not_text += 1
        # It keeps its place, which may be the number of those after it.
        candidate = msgspec.structs.replace(candidate, score=None)
    else:
        # Responses are compared as the items will hold them.
        text = Raw(msgspec.json.encode(response))
        candidate = msgspec.structs.replace(candidate, response=text)
    turns.setdefault(candidate.turn_id, []).append(candidate)


def _id_of(item: Any) -> Id:
    identity = item.id
    whole = isinstance(identity, int) and not isinstance(identity, bool)
    return identity if whole or isinstance(identity, str) else str(identity)
