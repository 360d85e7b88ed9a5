"""Tool calls in the form of Anthropic's Messages API, where calls and results are blocks."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from plaudit.engines.base import ToolSpec
from plaudit.engines.tool_calls import arguments_object
from plaudit.types import Json, Message


def offered(tools: Iterable[ToolSpec]) -> list[dict[str, Json]]:
    """Return tools in the form in which they are sent."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in tools
    ]


def in_blocks(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages with calls and results as blocks; results in a row are one user message."""
    if not any(message.tool_calls or message.role == "tool" for message in messages):
        return messages
    found: list[Message] = []
    for are_results, group in groupby(messages, lambda message: message.role == "tool"):
        if are_results:
            found.append(Message("user", [_result(message) for message in group]))
        else:
            found.extend(_calling(message) if message.tool_calls else message for message in group)
    return found


def _result(message: Message) -> dict[str, Json]:
    return {
        "type": "tool_result",
        "tool_use_id": message.tool_call_id or "",
        "content": message.text,
    }


def _calling(message: Message) -> Message:
    """Return an assistant message whose calls are blocks; empty texts are not allowed there."""
    said = [{"type": "text", "text": message.text}] if message.text.strip() else []
    return Message("assistant", said + [_call(call) for call in message.tool_calls or ()])


def _call(call: dict[str, Json]) -> dict[str, Json]:
    function: Any = call.get("function") or {}
    arguments: Any = function.get("arguments") or ""
    return {
        "type": "tool_use",
        "id": call.get("id", ""),
        "name": function.get("name", ""),
        "input": arguments_object(arguments) if isinstance(arguments, str) else arguments,
    }
