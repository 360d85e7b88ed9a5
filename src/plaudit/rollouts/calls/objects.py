"""Calls as JSON objects: where one ends in a text, what it calls, and what is wrong with it."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.types import Json


class Called(NamedTuple):
    """A call that could be read."""

    name: str
    arguments: str
    """As JSON text."""
    id: str = ""
    """The id that the model wrote; empty where its form has none."""


_DEEPEST = 200
"""Levels of JSON that a call may have."""
_MOST_VALUES = 256
_BEGINNING = re.compile(r"\{|\[\s*+[{\]]")
"""Of an object or a list of objects; `[TOOL_CALLS]` is none."""
_SPACE = re.compile(r"\s*+")
_BETWEEN = re.compile(r"[\s;,]*+")
_TOKEN = re.compile(
    r"""
    "[^"\\]*+(?:\\.[^"\\]*+)*+"     # a string, whatever it holds
    | [\[\]{}]
    | [^\s\d,:+\-.eEtrufalsn]       # cannot stand outside of a string: this is no JSON
    """,
    re.VERBOSE | re.DOTALL,
)


class BrokenCallError(Exception):
    """A call cannot be read. The message says why, to the model.

    Attributes:
        place: how far it could be read.
    """

    def __init__(self, why: str, place: int) -> None:
        super().__init__(why)
        self.place = place


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Wrapped(msgspec.Struct):
    """A call within the wrapping of the OpenAI API."""

    function: _Call


# ---------------------------------------------------------------- where values end


def value_end(text: str, place: int) -> int:
    """Return where the JSON object or list ends that begins at a place.

    Only strings and brackets are looked at. What cannot be JSON ends the search, so that a text
    full of unclosed calls is not read to its end for each of them.

    Raises:
        BrokenCallError: it does not end.
    """
    depth = 0
    for token in _TOKEN.finditer(text, place):
        match text[token.start()]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
            case '"' if token.end() - token.start() > 1:
                continue
            case '"':
                raise BrokenCallError("its JSON breaks off within a string", len(text))
            case _:
                raise BrokenCallError("its JSON is broken", token.start())
        if depth == 0:
            return token.end()
        if depth > _DEEPEST:
            raise BrokenCallError("its JSON is nested too deeply", token.start())
    raise BrokenCallError("its JSON breaks off", len(text))


def value_spans(text: str, place: int) -> list[tuple[int, int]]:
    """Return where JSON objects and lists stand that follow each other from a place, at least one.

    Between them may be space, commas and semicolons.

    Raises:
        BrokenCallError: there is none, or one of them does not end.
    """
    spans: list[tuple[int, int]] = []
    start = place
    while _BEGINNING.match(text, start) and len(spans) < _MOST_VALUES:
        spans.append((start, value_end(text, start)))
        start = skip_between(text, spans[-1][1])
    if not spans:
        raise BrokenCallError("no JSON object follows", place)
    return spans


def skip(text: str, place: int) -> int:
    """Return the place after the space that begins here, if any."""
    return cast("re.Match[str]", _SPACE.match(text, place)).end()


def skip_between(text: str, place: int) -> int:
    """Return the place after what may stand between two values."""
    return cast("re.Match[str]", _BETWEEN.match(text, place)).end()


# ---------------------------------------------------------------- what they call


def members(text: str, span: tuple[int, int]) -> list[bytes]:
    """Return the values that may be calls: an object itself, or the members of a list.

    Raises:
        BrokenCallError: it is no JSON.
    """
    raw = text[span[0] : span[1]].encode()
    if raw.startswith(b"{"):
        return [raw]
    try:
        return [bytes(member) for member in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError) as error:
        raise BrokenCallError(f"its JSON is broken: {error}", span[1]) from error


def called(raw: bytes, place: int) -> Called:
    """Read an object that makes a call.

    Args:
        raw: `{"name": ..., "arguments" or "parameters": {...}}`, or that under the key `function`.
        place: where it ends in its text.

    Raises:
        BrokenCallError: it is something else.
    """
    try:
        call = msgspec.json.decode(raw, type=_Call)
    except (msgspec.DecodeError, RecursionError) as error:
        call = _unwrapped(raw, place, error)
    body = call.parameters if call.arguments is msgspec.UNSET else call.arguments
    if not isinstance(body, msgspec.Raw):
        raise BrokenCallError('it has no "arguments"', place)
    return Called(call.name, arguments(bytes(body), place))


def _unwrapped(raw: bytes, place: int, error: Exception) -> _Call:
    try:
        return msgspec.json.decode(raw, type=_Wrapped).function
    except (msgspec.DecodeError, RecursionError):
        why = f"it is no JSON object with a name and arguments: {error}"
        raise BrokenCallError(why, place) from error


def arguments(raw: bytes, place: int) -> str:
    """Return the text of a JSON object, which a string may hold as in the OpenAI API.

    Raises:
        BrokenCallError: it is something else.
    """
    try:
        if raw.startswith(b'"'):
            raw = msgspec.json.decode(raw, type=str).encode()
        msgspec.json.decode(raw, type=dict[str, Any])
        return raw.decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BrokenCallError(f"its arguments are no JSON object: {error}", place) from error


def object_at(text: str, place: int) -> tuple[str, int]:
    """Return the text of the JSON object after a place, and where it ends; space may precede it.

    Raises:
        BrokenCallError: no object follows, or it is broken.
    """
    place = skip(text, place)
    if not text.startswith("{", place):
        raise BrokenCallError("no JSON object follows", place)
    end = value_end(text, place)
    return arguments(text[place:end].encode(), end), end


# ---------------------------------------------------------------- arguments without quotes

_PYTHON_WORDS: Mapping[str, Json] = {"True": True, "False": False, "None": None}
_KINDS: Mapping[str, frozenset[str]] = {
    "bool": frozenset({"boolean"}),
    "int": frozenset({"integer", "number"}),
    "float": frozenset({"number"}),
    "list": frozenset({"array"}),
    "dict": frozenset({"object"}),
    "NoneType": frozenset({"null"}),
}
"""Types that JSON Schema gives a value, by its class; a text has none here."""


def typed(written: Mapping[str, str], spec: ToolSpec | None) -> str:
    """Return arguments that were written without quotes as the text of a JSON object.

    A value is what the tool's schema asks for where it can be read as that, else a string.
    Python's words for true, false and null are understood: the template of Qwen3-Coder writes
    them.
    """
    schema = {} if spec is None else _schema(spec)
    properties = cast("dict[str, Json]", schema.get("properties") or {})
    values = {
        key: _value(text, _allowed(properties.get(key), schema)) for key, text in written.items()
    }
    return msgspec.json.encode(values).decode()


def respaced(text: str) -> str:
    """Return JSON text on one line, spaced as models have seen it most."""
    return msgspec.json.format(text, indent=0)


def _schema(spec: ToolSpec) -> dict[str, Json]:
    schema = msgspec.json.decode(spec.parameters)
    return cast("dict[str, Json]", schema) if isinstance(schema, dict) else {}


def _allowed(schema: Json, root: Mapping[str, Json], depth: int = 8) -> frozenset[str]:
    """Return the types other than text that a schema names; none where it names none."""
    if not isinstance(schema, dict) or not depth:
        return frozenset()
    body = cast("dict[str, Json]", schema)
    kinds = body.get("type", ())
    found = {kinds} if isinstance(kinds, str) else {k for k in kinds if isinstance(k, str)}
    for value in (*body.get("enum", ()), *([body["const"]] if "const" in body else ())):
        found |= _kinds(value)
    for option in (*body.get("anyOf", ()), *body.get("oneOf", ()), _referred(body, root)):
        found |= _allowed(option, root, depth - 1)
    return frozenset(found)


def _kinds(value: object) -> frozenset[str]:
    return _KINDS.get(type(value).__name__, frozenset())


def _referred(body: Mapping[str, Json], root: Mapping[str, Json]) -> Json:
    name = str(body.get("$ref", "")).removeprefix("#/$defs/")
    return root.get("$defs", {}).get(name)


def _value(text: str, allowed: frozenset[str]) -> Json:
    if not allowed - {"string"}:
        return text
    if text.strip() in _PYTHON_WORDS:
        value = _PYTHON_WORDS[text.strip()]
    else:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
    return value if _kinds(value) & allowed else text
