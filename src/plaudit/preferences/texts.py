"""When two pieces of JSON say the same."""

import msgspec
from msgspec import Raw

from plaudit.types import Json


def same_text_key(raw: Raw) -> bytes:
    """Return what two prompts or responses have in common if they say the same; b"" for nothing.

    A text is compared without the space around it; messages as JSON, whatever their spelling and
    the order of their keys. A list that is one message is that message.
    """
    data = bytes(raw)
    if data[:1] == b'"' and b"\\" not in data:
        return b'"' + text if (text := data[1:-1].strip()) else b""
    return _key_of(msgspec.json.decode(data))


def _key_of(value: Json) -> bytes:
    if isinstance(value, str):
        text = value.strip()
        return b'"' + msgspec.json.encode(text)[1:-1] if text else b""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if _says_nothing(value):
        return b""
    return msgspec.json.encode(value, order="sorted")


def _says_nothing(value: Json) -> bool:
    """Whether there is neither text nor a call in a message, a list of them, or any value."""
    if value is None or value == [] or value == {}:
        return True
    if isinstance(value, list):
        return all(map(_says_nothing, value))
    if not isinstance(value, dict) or "role" not in value:
        return False
    content = value.get("content")
    empty = not content.strip() if isinstance(content, str) else _says_nothing(content)
    return empty and not value.get("tool_calls")
