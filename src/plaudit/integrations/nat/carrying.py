"""What the toolkit's DPO items can hold of a prompt or a response: text, by role."""

from typing import cast

import msgspec
from msgspec import Raw

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
    plain = [_plain(message) for message in messages]
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


def _plain(message: dict[str, Json]) -> dict[str, str] | None:
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
