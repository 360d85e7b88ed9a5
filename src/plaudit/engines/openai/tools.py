"""Native tool calls over OpenAI's protocol."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from plaudit.engines.base import Request, ToolCall, ToolSpec
from plaudit.engines.http.errors import ErrorReply
from plaudit.engines.openai.wire import ReplyMessage
from plaudit.engines.thoughts import as_thought
from plaudit.engines.tool_calls import arguments_text, made_calls
from plaudit.types import Json, Message

_FIELDS = frozenset({"tools", "tool_choice", "functions"})
_ABOUT_TOOLS = re.compile(
    r"(?s)(?=.*(?:\btools?\b|tool_choice|tool.?call|function.?call))(?=.*(?:not support|unsupported"
    r"|requires? --|unrecognized|unknown|unexpected|not permitted|not allowed|not available"
    r"|not implemented|extra inputs))",
    re.IGNORECASE,
)


class _Function(msgspec.Struct):
    name: str
    arguments: Json = None


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


def offered(tools: Iterable[ToolSpec]) -> list[dict[str, Json]]:
    """Return tools in the form in which they are sent."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


def sendable(messages: Sequence[Message | msgspec.Raw]) -> list[Message | msgspec.Raw]:
    """Return messages whose tool calls have JSON objects as arguments.

    Servers refuse a whole conversation for one call whose arguments cannot be read. Such a call's
    text is sent as an object that holds it.
    """
    return [
        msgspec.structs.replace(message, tool_calls=[_readable(c) for c in message.tool_calls])
        if isinstance(message, Message) and message.tool_calls
        else message
        for message in messages
    ]


def _readable(call: dict[str, Json]) -> dict[str, Json]:
    function: Any = call.get("function") or {}
    text = function.get("arguments", "{}")
    if not isinstance(text, str):
        return call
    return call | {"function": function | {"arguments": arguments_text(text)}}


def read_calls(request: Request, message: ReplyMessage) -> tuple[ToolCall, ...]:
    """Return the calls of a reply.

    Raises:
        msgspec.ValidationError: they are of another shape.
    """
    reported = msgspec.convert(message.tool_calls or [], list[_Call])
    return made_calls(
        request, ((call.id, call.function.name, call.function.arguments) for call in reported)
    )


def with_thoughts(message: ReplyMessage) -> str:
    """Return the text of a reply with the thoughts that the server took out of it."""
    thoughts = message.reasoning_content or message.reasoning
    if not isinstance(thoughts, str):
        return message.text
    return f"{as_thought(thoughts)}\n{message.text}"


def refuses_tools(reply: ErrorReply) -> bool:
    """Tell whether a server says that it takes no tools at all."""
    return (not reply.param or reply.param in _FIELDS) and bool(
        _ABOUT_TOOLS.search(f"{reply.param} {reply.complaint}")
    )
