"""The beginning of what a row is about, for tables."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from plaudit.types import Json
from plaudit.viewer.chats import content_text, unpacked
from plaudit.viewer.table import Table

_LENGTH = 160
_TEXTS = (
    "follow_up",
    "response",
    "question",
    "query",
    "prompt",
    "messages",
    "conversation",
    "conversations",
    "conversation_A",
    "answer",
)
"""Columns that say what a row is about, the most telling first."""


def snippet(table: Table, row: int) -> str:
    """Return up to 160 characters of a row's text, on one line; empty where it has none."""
    try:
        found = msgspec.json.decode(table.line(row))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return table.line(row)[:_LENGTH].decode(errors="backslashreplace")
    if not isinstance(found, dict):
        return ""
    text = next(_texts(cast("dict[str, Json]", found)), "")
    return " ".join(text[: 4 * _LENGTH].split())[:_LENGTH]


def _texts(row: Mapping[str, Json]) -> Iterator[str]:
    found = unpacked(row, ("input", "question"))
    for holder in (found.get("input"), found.get("question"), found):
        if not isinstance(holder, dict):
            continue
        known = cast("dict[str, Json]", holder)
        yield from (text for name in _TEXTS if (text := _text(known.get(name))))


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        last: Any = cast("list[Any]", value)[-1]
        if isinstance(last, dict):
            return content_text(cast("dict[str, Json]", last).get("content"))
    return ""
