"""Chat messages as providers and data sets spell them, read as messages of the OpenAI format.

Content that comes in parts becomes one text: texts are joined, a line each; a thought stands in
`<think>` tags, as models write it; calls of tools become `tool_calls`, and results messages of
their own. A part that is none of these, such as an image, is refused by name, since no judge could
see it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from plaudit.errors import InputError
from plaudit.types import Json, Message

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Roles of the OpenAI format; others could pass for a section of a prompt."""

_ALIASES = {
    "human": "user",
    "model": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}
"""Roles of Gemini and of data sets in the form of ShareGPT."""

_TEXTS = frozenset({"text", "input_text", "output_text", "summary_text", "refusal"})
_THOUGHTS = frozenset({"thinking", "reasoning", "thought", "redacted_thinking"})
_CALLS = frozenset(
    {"tool_use", "tool_call", "tool-call", "function_call", "functionCall", "function", "toolUse"}
)
_RESULTS = frozenset(
    {
        "tool_result", "tool_response", "tool-result", "function_call_output", "functionResponse",
        "function_response", "toolResult",
    }
)  # fmt: skip
_MEDIA = ("inlineData", "inline_data", "fileData", "file_data", "image", "image_url", "audio")
_UNTYPED = (
    *_MEDIA, "functionCall", "function_call", "functionResponse", "function_response", "toolUse",
    "toolResult", "text",
)  # fmt: skip
"""What a part without a type may hold, the deciding ones first."""
_IDS = ("id", "call_id", "tool_call_id", "tool_use_id", "toolCallId", "toolUseId")
_ARGUMENTS = ("arguments", "args", "input", "parameters")
_OUTPUTS = ("content", "output", "response", "result", "value", "text")
_CLOSE = re.compile(r"</(?=think)", re.IGNORECASE)


def read_messages(value: Sequence[Any], name: str) -> tuple[Message, ...]:
    """Return messages in the OpenAI format.

    Args:
        value: messages of OpenAI, Anthropic or Gemini, or of ShareGPT (`from` and `value`).
        name: what they are called in errors.

    Raises:
        InputError: one is no message, or has a part that is neither text, thought, call nor result.
    """
    found: list[Message] = []
    for number, given in enumerate(value):
        found += _read_message(given, f"{name}[{number}]")
    return tuple(found)


def read_content(messages: Iterable[Message], name: str) -> tuple[Message, ...]:
    """Return messages whose content is text, given messages whose content may come in parts.

    Raises:
        InputError: a part is neither text, thought, call nor result.
    """
    found: list[Message] = []
    for number, message in enumerate(messages):
        is_text = not isinstance(message.content, list)
        found += [message] if is_text else _from_parts(message, f"{name}[{number}]")
    return tuple(found)


def _read_message(value: Any, where: str) -> list[Message]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a message, not {json_type(value)}")
    fields = _in_openai_form(cast("dict[str, Any]", value))
    parts = fields.get("content")
    try:
        if isinstance(parts, list):
            fields["content"] = [_as_part(part) for part in cast("list[Any]", parts)]
        message = msgspec.convert(fields, Message)
    except msgspec.ValidationError as error:
        raise InputError(f"{where} is not a message: {error}") from None
    if message.role not in ROLES:
        raise InputError(
            f"{where} has the role {message.role[:40]!r}, which is not one of "
            + ", ".join(sorted(ROLES))
        )
    return _from_parts(message, where) if isinstance(message.content, list) else [message]


def _in_openai_form(given: dict[str, Any]) -> dict[str, Any]:
    """Return a message under the names of the OpenAI format."""
    fields = dict(given)
    if fields.get("role") is None and "from" in fields:
        fields |= {"role": fields["from"], "content": fields.get("value")}
    if fields.get("content") is None:
        fields["content"] = _first(fields, ("parts", "refusal"))
    role, content = fields.get("role"), fields["content"]
    if role == "function_call" and isinstance(content, str):
        fields["content"] = [{"type": "tool_call", "value": content}]
    if isinstance(role, str):
        fields["role"] = _ALIASES.get(role, role)
    return fields


def _as_part(value: Any) -> Any:
    return {"type": "text", "text": value} if isinstance(value, str) else value


def _from_parts(message: Message, where: str) -> list[Message]:
    """Return a message with text for content, and before it the results that it holds."""
    texts: list[str] = []
    calls = list(message.tool_calls or ())
    results: list[Message] = []
    for number, part in enumerate(cast("list[dict[str, Json]]", message.content)):
        place, kind = f"{where}.content[{number}]", _kind(part)
        if kind in _CALLS:
            calls += _calls(part, kind, place)
        elif kind in _RESULTS:
            results.append(_result(part, kind, place))
        else:
            texts += _texts(part, kind, place)
    if results and not texts and not calls:
        return results
    content = "\n".join(texts) if texts or not calls else None
    made = msgspec.structs.replace(message, content=content, tool_calls=calls or None)
    return [made, *results] if message.role == "assistant" else [*results, made]


def _kind(part: Mapping[str, Json]) -> str:
    given = part.get("type")
    if isinstance(given, str):
        return given
    found = (name for name in _UNTYPED if part.get(name) is not None)
    return next(found, next(iter(part), "nothing"))


def _texts(part: Mapping[str, Json], kind: str, place: str) -> list[str]:
    """Return the text or the thought of a part; a thought that its provider hides is left out."""
    if kind not in _TEXTS and kind not in _THOUGHTS:
        raise InputError(
            f"{place} is of the type {kind[:40]!r}, which is not read: only text, thoughts, calls "
            "of tools and their results are; leave it out, or put text in its place"
        )
    if kind == "redacted_thinking":
        return []
    names = ("text", "value", "content", "summary", kind)
    text = _text(next((part[name] for name in names if part.get(name) is not None), None))
    if text is None:
        raise InputError(f"{place} is of the type {kind!r} and has no text")
    if kind in _TEXTS and part.get("thought") is not True:
        return [text]
    thought = _CLOSE.sub("<\u2060/", text)
    return [f"<think>{thought}</think>"]


def _text(value: Json) -> str | None:
    """Return a text, the text of an object, or the texts of a list; None where one is missing."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, Json]", value)
        if _kind(fields) not in _TEXTS and "value" not in fields:
            return None
        return _text(fields.get("text", fields.get("value")))
    if isinstance(value, list):
        texts = [_text(item) for item in cast("list[Json]", value)]
        return None if None in texts else "\n".join(text for text in texts if text is not None)
    return None


def _calls(part: Mapping[str, Json], kind: str, place: str) -> list[dict[str, Json]]:
    """Return the calls that a part holds, in the OpenAI format."""
    inner = part.get(kind, part.get("value"))
    if isinstance(inner, str) and inner.lstrip()[:1] in ("{", "["):
        inner = _decoded(inner, place)
    given = cast("list[Json]", inner) if isinstance(inner, list) else [inner]
    return [_call(part, one, place) for one in given]


def _call(part: Mapping[str, Json], inner: Json, place: str) -> dict[str, Json]:
    fields = cast("dict[str, Json]", inner if isinstance(inner, dict) else dict(part))
    function: Json = fields.get("function")
    if isinstance(function, dict):
        fields = fields | cast("dict[str, Json]", function)
    name = fields.get("name", fields.get("toolName"))
    if not isinstance(name, str) or not name:
        raise InputError(f"{place} is a call without the name of a tool")
    arguments = _first(fields, _ARGUMENTS)
    if not isinstance(arguments, str):
        arguments = _encoded({} if arguments is None else arguments, place)
    call: dict[str, Json] = {
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    id = _first(fields, _IDS) or _first(part, _IDS)
    return call if id is None else {"id": str(id), **call}


def _result(part: Mapping[str, Json], kind: str, place: str) -> Message:
    inner = part.get(kind)
    fields = cast("dict[str, Json]", inner if isinstance(inner, dict) else dict(part))
    output = _first(fields, _OUTPUTS)
    if isinstance(output, list):
        parts = [_as_part(one) for one in cast("list[Any]", output)]
        if any(not isinstance(one, dict) for one in parts):
            raise InputError(f"{place} is a result that is no text")
        texts = (_texts(one, _kind(one), f"{place}.content[{n}]") for n, one in enumerate(parts))
        output = "\n".join(text for found in texts for text in found)
    elif output is not None:
        output = _text(output) or _encoded(output, place)
    id, name = _first(fields, _IDS) or _first(part, _IDS), fields.get("name")
    return Message(
        "tool",
        output or "",
        tool_call_id=None if id is None else str(id),
        name=name if isinstance(name, str) else None,
    )


def _decoded(text: str, place: str) -> Json:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InputError(f"{place} is a call whose text is no JSON") from None


def _encoded(value: Json, place: str) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{place} cannot be written as JSON: {error}") from None


def _first(fields: Mapping[str, Json], names: Iterable[str]) -> Json:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def json_type(value: Any) -> str:
    """Name a value as JSON does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(cast("type[Any]", type(value)), "something else")
