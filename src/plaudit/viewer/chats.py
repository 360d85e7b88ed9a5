"""Conversations for a page: messages with their roles, texts and calls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from plaudit.types import Json
from plaudit.viewer.texts import Cut, cut

_FORMATTED = frozenset({"user", "assistant"})
"""Roles whose text is read as markdown."""
_SPOKEN = {
    "prompt": "user",
    "query": "user",
    "question": "user",
    "response": "assistant",
    "answer": "assistant",
    "follow_up": "user",
}
"""Texts of a row, in the order of a conversation, and who says them."""
_LISTS = ("messages", "conversation", "conversations")


class ShownCall(NamedTuple):
    """A tool call of a message."""

    name: str
    arguments: str
    id: str


class Bubble(NamedTuple):
    """A message."""

    role: str
    text: Cut
    formatted: bool
    """Whether the text is shown as markdown."""
    calls: list[ShownCall]
    answers: str = ""
    """The id of the call that it answers."""


class Side(NamedTuple):
    """A conversation, or one of two that are compared."""

    title: str
    bubbles: list[Bubble]


class JudgedChat(NamedTuple):
    """What was judged."""

    shared: list[Bubble]
    """What comes before both sides of a pair; of a single conversation, all of it."""
    sides: list[Side]
    """A and B of a pair; else empty."""
    others: dict[str, Json]
    """What the row has besides, such as references."""


def judged_of(row: Mapping[str, Json], whole: bool = False) -> JudgedChat:
    """Return the input of a verdict as conversations; what is none is among the others."""
    left = dict(row)
    shared: list[Bubble] = []
    for name, role in _SPOKEN.items():
        if name in left and (found := _said(left[name], role, whole)) is not None:
            shared += found
            del left[name]
    for name in _LISTS:
        if name in left and (found := _said(left[name], "user", whole)) is not None:
            shared += found
            del left[name]
    sides: list[Side] = []
    for letter in "AB":
        for name in (f"conversation_{letter}", f"response_{letter.lower()}"):
            if name in left and (found := _said(left[name], "assistant", whole)) is not None:
                sides.append(Side(letter, found))
                del left[name]
    return JudgedChat(shared, sides, left)


def bubbles_of(messages: Iterable[Any], whole: bool = False) -> list[Bubble]:
    """Return messages in the OpenAI format; what is no message is shown as JSON."""
    return [_bubble(message, whole) for message in messages]


def _said(value: Json, role: str, whole: bool) -> list[Bubble] | None:
    if isinstance(value, str):
        return [Bubble(role, cut(value, whole), role in _FORMATTED, [])]
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):  # pyright: ignore[reportUnknownVariableType]
        return bubbles_of(cast("list[Any]", value), whole)
    return None


def _bubble(message: Any, whole: bool) -> Bubble:
    if not isinstance(message, dict):
        return Bubble("?", cut(as_text(message), whole), False, [])
    found = cast("dict[str, Json]", message)
    role = str(found.get("role", found.get("from", "?")))
    content = found.get("content", found.get("value"))
    given = found.get("tool_calls")
    calls = [_call(one) for one in cast("list[Any]", given)] if isinstance(given, list) else []
    text = content_text(content)
    answers = str(found.get("tool_call_id") or "")
    return Bubble(role, cut(text, whole), role in _FORMATTED, calls, answers)


def content_text(content: Json) -> str:
    """Return the text of a message's content; parts that are no text by their type."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return as_text(content)
    parts: list[str] = []
    for part in cast("list[Any]", content):
        if isinstance(part, dict):
            known = cast("dict[str, Json]", part)
            text = known.get("text")
            parts.append(text if isinstance(text, str) else f"[{known.get('type', 'part')}]")
        else:
            parts.append(as_text(part))
    return "".join(parts)


def _call(call: Any) -> ShownCall:
    known = cast("dict[str, Json]", call) if isinstance(call, dict) else {}
    inner = known.get("function", known)
    function = cast("dict[str, Json]", inner) if isinstance(inner, dict) else {}
    arguments = function.get("arguments", "")
    return ShownCall(
        str(function.get("name", "?")), pretty_json(arguments), str(known.get("id") or "")
    )


def pretty_json(value: Json) -> str:
    """Return a value as indented JSON; a text that is JSON likewise, any other as it is."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def as_text(value: Json) -> str:
    """Return a text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def unpacked(row: Mapping[str, Json], names: Sequence[str]) -> dict[str, Json]:
    """Return a row with the named columns decoded that are JSON text, as tables hold them."""
    found = dict(row)
    for name in names:
        if isinstance(found.get(name), str):
            try:
                found[name] = msgspec.json.decode(found[name])
            except (msgspec.DecodeError, RecursionError):
                continue
    return found
