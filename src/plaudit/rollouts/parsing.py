"""Calls that a model wrote as text, told apart from its thoughts and its answer.

Read are these forms, any of them in one reply unless told otherwise:

- `json`, `llama`: `{"name": ..., "arguments" or "parameters": {...}}`, alone or several after each
  other, in a list, or in a fence. Such an object counts only where it stands alone: what is outside
  of thoughts is nothing else. In the middle of prose it is part of an answer.
- `llama`: the same after `<|python_tag|>`, and `<function=NAME>{...}</function>`.
- `hermes`: the same, or a list, between `<tool_call>` and `</tool_call>`.
- `qwen`: `<function=NAME><parameter=KEY>VALUE</parameter></function>`, in `<tool_call>` or not.
- `mistral`: a list after `[TOOL_CALLS]`, or `[TOOL_CALLS]NAME[ARGS]{...}`.

Thoughts stand between `<think>` and `</think>` or `[THINK]` and `[/THINK]`; one that is not closed
reaches to the end, and where the first tag closes, the thought began with the text, as it does with
models whose template writes the opening tag. Nothing in a thought is a call, and nothing within a
call's strings is a tag. What is broken is told as such and never repaired. Time is linear in the
text's length.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from plaudit.engines.base import ToolCall, ToolSpec
from plaudit.rollouts.call_forms import FORMS, CallForm
from plaudit.types import Json

MOST_CALLS = 256
"""Calls of one reply that are read; what follows them is one broken call."""
_DEEPEST = 200
"""Levels of JSON that a call may have."""


class WrittenCall(ToolCall, frozen=True, kw_only=True):
    """A call that was written as text."""

    start: int
    """Where it begins in the text, with its tags."""
    end: int
    """Where it ends; calls of one list share one place."""


class MalformedCall(msgspec.Struct, frozen=True, kw_only=True):
    """What was meant as a call and cannot be read as one."""

    id: str
    """`call-TURN-NUMBER`, as of any call."""
    text: str
    """As it was written, with its tags."""
    why: str
    """One sentence for the model."""
    start: int
    end: int
    name: str = ""
    """The tool; empty where none could be read."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A model's reply, taken apart."""

    text: str
    """What is outside of calls and thoughts, trimmed."""
    reasoning: str
    """The thoughts without their tags, trimmed."""
    calls: tuple[WrittenCall, ...] = ()
    malformed: tuple[MalformedCall, ...] = ()
    thought_open: bool = False
    """Whether the reply ends within a thought."""

    @property
    def attempts(self) -> "tuple[WrittenCall | MalformedCall, ...]":
        """All calls, readable or not, in the order in which they were written."""
        return tuple(sorted((*self.calls, *self.malformed), key=_number))


def _number(call: WrittenCall | MalformedCall) -> int:
    return int(call.id.rpartition("-")[2])


def read_reply(
    text: str,
    *,
    tools: Sequence[ToolSpec] | None = None,
    forms: Collection[CallForm] = FORMS,
    turn: int = 0,
    in_thought: bool = False,
) -> Reply:
    """Read what a model wrote. Never raises, whatever the text.

    Args:
        text: the whole reply.
        tools: the tools that were offered. A bare object counts as a call only if it names one of
            them; None: any name will do. Their schemas say which type a `qwen` argument has.
        forms: forms that are read.
        turn: index of the turn, for the ids of the calls: `call-TURN-NUMBER`.
        in_thought: whether the prompt ended within a thought that it had opened.
    """
    reader = _Reader(_writable(text), tools, frozenset(forms), turn)
    reader.read(in_thought)
    return reader.reply()


def _writable(text: str) -> str:
    """Replace lone surrogates one by one, so that places stay what they are."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


_THOUGHTS: Mapping[str, str] = {"<think>": "</think>", "[THINK]": "[/THINK]"}
_OPENERS: Mapping[CallForm, tuple[str, ...]] = {
    "json": (),
    "hermes": ("<tool_call>",),
    "llama": ("<function=", "<|python_tag|>"),
    "qwen": ("<tool_call>", "<function="),
    "mistral": ("[TOOL_CALLS]",),
}
_SPACE = re.compile(r"\s*+")
_BETWEEN = re.compile(r"[\s;,]*+")
_JSON_TOKEN = re.compile(
    r"""
    "[^"\\]*+(?:\\.[^"\\]*+)*+"     # a string, whatever it holds
    | [\[\]{}]
    | [^\s\d,:+\-.eEtrufalsn]       # cannot stand outside of a string: this is no JSON
    """,
    re.VERBOSE | re.DOTALL,
)
_FUNCTION = re.compile(r"<function=([^<>\n]{1,128})>\s*+")
_PARAMETER = re.compile(r"<parameter=([^<>\n]{1,128})>")
_VALUE_END = re.compile(r"</?parameter\b|</?function\b")
_ARGS = re.compile(r"([\w.-]{1,128})(?:\[CALL_ID\]\w{1,64})?\[ARGS\]\s*+")
_FENCE = re.compile(r"```[ \t]*+\w*+[ \t]*+\n")
_BARE_START = re.compile(
    r"""^[ \t]*+(?:```[ \t]*+\w*+\s*+)?\[?\s*+\{\s*+(?:"type"\s*+:\s*+"function"\s*+,\s*+)?
    "name"\s*+:\s*+"([^"\\]{1,128})"\s*+(?:,\s*+"(?:arguments|parameters)"|\Z)""",
    re.VERBOSE | re.MULTILINE,
)


class _BrokenError(Exception):
    """A call cannot be read; the message says why."""


class _Called(msgspec.Struct):
    """An object that makes a call."""

    name: str
    arguments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Wrapped(msgspec.Struct):
    """The same within the wrapping of the OpenAI API."""

    function: _Called


class _Reader:
    """Reads one text from left to right."""

    def __init__(
        self,
        text: str,
        tools: Sequence[ToolSpec] | None,
        forms: frozenset[CallForm],
        turn: int,
    ) -> None:
        self._text = text
        self._specs = None if tools is None else {spec.name: spec for spec in tools}
        self._bare = bool(forms & {"json", "llama"})
        self._turn = turn
        openers = {opener for form in forms for opener in _OPENERS[form]}
        marks = [*_THOUGHTS, *_THOUGHTS.values(), *sorted(openers)]
        self._mark = re.compile("|".join(map(re.escape, marks)))
        self._end_of_broken = re.compile("|".join(map(re.escape, [*marks, "</tool_call>"])))
        self._said: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[WrittenCall] = []
        self._malformed: list[MalformedCall] = []
        self._thought_open = False

    def reply(self) -> Reply:
        return Reply(
            text="".join(self._said).strip(),
            reasoning="\n".join(t for t in map(str.strip, self._thoughts) if t),
            calls=tuple(self._calls),
            malformed=tuple(self._malformed),
            thought_open=self._thought_open,
        )

    @property
    def _count(self) -> int:
        return len(self._calls) + len(self._malformed)

    # ------------------------------------------------------------ marks

    def read(self, in_thought: bool) -> None:
        """Read the whole text."""
        place = self._thought(0, "</think>") if in_thought else 0
        while not self._all_bare(place):
            mark = self._mark.search(self._text, place)
            if mark is None:
                self._said.append(self._text[place:])
                break
            self._said.append(self._text[place : mark.start()])
            place = self._marked(mark)
        if not self._count:
            self._broken_bare()

    def _marked(self, mark: re.Match[str]) -> int:
        """Read what begins with a mark; return where it ends."""
        opener = mark.group()
        if opener in _THOUGHTS:
            return self._thought(mark.end(), _THOUGHTS[opener])
        if opener in _THOUGHTS.values():
            return self._closed(mark)
        if self._count >= MOST_CALLS:
            why = f"one reply can make {MOST_CALLS} calls; no further ones are read"
            return self._broken(mark.start(), len(self._text), why)
        try:
            found, end = self._calls_at(mark)
        except _BrokenError as error:
            end = self._end_of_broken.search(self._text, mark.end())
            return self._broken(mark.start(), self._broken_end(end), str(error))
        for name, arguments in found:
            self._call(name, arguments, mark.start(), end)
        return end

    def _broken_end(self, found: re.Match[str] | None) -> int:
        """A broken call reaches to its closing tag, else to the next mark, else to the end."""
        if found is None:
            return len(self._text)
        return found.end() if found.group() == "</tool_call>" else found.start()

    def _thought(self, place: int, closer: str) -> int:
        end = self._text.find(closer, place)
        if end < 0:
            self._thought_open = True
            self._thoughts.append(self._text[place:])
            return len(self._text)
        self._thoughts.append(self._text[place:end])
        return end + len(closer)

    def _closed(self, mark: re.Match[str]) -> int:
        """The end of a thought whose beginning was not seen: it began with the text."""
        if self._thoughts:
            self._said.append(mark.group())
            return mark.end()
        self._thoughts.append(self._text[: mark.start()])
        self._said.clear()
        self._calls.clear()
        self._malformed.clear()
        return mark.end()

    # ------------------------------------------------------------ calls after a mark

    def _calls_at(self, mark: re.Match[str]) -> tuple[list[tuple[str, str]], int]:
        """Read the calls that follow a mark; return them and where they end."""
        place = self._skip(mark.end())
        match mark.group():
            case "<tool_call>":
                return self._tool_call(place)
            case "<function=":
                return self._function(mark.start())
            case "[TOOL_CALLS]":
                return self._mistral(place)
            case _:
                return self._values(place)

    def _tool_call(self, place: int) -> tuple[list[tuple[str, str]], int]:
        if self._text.startswith("<function=", place):
            found, place = self._function(place)
        else:
            found, place = self._values(place)
        return found, self._expect("</tool_call>", place)

    def _mistral(self, place: int) -> tuple[list[tuple[str, str]], int]:
        named = _ARGS.match(self._text, place)
        if named is None:
            return self._values(place)
        body, end = self._object(named.end())
        return [(named.group(1), body)], end

    def _function(self, place: int) -> tuple[list[tuple[str, str]], int]:
        head = _FUNCTION.match(self._text, place)
        if head is None:
            raise _BrokenError("the function has no name")
        name, place = head.group(1).strip(), head.end()
        if self._text.startswith("{", place):
            body, place = self._object(place)
            return [(name, body)], self._expect("</function>", place)
        written: dict[str, str] = {}
        while (parameter := _PARAMETER.match(self._text, place)) is not None:
            value, place = self._value(parameter)
            key = parameter.group(1).strip()
            if key in written:
                raise _BrokenError(f"argument {key!r} is given twice")
            written[key] = value
            place = self._skip(place)
        end = self._expect("</function>", place)
        return [(name, _typed(written, (self._specs or {}).get(name)))], end

    def _value(self, parameter: re.Match[str]) -> tuple[str, int]:
        end = _VALUE_END.search(self._text, parameter.end())
        if end is None or not self._text.startswith("</parameter>", end.start()):
            raise _BrokenError(f"argument {parameter.group(1)!r} is not closed with </parameter>")
        value = self._text[parameter.end() : end.start()]
        return value.removeprefix("\n").removesuffix("\n"), end.start() + len("</parameter>")

    def _object(self, place: int) -> tuple[str, int]:
        """Read an object of arguments; return its text and where it ends."""
        end = self._span(place) if self._text.startswith("{", place) else None
        if end is None:
            raise _BrokenError("the arguments are no JSON object")
        return _arguments(self._text[place:end].encode()), end

    def _values(self, place: int) -> tuple[list[tuple[str, str]], int]:
        spans, end = self._spans(place)
        return [_called(raw) for span in spans for raw in _members(self._text, span)], end

    def _spans(self, place: int) -> tuple[list[tuple[int, int]], int]:
        """Find JSON values that follow each other, at least one."""
        spans: list[tuple[int, int]] = []
        start = place
        while self._text.startswith(("{", "["), start) and len(spans) < MOST_CALLS:
            end = self._span(start)
            if end is None:
                raise _BrokenError("its JSON is broken or cut off")
            spans.append((start, end))
            start = _skip(_BETWEEN, self._text, end)
        if not spans:
            raise _BrokenError("no JSON object follows")
        return spans, spans[-1][1]

    def _span(self, place: int) -> int | None:
        """Return where the JSON value ends that begins here; None where it does not end.

        Only strings and brackets are looked at. What cannot be JSON ends the search, so that a
        text full of unclosed calls is not read to its end for each of them.
        """
        depth = 0
        for token in _JSON_TOKEN.finditer(self._text, place):
            match token.group():
                case "{" | "[":
                    depth += 1
                case "}" | "]":
                    depth -= 1
                case string if len(string) > 1:
                    continue
                case _:
                    return None
            if depth == 0:
                return token.end()
            if depth > _DEEPEST:
                return None
        return None

    # ------------------------------------------------------------ bare calls

    def _all_bare(self, place: int) -> bool:
        """Take the rest as bare calls, where it is nothing else and nothing was said before."""
        place = self._skip(place)
        alone = self._bare and not self._count and not "".join(self._said).strip()
        if not alone or not self._text.startswith(("{", "[", "```"), place):
            return False
        try:
            values = list(self._bare_values(place))
        except _BrokenError:
            return False
        found = [self._bare_call(text) for text, _, _ in values]
        if not any(isinstance(call, tuple) and self._is_known(call[0]) for call in found):
            return False
        for call, (_, start, end) in zip(found, values, strict=True):
            if isinstance(call, tuple):
                self._call(*call, start, end)
            else:
                self._broken(start, end, call)
        return True

    def _bare_values(self, place: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield the objects that the rest of the text consists of, and where they stand."""
        while place < len(self._text):
            fence = _FENCE.match(self._text, place)
            spans, end = self._spans(self._skip(fence.end() if fence else place))
            if fence:
                end = self._expect("```", end)
            for span in spans:
                for raw in _members(self._text, span):
                    yield raw, *span
            place = _skip(_BETWEEN, self._text, end)

    def _bare_call(self, raw: bytes) -> tuple[str, str] | str:
        """Read one object; return the call, or why it is none."""
        try:
            return _called(raw)
        except _BrokenError as error:
            return str(error)

    def _broken_bare(self) -> None:
        """Find bare calls that are broken, or do not stand alone: the reply begins with one."""
        said = "".join(self._said)
        starts = [m for m in _BARE_START.finditer(said) if self._is_known(m.group(1))]
        if not self._bare or not starts or said[: starts[0].start()].strip():
            return

    # ------------------------------------------------------------ helpers

    def _is_known(self, name: str) -> bool:
        return self._specs is None or name in self._specs

    def _skip(self, place: int) -> int:
        return _skip(_SPACE, self._text, place)

    def _expect(self, closer: str, place: int) -> int:
        place = self._skip(place)
        if not self._text.startswith(closer, place):
            raise _BrokenError(f"it is not closed with {closer}")
        return place + len(closer)

    def _id(self) -> str:
        return f"call-{self._turn}-{self._count}"

    def _call(self, name: str, arguments: str, start: int, end: int) -> None:
        call = WrittenCall(
            id=self._id(), name=name, arguments=arguments, start=start, end=end
        )
        self._calls.append(call)

    def _broken(self, start: int, end: int, why: str) -> int:
        text = self._text[start:end]
        self._malformed.append(
            MalformedCall(id=self._id(), text=text, why=why, start=start, end=end)
        )
        return end


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def _members(text: str, span: tuple[int, int]) -> list[bytes]:
    """Return the objects of a value: itself, or those of a list."""
    raw = text[span[0] : span[1]].encode()
    if raw[:1] == b"{":
        return [raw]
    try:
        return [bytes(member) for member in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError) as error:
        raise _BrokenError(f"its JSON is broken: {error}") from error


def _called(raw: bytes) -> tuple[str, str]:
    """Read an object that makes a call; return its name and the text of its arguments."""
    try:
        called = msgspec.json.decode(raw, type=_Called)
    except (msgspec.DecodeError, RecursionError) as error:
        called = _unwrapped(raw, error)
    body = called.parameters if called.arguments is msgspec.UNSET else called.arguments
    if not isinstance(body, msgspec.Raw):
        raise _BrokenError('it has no "arguments"')
    return called.name, _arguments(bytes(body))


def _unwrapped(raw: bytes, error: Exception) -> _Called:
    try:
        return msgspec.json.decode(raw, type=_Wrapped).function
    except (msgspec.DecodeError, RecursionError):
        raise _BrokenError(f"it is no JSON object with name and arguments: {error}") from error


def _arguments(raw: bytes) -> str:
    """Check that this is a JSON object, or a string that holds one; return the object's text."""
    try:
        if raw[:1] == b'"':
            raw = msgspec.json.decode(raw, type=str).encode()
        msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _BrokenError(f"its arguments are no JSON object: {error}") from error
    return raw.decode()


# ---------------------------------------------------------------- arguments between tags


def _typed(written: Mapping[str, str], spec: ToolSpec | None) -> str:
    """Return arguments as JSON text, each as the type that the tool's schema gives it."""
    kinds = {} if spec is None else _kinds(spec)
    typed = {key: _as(kinds.get(key), text) for key, text in written.items()}
    return msgspec.json.encode(typed).decode()


def _kinds(spec: ToolSpec) -> dict[str, Json]:
    schema = msgspec.json.decode(spec.parameters)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return cast("dict[str, Json]", properties) if isinstance(properties, dict) else {}


def _as(schema: Json, text: str) -> Json:
    return text
