"""Input rows: fields taken from plain dicts, with errors that name the field."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from plaudit.errors import InputError
from plaudit.types import Json, Message

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Roles of the OpenAI format; others could pass for a section of a prompt."""


_encode = msgspec.json.Encoder(order="deterministic").encode


def row_id(row: Mapping[str, Any], content: Json) -> str:
    """Return the row's own id as text, else a hash of its content."""
    given = row.get("id")
    if given is not None:
        return str(given)
    return hashlib.blake2b(_encode(content), digest_size=8).hexdigest()


def unknown_columns(row: Mapping[str, Any], known: frozenset[str]) -> dict[str, Json]:
    """Return what no judge reads, for the verdict's metadata."""
    if row.keys() <= known:
        return {}
    return {name: value for name, value in row.items() if name not in known}


def take_text(row: Mapping[str, Any], name: str, *aliases: str) -> str:
    """Return a text field of an input row.

    Raises:
        InputError: it is missing or no text.
    """
    given = row.get(name)
    if isinstance(given, str):
        return given
    for found in (name, *aliases):
        if found in row:
            value = row[found]
            if not isinstance(value, str):
                raise InputError(f"{found!r} must be text, not {json_type(value)}")
            return value
    raise InputError(f"the field {name!r} is missing")


def take_optional_text(row: Mapping[str, Any], name: str) -> str | None:
    """Return a text field, or None where it is missing or null.

    Raises:
        InputError: it is there and no text.
    """
    return None if row.get(name) is None else take_text(row, name)


def take_texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a field that holds one text or a list of them.

    Raises:
        InputError: it is missing, empty, or holds something else.
    """
    value = row.get(name)
    if not isinstance(value, list):
        return (take_text(row, name),)
    texts = cast("list[Any]", value)
    if not texts:
        raise InputError(f"{name!r} is an empty list")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{name!r} must hold texts, not {json_type(text)}")
    return tuple(texts)


def take_messages(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """Return a list of chat messages in the OpenAI format.

    Raises:
        InputError: it is missing, empty, or not a list of messages.
    """
    value = row.get(name)
    if not isinstance(value, list):
        if name not in row:
            raise InputError(f"the field {name!r} is missing")
        raise InputError(f"{name!r} must be a list of messages, not {json_type(value)}")
    messages = tuple(_message(m, f"{name}[{i}]") for i, m in enumerate(cast("list[Any]", value)))
    if not messages:
        raise InputError(f"{name!r} has no messages")
    return messages


def take_prompt(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """Return a prompt given as text (one user message) or as messages.

    Raises:
        InputError: it is missing or neither of them.
    """
    if isinstance(row.get(name), list):
        return take_messages(row, name)
    return (Message("user", take_text(row, name)),)


def take_dialogue(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """Return messages that end with the assistant's response.

    Raises:
        InputError: they do not, or there is nothing before the response.
    """
    messages = take_messages(row, name)
    if messages[-1].role != "assistant":
        raise InputError(
            f"{name!r} ends with the {messages[-1].role}; it must end with the assistant's "
            "response, which is what is judged"
        )
    if len(messages) == 1:
        raise InputError(f"{name!r} has nothing before the response")
    return messages


def _message(value: Any, where: str) -> Message:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a message, not {json_type(value)}")
    try:
        message = msgspec.convert(value, Message)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} is not a message: {error}") from None
    if message.role not in ROLES:
        raise InputError(
            f"{where} has the role {message.role[:40]!r}, which is not one of "
            + ", ".join(sorted(ROLES))
        )
    return message


def message_text(message: Message) -> str:
    """Return what a message says as text; other content is named in square brackets."""
    parts: list[str] = []
    if isinstance(message.content, str):
        parts.append(message.content)
    elif message.content is not None:
        parts.extend(_part_text(part) for part in message.content)
    for call in message.tool_calls or ():
        parts.append("[tool call] " + msgspec.json.encode(call.get("function", call)).decode())
    return "\n".join(parts)


def _part_text(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else f"[{part.get('type', 'content')}]"


def shown(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages as a template sees them."""
    return [{"role": m.role, "text": message_text(m)} for m in messages]


def plain(messages: Sequence[Message]) -> Json:
    """Return messages as JSON; a single user message as its text."""
    if len(messages) == 1 and messages[0].role == "user" and isinstance(messages[0].content, str):
        return messages[0].content
    return as_json(messages)


def as_json(messages: Sequence[Message]) -> Json:
    """Return messages as JSON in the OpenAI format."""
    return msgspec.to_builtins(list(messages))


def json_type(value: Any) -> str:
    """Name a value as JSON does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(cast("type[Any]", type(value)), "something else")
