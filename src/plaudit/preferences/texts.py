"""What prompts and responses say, how long responses are, and when two are the same."""

from collections.abc import Sequence
from typing import cast

import msgspec
from msgspec import Raw

from plaudit.types import Json

_SHOWN = ("name", "reasoning_content", "reasoning", "thinking", "tool_plan", "audio", "images")
"""Fields of a message, beside role, content and calls, that a chat template can render."""

_TEXT_PARTS = frozenset({None, "text", "input_text", "output_text"})
_RESULTS = frozenset({"tool", "function"})


def same_text_key(raw: Raw) -> bytes:
    """Return what two prompts have in common if they say the same; b"" for nothing.

    Identities are made of this key, so the key of a prompt never changes. A text is compared
    without the space around it; messages as JSON, whatever their spelling and the order of their
    keys. A list that is one message is that message. What holds a number that is too large, or is
    nested too deeply to be compared so, is compared as it is written.
    """
    data = bytes(raw)
    if (text := _plain_text(data)) is not None:
        return text
    try:
        return _key_of(msgspec.json.decode(data))
    except (msgspec.DecodeError, RecursionError):
        return data


def response_key(raw: Raw) -> bytes:
    """Return what two responses have in common if they are rendered alike; b"" for nothing.

    All comparisons of responses use this key. A text is one message of the assistant. Of a message
    count its role, its text without the space around it, its calls, and the fields that a chat
    template can render. What no template renders does not count: ids of messages and calls, fields
    that are null or empty, other fields. Of a call count its name and its arguments, as JSON
    whatever their spelling. A result counts by its place; its call's id counts only where results
    come in another order than their calls.

    What holds no messages is compared as JSON. What holds a number that is too large, or is nested
    too deeply, is compared as it is written.
    """
    data = bytes(raw)
    text = _plain_text(data)
    return _rendered_key(data, "assistant") if text is None else text


def prompt_key(raw: Raw) -> bytes:
    """Return the same of two prompts; a text is one message of the user."""
    data = bytes(raw)
    text = _plain_text(data)
    return _rendered_key(data, "user") if text is None else text


def _rendered_key(data: bytes, role: str) -> bytes:
    try:
        value = msgspec.json.decode(data)
        messages = _messages_of(value)
        return _key_of(value) if messages is None else _key_of_messages(messages, role)
    except (msgspec.DecodeError, RecursionError):
        return data


def _plain_text(data: bytes) -> bytes | None:
    """Return the key of a JSON text that has no escapes, without decoding it; None for others."""
    if data[:1] != b'"' or b"\\" in data:
        return None
    key = data[:-1].rstrip()
    if key[1:2] == b" ":
        key = b'"' + key[1:].lstrip()
    if not key.isascii():  # Spaces of other scripts.
        key = b'"' + key[1:].decode(errors="surrogateescape").strip().encode(
            errors="surrogateescape"
        )
    return key if len(key) > 1 else b""


def _key_of(value: Json) -> bytes:
    if isinstance(value, str):
        return _text_key(value)
    if isinstance(value, list):
        messages = cast("list[Json]", value)
        if len(messages) == 1 and isinstance(messages[0], dict):
            return _key_of(messages[0])
    return b"" if _says_nothing(value) else msgspec.json.encode(value, order="sorted")


def _text_key(value: str) -> bytes:
    text = value.strip()
    return b'"' + msgspec.json.encode(text)[1:-1] if text else b""


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


# Messages as they are rendered.

_Fields = dict[str, Json]


def _messages_of(value: Json) -> list[_Fields] | None:
    """Return a value as messages; None where it is neither a message nor a list of them."""
    messages = cast("list[Json]", value if isinstance(value, list) else [value])
    if not messages or not all(map(_is_message, messages)):
        return None
    return cast("list[_Fields]", messages)


def _is_message(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(cast("_Fields", value).get("role"), str)


def _key_of_messages(messages: Sequence[_Fields], role: str) -> bytes:
    calls = _Calls()
    rendered = [_rendered(message, calls) for message in messages]
    if not any("content" in one or "calls" in one for one in rendered):
        return b""
    if len(rendered) == 1 and rendered[0].keys() == {"role", "content"}:
        said = rendered[0]["content"]
        if rendered[0]["role"] == role and isinstance(said, str):
            return _text_key(said)
    return msgspec.json.encode(rendered, order="sorted")


class _Calls:
    """The calls of a list of messages so far, and how many of them have a result."""

    def __init__(self) -> None:
        self._places: dict[object, int] = {}
        self._names: list[Json] = []
        self._results = 0

    def add(self, id_: Json, name: Json) -> None:
        """Add a call."""
        if isinstance(id_, str | int):
            self._places[id_] = len(self._names)
        self._names.append(name)

    def take(self, id_: Json) -> tuple[int | None, Json]:
        """Return which call a result answers, None if the next one, and the name of that call."""
        following = self._results
        self._results += 1
        place = self._places.get(id_, following) if isinstance(id_, str | int) else following
        name = self._names[place] if place < len(self._names) else None
        return (None if place == following else place), name


def _rendered(message: _Fields, calls: _Calls) -> _Fields:
    """Return what of a message is rendered; fields with nothing in them are left out."""
    role = message["role"]
    found: _Fields = {"role": role, "content": _content(message.get("content"))}
    found |= {name: _stripped(message.get(name)) for name in _SHOWN}
    found["calls"] = [_call(one, calls) for one in _calls_of(message)]
    if role in _RESULTS:
        found["call"], name = calls.take(message.get("tool_call_id"))
        if found["name"] == name:
            found["name"] = None
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def _content(content: Json) -> Json:
    """Return a content as text, or as parts where one of them is no text."""
    if not isinstance(content, list):
        return _stripped(content)
    parts: list[Json] = []
    for part in cast("list[Json]", content):
        text = _text_of_part(part)
        if text is None:
            parts.append(_without_nothing(part))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += text
        else:
            parts.append(text)
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0].strip()
    return parts


def _text_of_part(part: Json) -> str | None:
    if isinstance(part, str):
        return part
    fields = cast("_Fields", part) if isinstance(part, dict) else {}
    text = fields.get("text")
    return text if isinstance(text, str) and fields.get("type") in _TEXT_PARTS else None


def _calls_of(message: _Fields) -> list[Json]:
    called = message.get("tool_calls") or message.get("function_call")
    if not called:
        return []
    return cast("list[Json]", called) if isinstance(called, list) else [called]


def _call(call: Json, calls: _Calls) -> Json:
    """Return a call's name and arguments; what is no call of a function, without its id."""
    if not isinstance(call, dict):
        return call
    fields = cast("_Fields", call)
    function = fields.get("function", fields)
    inner = cast("_Fields", function) if isinstance(function, dict) else fields
    name = inner.get("name")
    calls.add(fields.get("id"), name)
    if not isinstance(name, str):
        rest = {key: value for key, value in fields.items() if key not in ("id", "index")}
        return _without_nothing(rest)
    given = next((inner[key] for key in ("arguments", "args", "input") if key in inner), None)
    return [name, _arguments(given)]


def _arguments(given: Json) -> Json:
    """Return arguments as JSON, which some write as text; none and empty ones are the same."""
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given) if given.strip() else {}
        except (msgspec.DecodeError, RecursionError):
            return given.strip()
    return {} if given is None else given


def _without_nothing(value: Json) -> Json:
    """Return an object without the fields that are null, those of inner objects included."""
    if not isinstance(value, dict):
        return value
    fields = cast("_Fields", value)
    return {name: _without_nothing(inner) for name, inner in fields.items() if inner is not None}


def _stripped(value: Json) -> Json:
    return value.strip() if isinstance(value, str) else value


_MESSAGE = frozenset({"role", "content", "tool_calls"})
_NOT_WRITTEN = frozenset({"system", "developer", "user", "tool", "function"})


def length_of(response: Raw) -> int:
    """Return the characters (Unicode code points) of a response.

    Of messages, those of the assistant count: their text, and the names and arguments of their
    calls. Images and other parts without text count nothing; values that are no messages, or that
    hold a number too large or are nested too deeply to be read, count as the JSON that they are.
    """
    data = bytes(response)
    if data[:1] == b'"' and b"\\" not in data:
        return len(data) - 2 if data.isascii() else len(data.decode()) - 2
    try:
        return _length(msgspec.json.decode(data))
    except (msgspec.ValidationError, RecursionError):
        return len(data.decode())


def _length(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_length, cast("list[Json]", value)))
    fields = _fields(value)
    if not _MESSAGE.intersection(fields):
        return _as_json(value)
    if fields.get("role") in _NOT_WRITTEN:
        return 0
    return _text_length(fields.get("content")) + sum(
        map(_call_length, _items(fields.get("tool_calls")))
    )


def _text_length(content: Json) -> int:
    parts = [content] if isinstance(content, str) else _items(content)
    texts = (part if isinstance(part, str) else _fields(part).get("text") for part in parts)
    return sum(len(text) for text in texts if isinstance(text, str))


def _call_length(call: Json) -> int:
    function = _fields(_fields(call).get("function", call))
    return sum(_as_json(function.get(name)) for name in ("name", "arguments"))


def _as_json(value: Json) -> int:
    if value is None:
        return 0
    return len(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _fields(value: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def _items(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []
