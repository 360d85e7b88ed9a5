"""The candidates among the steps of an evaluation, by turn, as text."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.preferences.formats.traces import candidate_of_step
from plaudit.preferences.types import Candidate, Id
from plaudit.types import Json

_BESIDE_TEXT = ("tool_calls", "function_call", "tool_call_id", "name", "audio", "refusal")
"""Keys of a message that say something which role and text do not."""


def prompt_of(raw: Raw) -> str | list[dict[str, str]] | None:
    """Return a prompt as text, or as messages of role and text; None where it is more than that.

    A single message is a list of one. What is neither text nor messages is JSON text.
    """
    value: Json = msgspec.json.decode(raw)
    if value is None or isinstance(value, str):
        return value or ""
    messages = cast("list[Json]", value if isinstance(value, list) else [value])
    if not all(map(_is_message, messages)):
        return None if any(map(_is_message, messages)) else _as_json(raw)
    plain = [_role_and_text(message) for message in messages]
    return [one for one in plain if one is not None] if None not in plain else None


def response_of(raw: Raw) -> str | None:
    """Return a response as text; None where it is more: calls, pictures, several messages.

    A message, or a list of one, is its text. What is neither text nor messages is JSON text.
    """
    prompt = prompt_of(raw)
    if not isinstance(prompt, list):
        return prompt
    if len(prompt) > 1:
        return None
    return prompt[0]["content"] if prompt else ""


def _is_message(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(cast("dict[str, Json]", value).get("role"), str)


def _role_and_text(message: dict[str, Json]) -> dict[str, str] | None:
    """Return a message's role and text, if they are all that it says."""
    if any(message.get(key) for key in _BESIDE_TEXT):
        return None
    text = _text_of(message.get("content"))
    return None if text is None else {"role": message["role"], "content": text}


def _text_of(content: Json) -> str | None:
    """Return the text of a content, empty where there is none; None where a part is no text."""
    if not content:
        return ""
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    parts = cast("list[Json]", content)
    texts = [
        cast("dict[str, Json]", part).get("text")
        for part in parts
        if isinstance(part, dict) and cast("dict[str, Json]", part).get("type") == "text"
    ]
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        return None
    return "".join(cast("list[str]", texts))


def _as_json(raw: Raw) -> str:
    return bytes(raw).decode()


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
