"""How long a response is for a reader."""

from typing import cast

import msgspec
from msgspec import Raw

from plaudit.types import Json

_MESSAGE = frozenset({"role", "content", "tool_calls"})
_NOT_WRITTEN = frozenset({"system", "developer", "user", "tool", "function"})


def length_of(response: Raw) -> int:
    """Return the characters (Unicode code points) of a response.

    Of messages, those of the assistant count: their text, and the names and arguments of their
    calls. Images and other parts without text count nothing; values that are no messages, or that
    hold a number too large or are nested too deeply to be read, count as the JSON that they are.
    """
    data = bytes(response)
    if data[:1] == b'"' and b"\\" not in data:
        return len(data) - 2 if data.isascii() else len(data.decode()) - 2
    try:
        return _length(msgspec.json.decode(data))
    except (msgspec.ValidationError, RecursionError):
        return len(data.decode())


def _length(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_length, cast("list[Json]", value)))
    fields = _fields(value)
    if not _MESSAGE.intersection(fields):
        return _as_json(value)
    if fields.get("role") in _NOT_WRITTEN:
        return 0
    return _text(fields.get("content")) + sum(map(_call, _items(fields.get("tool_calls"))))


def _text(content: Json) -> int:
    parts = [content] if isinstance(content, str) else _items(content)
    texts = (part if isinstance(part, str) else _fields(part).get("text") for part in parts)
    return sum(len(text) for text in texts if isinstance(text, str))


def _call(call: Json) -> int:
    function = _fields(_fields(call).get("function", call))
    return sum(_as_json(function.get(name)) for name in ("name", "arguments"))


def _as_json(value: Json) -> int:
    if value is None:
        return 0
    return len(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _fields(value: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _items(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []
