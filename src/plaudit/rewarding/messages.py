"""Messages as trainers hold them, objects or mappings, in the OpenAI format."""

from collections.abc import Mapping, Sequence
from typing import Any, cast


def plain(value: Any) -> Any:
    """Return a value with the objects in it as mappings; fields that are None are left out."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value)
        return {name: plain(one) for name, one in given.items() if one is not None}
    if isinstance(value, list | tuple):
        return [plain(one) for one in cast("Sequence[Any]", value)]
    return value


def as_message(message: Any) -> dict[str, Any]:
    """Return a message in the OpenAI format.

    Calls that hold their name themselves get a `function`; parts of the content that are thoughts
    become `reasoning_content`.
    """
    found: dict[str, Any] = plain(message)
    if found.get("tool_calls"):
        found["tool_calls"] = [_call(call) for call in found["tool_calls"]]
    if isinstance(found.get("content"), list):
        found |= _parted(found["content"])
    return found


def _call(call: dict[str, Any]) -> dict[str, Any]:
    if "function" in call or "name" not in call:
        return call
    function = {"name": call["name"], "arguments": call.get("arguments", "{}")}
    return {"id": call.get("id"), "type": "function", "function": function}


def _parted(parts: list[Any]) -> dict[str, Any]:
    """Take thoughts out of the parts of a content; texts alone become one text."""
    thoughts = [part["thinking"] for part in parts if part.get("type") == "thinking"]
    said = [part for part in parts if part.get("type") != "thinking"]
    texts = [part["text"] for part in said if part.get("type") == "text"]
    content: Any = "".join(texts) if len(texts) == len(said) else said
    return {"content": content} | ({"reasoning_content": "\n".join(thoughts)} if thoughts else {})


def split_at(messages: Sequence[Any], first: int) -> dict[str, Any]:
    """Return the columns `prompt` and `completion` of a chat whose answer begins at a message."""
    chat = [as_message(message) for message in messages]
    return {"prompt": chat[:first], "completion": chat[first:]}
