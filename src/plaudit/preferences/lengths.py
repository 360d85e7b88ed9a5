"""How long a response is for a reader."""

import msgspec
from msgspec import Raw

from plaudit.types import Json

_NOT_WRITTEN = frozenset({"system", "developer", "user", "tool", "function"})


def length_of(response: Raw) -> int:
    """Return the characters (Unicode code points) of a response.

    Of messages, those of the assistant count: their text, and the names and arguments of their
    calls. Images and other parts without text count nothing; values that are no messages count as
    the JSON that they are.
    """
    data = bytes(response)
    if data[:1] == b'"' and b"\\" not in data:
        return len(data) - 2 if data.isascii() else len(data.decode()) - 2
    return _length(msgspec.json.decode(data))


def _length(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_length, value))
    if not isinstance(value, dict) or not _MESSAGE.intersection(value):
        return _as_json(value)
    if value.get("role") in _NOT_WRITTEN:
        return 0
    calls = value.get("tool_calls")
    return _text(value.get("content")) + (sum(map(_call, calls)) if isinstance(calls, list) else 0)


_MESSAGE = frozenset({"role", "content", "tool_calls"})


def _text(content: Json) -> int:
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, list):
        return 0
    texts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return sum(len(text) for text in texts if isinstance(text, str))


def _call(call: Json) -> int:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return 0
    return sum(_as_json(function.get(name)) for name in ("name", "arguments"))


def _as_json(value: Json) -> int:
    if value is None:
        return 0
    return len(value if isinstance(value, str) else msgspec.json.encode(value).decode())
