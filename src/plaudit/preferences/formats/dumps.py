"""Messages of LangChain and of OpenAI's SDK, as `model_dump` and `dumpd` write them.

They become messages as all chat models read them. What is such a dump, but no message of a chat, is
an error that names it: as JSON it would be a text that nobody said.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import Raw

from plaudit.errors import InputError
from plaudit.types import Json

_Fields = dict[str, Json]

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "function",
    "chat": "",
}
"""By the type of a LangChain message; a `chat` message has a role of its own."""

_ITEMS = frozenset({"function_call", "function_call_output", "reasoning"})
"""Types of OpenAI's items that have no role."""


def undumped(raw: Raw) -> Raw:
    """Return a prompt or a response in which dumps are messages; what holds none keeps its bytes.

    Raises:
        InputError: it holds a dump that is no message of a chat; the message names it.
    """
    data = bytes(raw)
    if data[:1] not in (b"{", b"["):
        return raw
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return raw
    found = _read(value)
    return raw if found is value else Raw(msgspec.json.encode(found))


def _read(value: Json) -> Json:
    """Return a value as messages or text; the same object if it holds no dump."""
    if isinstance(value, list):
        return _read_list(cast("list[Json]", value))
    fields = _object(value)
    for is_one, read in _KINDS:
        if fields and is_one(fields):
            return read(fields)
    return value


def _read_list(values: list[Json]) -> list[Json]:
    found: list[Json] = []
    for value in values:
        one = _read(value)
        several = isinstance(one, list) and one is not value
        found += cast("list[Json]", one) if several else [one]
    same = len(found) == len(values) and all(a is b for a, b in zip(found, values, strict=True))
    return values if same else _with_calls_joined(found)


# LangChain


def _is_constructed(fields: _Fields) -> bool:
    return "lc" in fields and isinstance(fields.get("id"), list)


def _read_constructed(fields: _Fields) -> Json:
    """Read what `dumpd` writes: the class and its arguments."""
    name = str((fields["id"] or ["object"])[-1])
    kwargs = fields.get("kwargs")
    if fields.get("type") != "constructor" or not isinstance(kwargs, dict):
        raise InputError(f"a LangChain {name} that was not serialised")
    held = cast("_Fields", kwargs)
    kind = name.removesuffix("Chunk").removesuffix("Message")
    if name != kind:
        return _read_langchain({"type": kind.casefold(), **held})
    found = _read(held)
    if found is held:
        raise InputError(f"a LangChain {name}")
    return found


def _is_langchain(fields: _Fields) -> bool:
    if "additional_kwargs" in fields and "content" in fields and "type" in fields:
        return True
    return _kind_of(fields) in _ROLES and "content" in fields


def _kind_of(fields: _Fields) -> str:
    """Return the type of a LangChain message, or part of one: `AIMessageChunk` is `ai`."""
    kind = fields.get("type")
    return kind.removesuffix("MessageChunk").casefold() if isinstance(kind, str) else ""


def _read_langchain(fields: _Fields) -> Json:
    kind, more = _kind_of(fields), _object(fields.get("additional_kwargs"))
    if kind not in _ROLES:
        raise InputError(f"a LangChain message of type {fields.get('type')!r}")
    if fields.get("invalid_tool_calls"):
        raise InputError("a LangChain message with a tool call that could not be read")
    calls, content = _langchain_calls(fields, more)
    role = _ROLES[kind] or fields.get("role")
    message: _Fields = {"role": more.get("__openai_role__", role), "content": content}
    optional = {
        "name": fields.get("name"),
        "tool_call_id": fields.get("tool_call_id"),
        "tool_calls": calls,
        "function_call": more.get("function_call"),
        "reasoning_content": more.get("reasoning_content"),
    }
    return message | {name: value for name, value in optional.items() if value}


def _langchain_calls(fields: _Fields, more: _Fields) -> tuple[list[Json], Json]:
    """Return the calls of a message, and its content without them."""
    content = fields.get("content")
    parts = _items(content)
    used = [_object(part) for part in parts if _object(part).get("type") == "tool_use"]
    calls = [
        _call(call.get("id"), call.get("name"), call.get("args"))
        for call in map(_object, _items(fields.get("tool_calls")))
    ]
    if not calls:
        calls = _items(more.get("tool_calls"))
    if not calls:
        calls = [_call(call.get("id"), call.get("name"), call.get("input")) for call in used]
    if not used:
        return calls, content
    return calls, [part for part in parts if _object(part).get("type") != "tool_use"]


def _is_wrapped(fields: _Fields) -> bool:
    """Whether it is what `messages_to_dict` writes."""
    return _kind_of(fields) in _ROLES and isinstance(fields.get("data"), dict)


def _is_generation(fields: _Fields) -> bool:
    return "generation_info" in fields or _kind_of(fields).endswith(("generation", "promptvalue"))


def _read_generation(fields: _Fields) -> Json:
    if isinstance(fields.get("message"), dict):
        return _read(fields["message"])
    if isinstance(fields.get("messages"), list):
        return _read_list(fields["messages"])
    if isinstance(fields.get("text"), str):
        return fields["text"]
    raise InputError(f"a LangChain object of type {fields.get('type')!r} without a text")


def _has_generations(fields: _Fields) -> bool:
    return isinstance(fields.get("generations"), list)


def _read_generations(fields: _Fields) -> Json:
    rows = _items(fields["generations"])
    found = [one for row in rows for one in (_items(row) if isinstance(row, list) else [row])]
    return _read(_only(found, "a LangChain result", "generations"))


# OpenAI


def _is_completion(fields: _Fields) -> bool:
    choices = list(map(_object, _items(fields.get("choices"))))
    named = "completion" in str(fields.get("object"))
    return named or any("message" in one or "delta" in one for one in choices)


def _read_completion(fields: _Fields) -> Json:
    choice = _object(_only(_items(fields.get("choices")), "an OpenAI completion", "choices"))
    if isinstance(choice.get("message"), dict):
        return _read_choice(choice)
    if isinstance(choice.get("text"), str):
        return choice["text"]
    raise InputError(f"an OpenAI {fields.get('object') or 'completion'} without a message")


def _is_choice(fields: _Fields) -> bool:
    return "finish_reason" in fields and isinstance(fields.get("message"), dict)


def _read_choice(fields: _Fields) -> Json:
    message = cast("_Fields", fields["message"])
    return {name: value for name, value in message.items() if value is not None}


def _is_response(fields: _Fields) -> bool:
    return fields.get("object") == "response" and isinstance(fields.get("output"), list)


def _is_item(fields: _Fields) -> bool:
    return "role" not in fields and fields.get("type") in _ITEMS


def _read_item(fields: _Fields) -> Json:
    """Read an item of OpenAI's responses: a call, its result, or thought, which is left out."""
    if fields["type"] == "function_call":
        call = _call(fields.get("call_id"), fields.get("name"), fields.get("arguments"))
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    if fields["type"] == "function_call_output":
        id_, output = fields.get("call_id"), fields.get("output")
        return {"role": "tool", "tool_call_id": id_, "content": output}
    return []


def _read_response(fields: _Fields) -> Json:
    items = [_object(item) for item in _items(fields["output"])]
    for item in items:
        if "role" not in item and not _is_item(item):
            raise InputError(f"an OpenAI response with an item of type {item.get('type')!r}")
    messages = [
        {"role": item["role"], "content": _joined(item.get("content"))} if "role" in item else item
        for item in items
    ]
    return _read_list([*messages])


def _joined(content: Json) -> Json:
    """Return parts that are all text as one text."""
    texts = [_object(part).get("text") for part in _items(content)]
    if not texts or not all(isinstance(text, str) for text in texts):
        return content
    return "".join(cast("list[str]", texts))


def _is_chat(fields: _Fields) -> bool:
    """Whether it is a request, or the state of an agent."""
    messages = _items(fields.get("messages"))
    return "role" not in fields and bool(messages) and all(map(_object, messages))


def _read_chat(fields: _Fields) -> Json:
    found = _read_list(fields["messages"])
    if not all("role" in _object(one) for one in found):
        raise InputError("an object with messages that are no messages of a chat")
    return found


_KINDS: Sequence[tuple[Callable[[_Fields], bool], Callable[[_Fields], Json]]] = (
    (_is_constructed, _read_constructed),
    (_is_wrapped, lambda fields: _read_langchain({"type": fields["type"], **fields["data"]})),
    (_is_langchain, _read_langchain),
    (_is_generation, _read_generation),
    (_has_generations, _read_generations),
    (_is_completion, _read_completion),
    (_is_choice, _read_choice),
    (_is_response, _read_response),
    (_is_item, _read_item),
    (_is_chat, _read_chat),
)
"""Kinds of dumps: how each is recognised, and read. The first that fits counts."""


def _with_calls_joined(messages: Sequence[Json]) -> list[Json]:
    """Join the calls of one turn, which are items of their own in OpenAI's responses."""
    found: list[Json] = []
    for message in messages:
        fields, last = _object(message), _object(found[-1]) if found else {}
        calls = fields.get("tool_calls")
        if calls and not fields.get("content") and last.get("role") == fields.get("role"):
            found[-1] = last | {"tool_calls": [*_items(last.get("tool_calls")), *calls]}
        else:
            found.append(message)
    return found


def _call(id_: Json, name: Json, arguments: Json) -> _Fields:
    text = (
        arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    )
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": text}}


def _only(values: Sequence[Json], what: str, noun: str) -> Json:
    if len(values) != 1:
        raise InputError(f"{what} of {len(values)} {noun}, of which a step can hold one")
    return values[0]


def _object(value: Json) -> _Fields:
    return cast("_Fields", value) if isinstance(value, Mapping) else {}


def _items(value: Json) -> list[Json]:
    return cast("list[Json]", value) if isinstance(value, list) else []
