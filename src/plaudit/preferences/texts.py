"""When two pieces of JSON say the same."""

from typing import cast

import msgspec
from msgspec import Raw

from plaudit.types import Json


def same_text_key(raw: Raw) -> bytes:
    """Return what two prompts or responses have in common if they say the same; b"" for nothing.

    A text is compared without the space around it; messages as JSON, whatever their spelling and
    the order of their keys. A list that is one message is that message. What holds a number that is
    too large, or is nested too deeply to be compared so, is compared as it is written.
    """
    data = bytes(raw)
    if data[:1] == b'"' and b"\\" not in data:
        key = data[:-1].rstrip()
        if key[1:2] == b" ":
            key = b'"' + key[1:].lstrip()
        return key if len(key) > 1 else b""
    try:
        return _key_of(msgspec.json.decode(data))
    except (msgspec.ValidationError, RecursionError):
        return data


def _key_of(value: Json) -> bytes:
    if isinstance(value, str):
        text = value.strip()
        return b'"' + msgspec.json.encode(text)[1:-1] if text else b""
    if isinstance(value, list):
        messages = cast("list[Json]", value)
        if len(messages) == 1 and isinstance(messages[0], dict):
            return _key_of(messages[0])
    return b"" if _says_nothing(value) else msgspec.json.encode(value, order="sorted")


def _says_nothing(value: Json) -> bool:
    """Whether there is neither text nor a call in a message, a list of them, or any value."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, list):
        return all(map(_says_nothing, cast("list[Json]", value)))
    if not isinstance(value, dict):
        return value is None
    message = cast("dict[str, Json]", value)
    if not message:
        return True
    return (
        "role" in message
        and not message.get("tool_calls")
        and _says_nothing(message.get("content"))
    )
