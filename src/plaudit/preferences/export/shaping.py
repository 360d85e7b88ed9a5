"""A pair in the shape that a format wants, or the reason why it cannot have it."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Raw

from plaudit.preferences.export.rows import tools_of
from plaudit.preferences.formats.rows import PairRow
from plaudit.preferences.texts import response_key

Style = Literal["plain", "conversational"]

Problem = Literal[
    "messages",
    "several_messages",
    "not_assistant",
    "content_parts",
    "images",
    "tool_calls",
    "tool_arguments",
    "tools",
    "message_fields",
    "no_text",
    "roles",
    "same_response",
]
"""Why a format cannot carry a pair; docs/export.md explains each."""

Message = dict[str, Raw]
"""A message: its fields as they were read."""

_decode_messages = msgspec.json.Decoder(list[Message]).decode
_decode_calls = msgspec.json.Decoder(list[Message]).decode
_decode_columns = msgspec.json.Decoder(Message).decode
_NOTHING = (b"null", b"[]", b"{}", b'""')
_CALLING = ("tool_calls", "function_call", "tool_call_id")


class CannotCarryError(Exception):
    """A format has no place for something in a pair."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem: Problem = problem


class Carries(msgspec.Struct, frozen=True, kw_only=True):
    """What a format has a place for."""

    content: Literal["text", "parts", "anything"] = "text"
    """Text alone; lists of texts too; images and whatever else."""
    calls: bool = False
    """Tool calls and results."""
    tools: bool = False
    """Definitions of tools."""
    turns: bool = False
    """Responses of several messages."""
    fields: bool = False
    """Fields of messages other than role and content."""


class Shaped(msgspec.Struct, frozen=True, gc=False):
    """A pair whose parts are JSON: texts if plain, else lists of messages."""

    row: PairRow
    prompt: bytes
    chosen: bytes
    rejected: bytes
    tools: bytes | None
    """A list of definitions."""


def is_text(pair: PairRow) -> bool:
    """Whether prompt and responses are texts."""
    return all(bytes(raw)[:1] == b'"' for raw in (pair.prompt, pair.chosen, pair.rejected))


def is_simple(pair: PairRow) -> bool:
    """Whether its messages are a role and a text, and nothing else."""
    return all(map(_is_simple, (pair.prompt, pair.chosen, pair.rejected)))


def _is_simple(raw: Raw) -> bool:
    data = bytes(raw)
    if data[:1] == b'"':
        return True
    messages = messages_of(data if data[:1] == b"[" else b"[%b]" % data)
    return all(
        message.keys() == {"role", "content"} and bytes(message["content"])[:1] == b'"'
        for message in messages
    )


def shape(pair: PairRow, style: Style, carries: Carries) -> Shaped:
    """Bring a pair into a shape; what needs no change keeps its bytes.

    Raises:
        CannotCarryError: the format has no place for something in it, or without that both
            responses are the same.
    """
    tools = tools_of(pair)
    if tools is not None and (style == "plain" or not carries.tools):
        raise CannotCarryError("tools")
    if style == "plain":
        parts = (_text(pair.prompt), _response_text(pair.chosen), _response_text(pair.rejected))
    else:
        parts = (
            _messages(pair.prompt, b"user", carries),
            _response(pair.chosen, carries),
            _response(pair.rejected, carries),
        )
    if response_key(Raw(parts[1])) == response_key(Raw(parts[2])):
        raise CannotCarryError("same_response")
    return Shaped(pair, *parts, None if tools is None else bytes(tools))


def joined(first: bytes, second: bytes) -> bytes:
    """Return two texts, or two lists, as one; both are JSON."""
    return first[:-1] + (b"" if first[:1] == b'"' else b",") + second[1:]


def messages_of(data: bytes) -> list[Message]:
    """Return the messages of a list."""
    return _decode_messages(data)


def role_of(message: Message) -> str:
    """Return a message's role."""
    return msgspec.json.decode(message["role"], type=str)


def content_of(message: Message) -> bytes:
    """Return a message's text, as JSON.

    Raises:
        CannotCarryError: it has none, or its content is no text.
    """
    content = bytes(message.get("content", Raw(b"null")))
    if content[:1] != b'"':
        raise CannotCarryError("content_parts" if content[:1] == b"[" else "no_text")
    return content


def _text(raw: Raw) -> bytes:
    data = bytes(raw)
    if data[:1] != b'"':
        raise CannotCarryError("messages")
    return data


def _response_text(raw: Raw) -> bytes:
    """Return a response as text; one message that is but text is that."""
    data = bytes(raw)
    if data[:1] == b'"':
        return data
    return content_of(messages_of(_response(raw, Carries()))[0])


def _response(raw: Raw, carries: Carries) -> bytes:
    data = _messages(raw, b"assistant", carries)
    if bytes(raw)[:1] == b'"':
        return data
    found = messages_of(data)
    if len(found) > 1 and not carries.turns:
        raise CannotCarryError("several_messages")
    if role_of(found[-1]) != "assistant" or role_of(found[0]) != "assistant":
        raise CannotCarryError("not_assistant")
    return data


def _messages(raw: Raw, role: bytes, carries: Carries) -> bytes:
    data = bytes(raw)
    if data[:1] == b'"':
        return b'[{"role":"%b","content":%b}]' % (role, data)
    if data[:1] == b"{":
        data = b"[%b]" % data
    messages = messages_of(data)
    for message in messages:
        _check(message, carries)
    return _with_objects(messages) if b'"tool_calls"' in data else data


def _check(message: Message, carries: Carries) -> None:
    """Check that the format has a place for all that is in a message."""
    calling = any(_is_there(message, name) for name in _CALLING)
    if not carries.calls and (calling or role_of(message) == "tool"):
        raise CannotCarryError("tool_calls")
    if not carries.fields:
        for name in message:
            if name not in ("role", "content") and _is_there(message, name):
                raise CannotCarryError("message_fields")
    if bytes(message.get("content", Raw(b"null")))[:1] == b"[":
        _check_parts(message["content"], carries)
    elif not calling:
        content_of(message)


def _check_parts(content: Raw, carries: Carries) -> None:
    parts: list[Any] = msgspec.json.decode(content)
    only_text = all(type(part) is dict and part.get("type") == "text" for part in parts)
    if not only_text and carries.content != "anything":
        raise CannotCarryError("images")
    if carries.content == "text":
        raise CannotCarryError("content_parts")


def _is_there(message: Message, name: str) -> bool:
    return name in message and bytes(message[name]) not in _NOTHING


def _with_objects(messages: Sequence[Message]) -> bytes:
    """Make arguments of calls objects, which is what chat templates read; OpenAI has text."""
    made = [
        message | {"tool_calls": Raw(_calls(message["tool_calls"]))}
        if _is_there(message, "tool_calls")
        else message
        for message in messages
    ]
    return msgspec.json.encode(made)


def _calls(raw: Raw) -> bytes:
    try:
        calls = _decode_calls(raw)
        return msgspec.json.encode([_call(call) for call in calls])
    except msgspec.DecodeError:
        raise CannotCarryError("tool_arguments") from None


def _call(call: Message) -> Message:
    function = call.get("function")
    if function is None:
        return _with_object(call)
    return call | {"function": Raw(msgspec.json.encode(_with_object(_decode_columns(function))))}


def _with_object(function: Message) -> Message:
    given = function.get("arguments")
    if given is None or bytes(given)[:1] == b"{":
        return function
    text = msgspec.json.decode(given, type=str) or "{}"
    _decode_columns(text)
    return function | {"arguments": Raw(text.encode())}
