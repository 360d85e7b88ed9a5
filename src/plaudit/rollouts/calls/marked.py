"""Calls between special tokens: Mistral, Kimi, DeepSeek, LFM2 and Gemma."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    Called,
    object_at,
    skip,
    skip_between,
)
from plaudit.rollouts.calls.syntax import (
    MOST_CALLS,
    CallAttempt,
    CallBlock,
    CallsFound,
    Specs,
    Syntax,
    expect,
    is_name,
    spaced,
)
from plaudit.rollouts.calls.tagged import read_values, shared_end
from plaudit.rollouts.calls.values import (
    ValueReader,
    as_json,
    next_one,
    python_quoted,
    python_written,
)
from plaudit.types import Json

_TOOL_CALLS = "[TOOL_CALLS]"
_ARGS = re.compile(r"([\w.-]{1,128})(?:\[CALL_ID\]\w{1,64})?(?:\[ARGS\])?\s*+(?=\{)")


class Mistral(Syntax):
    """A list after `[TOOL_CALLS]`, or `[TOOL_CALLS]NAME[ARGS]{...}`.

    The marks are special tokens, which engines may leave out of the text: a bare list, or
    `NAME{...}` of a known tool.
    """

    form = "mistral"
    openers = (_TOOL_CALLS,)
    inner = ("[ARGS]", "[CALL_ID]")
    needs_marks = False
    how = "write a JSON list of calls after this mark"
    several = "For several calls write all of them in that list."

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read what follows the mark."""
        del specs
        place = skip(text, place)
        named = read_named(text, place)
        if named is None:
            return read_values(text, start, place)
        return CallsFound([named._replace(start=start)], named.end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a list of one call."""
        return f"{_TOOL_CALLS}[{spaced({'name': name, 'arguments': dict(arguments)})}]"


def read_named(text: str, place: int) -> CallAttempt | None:
    """Read `NAME{...}`, with the marks between them or without; None where there is none.

    Raises:
        BrokenCallError: its arguments are broken.
    """
    named = _ARGS.match(text, place)
    if named is None:
        return None
    body, end = object_at(text, named.end())
    return CallAttempt(Called(named[1], body), place, end)


_ARGUMENTS = "<|tool_call_argument_begin|>"
_ID = re.compile(r"\s*+((?:functions\.)?([^\s<>:]{1,128})(?::\d{1,9})?)\s*+")


class Kimi(CallBlock):
    """`functions.NAME:NUMBER` and an object between marks, in a section."""

    form = "kimi"
    openers = ("<|tool_calls_section_begin|>", "<|tool_call_begin|>")
    closers = ("<|tool_call_end|>", "<|tool_calls_section_end|>")
    inner = (_ARGUMENTS,)
    nested = ("<|tool_call_begin|>",)
    named = r"<\|tool_call_begin\|>\s*+(?:functions\.)?([^\s<>:]{1,128})"
    begin = re.compile(re.escape("<|tool_call_begin|>"))
    finish = re.compile(re.escape("<|tool_call_end|>"))
    over = re.compile(re.escape("<|tool_calls_section_end|>"))
    how = "write its name with a number and a JSON object of its arguments between these marks"
    several = "For several calls write one section after the other, each call with its own number."

    def one(self, text: str, begin: re.Match[str], specs: Specs) -> tuple[Called, int]:
        """Read one call."""
        del specs
        named = _ID.match(text, begin.end())
        if named is None:
            raise BrokenCallError("no id of a call follows", begin.end())
        if not text.startswith(_ARGUMENTS, named.end()):
            raise BrokenCallError(f"no {_ARGUMENTS} follows", named.end())
        body, end = object_at(text, named.end() + len(_ARGUMENTS))
        closed = self.finish.match(text, skip(text, end))
        if closed is None:
            raise BrokenCallError("it is not closed", end)
        return Called(named[2], body, named[1]), closed.end()

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a section of one call."""
        begin, end = self.openers, self.closers
        body = f"functions.{name}:0{_ARGUMENTS}{spaced(dict(arguments))}"
        return f"{begin[0]}{begin[1]}{body}{end[0]}{end[1]}"


_BAR, _GAP = "\uff5c", "\u2581"
_DEEPSEEK_NAME = re.compile(r"[\w.:/-]{1,128}")
_FENCE = re.compile(r"```\w{0,16}\s*+")


def _pattern(words: str) -> re.Pattern[str]:
    """Match a mark, whose words some conversions of the models join with an underscore."""
    return re.compile(f"<{_BAR}{words.replace(' ', f'[{_GAP}_]')}{_BAR}>")


def _marks(*marks: str) -> tuple[str, ...]:
    return tuple(
        f"<{_BAR}{words.replace(' ', gap)}{_BAR}>" for gap in (_GAP, "_") for words in marks
    )


_SEPARATOR = _pattern("tool sep")


class DeepSeek(CallBlock):
    """`TYPE sep NAME` and arguments in a fence (V3, R1), or `NAME sep {...}` (V3.1), in a block."""

    form = "deepseek"
    openers = _marks("tool calls begin", "tool call begin")
    closers = _marks("tool call end", "tool calls end")
    inner = _marks("tool sep")
    nested = (openers[1], openers[3])
    named = (
        _pattern("tool call begin").pattern
        + rf"\s*+(?:function{_pattern('tool sep').pattern})?\s*+([\w.:/-]{{1,128}})"
    )
    begin = _pattern("tool call begin")
    finish = _pattern("tool call end")
    over = _pattern("tool calls end")
    how = "write its name and a JSON object of its arguments between these marks"
    several = "For several calls write one block after the other."

    def one(self, text: str, begin: re.Match[str], specs: Specs) -> tuple[Called, int]:
        """Read one call."""
        del specs
        first, place = _name(text, begin.end())
        separator = _SEPARATOR.match(text, place)
        if separator is None:
            raise BrokenCallError("its name is not followed by the separator", place)
        place = skip(text, separator.end())
        name = first
        if not text.startswith("{", place):
            name, place = _name(text, place)
        fence = _FENCE.match(text, skip(text, place))
        body, end = object_at(text, fence.end() if fence else place)
        end = skip(text, end)
        if fence:
            if not text.startswith("```", end):
                raise BrokenCallError("its fence is not closed", end)
            end = skip(text, end + 3)
        closed = self.finish.match(text, end)
        if closed is None:
            raise BrokenCallError("it is not closed", end)
        return Called(name, body), closed.end()

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a block of one call, as V3.1 does."""
        body = f"{name}{self.inner[0]}{spaced(dict(arguments))}"
        begin, end = self.openers, self.closers
        return f"{begin[0]}{begin[1]}{body}{end[0]}{end[1]}"


def _name(text: str, place: int) -> tuple[str, int]:
    found = _DEEPSEEK_NAME.match(text, skip(text, place))
    if found is None:
        raise BrokenCallError("no name of a tool follows", place)
    return found.group(), skip(text, found.end())


_OPENER, _CLOSER = "<|tool_call_start|>", "<|tool_call_end|>"
_PYTHON_HEAD = re.compile(r"\s*+([^\W\d][\w.:/-]{0,127})\s*+\(")
_PYTHON_KEY = re.compile(r"([^\W\d]\w{0,127})\s*+=\s*+")
_JSON = re.compile(r"\s*+\[?\s*+\{")


class Lfm2(Syntax):
    """`[NAME(KEY=VALUE, ...), ...]` between marks; a list of JSON objects is read as well."""

    form = "lfm2"
    openers = (_OPENER,)
    closers = (_CLOSER,)
    named = r"<\|tool_call_start\|>\s*+\[?\s*+([^\W\d][\w.:/-]{0,127})\s*+\("
    how = "write it as a list of calls in Python between these marks, each argument by its name"
    several = "For several calls write all of them in that list."

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read a list of calls."""
        del specs
        if _JSON.match(text, place):
            found = read_values(text, start, skip(text, place))
        else:
            found = _python_calls(text, start, place)
        return shared_end(found, expect(text, _CLOSER, found.end))

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a list of one call."""
        for key in arguments:
            if not _PYTHON_KEY.fullmatch(f"{key}="):
                raise self.refuse(key)
        written = (f"{key}={python_written(value)}" for key, value in arguments.items())
        return f"{_OPENER}[{name}({', '.join(written)})]{_CLOSER}"


_PYTHON_VALUES = ValueReader(python_quoted)


def _python_calls(text: str, start: int, place: int) -> CallsFound:
    place = skip(text, place)
    listed = text.startswith("[", place)
    place = place + 1 if listed else place
    calls: list[Called] = []
    while len(calls) < MOST_CALLS and (head := _PYTHON_HEAD.match(text, place)) is not None:
        values, end = _python_arguments(text, skip(text, head.end()))
        calls.append(Called(head[1], as_json(values, end)))
        place = skip_between(text, end)
    if not calls:
        raise BrokenCallError("no call follows", place)
    if listed:
        place = expect(text, "]", place)
    return CallsFound([CallAttempt(call, start, place) for call in calls], place)


def _python_arguments(text: str, place: int) -> tuple[dict[str, Json], int]:
    found: dict[str, Json] = {}
    while not text.startswith(")", place):
        key = _PYTHON_KEY.match(text, place)
        if key is None:
            raise BrokenCallError("an argument has no name", place)
        if key[1] in found:
            raise BrokenCallError(f"argument {key[1]!r} is given twice", place)
        found[key[1]], place = _PYTHON_VALUES.value(text, key.end())
        place = next_one(text, place, ")")
    return found, place + 1


_MARKS = {"<|tool_call>": "<tool_call|>", "<start_function_call>": "<end_function_call>"}
_QUOTE = '<|"|>'
_QUOTES = (_QUOTE, "<escape>")
_GEMMA_HEAD = re.compile(r"\s*+call:\s*+([\w.:/-]{1,128}?)\s*+(?=\{)")
_GEMMA_KEY = re.compile(r"[^:{}\[\],<>\"'\s][^:{}\[\],<>\"'\n]{0,127}")


class Gemma(Syntax):
    """`<|tool_call>call:NAME{KEY:VALUE,...}<tool_call|>`, texts between `<|"|>`."""

    form = "gemma"
    openers = tuple(_MARKS)
    closers = tuple(_MARKS.values())
    inner = _QUOTES
    named = r"\bcall:([\w.:/-]{1,128})\{"
    how = "write its name and its arguments between these marks, each text between its own quotes"

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read a call."""
        del specs
        head = _GEMMA_HEAD.match(text, place)
        if head is None:
            raise BrokenCallError("no name of a tool follows", place)
        values, end = _GEMMA_VALUES.members(text, head.end())
        body = as_json(values, end)
        end = expect(text, _MARKS[text[start:place]], end)
        return CallsFound([CallAttempt(Called(head[1], body), start, end)], end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a call."""
        begin, end = self.openers[0], self.closers[0]
        return f"{begin}call:{name}{self._members(arguments)}{end}"

    def _members(self, values: Mapping[str, Json]) -> str:
        members = [f"{self._key(key)}:{self._value(key, value)}" for key, value in values.items()]
        return f"{{{','.join(members)}}}"

    def _key(self, key: str) -> str:
        if not is_name(key) or not _GEMMA_KEY.fullmatch(key):
            raise self.refuse(key)
        return key

    def _value(self, key: str, value: Json) -> str:
        match value:
            case str():
                if _QUOTE in value:
                    raise self.refuse(key)
                return f"{_QUOTE}{value}{_QUOTE}"
            case dict():
                return self._members(value)  # pyright: ignore[reportUnknownArgumentType]
            case list():
                return f"[{','.join(self._value(key, one) for one in value)}]"  # pyright: ignore[reportUnknownVariableType]
            case bool() | None:
                return {True: "true", False: "false", None: "null"}[value]
            case _:
                return str(value)


def _quoted(text: str, place: int) -> tuple[str, int] | None:
    for quote in _QUOTES:
        if text.startswith(quote, place):
            end = text.find(quote, place + len(quote))
            if end < 0:
                raise BrokenCallError("it breaks off within a text", len(text))
            return text[place + len(quote) : end], end + len(quote)
    return python_quoted(text, place)


_GEMMA_VALUES = ValueReader(_quoted, _GEMMA_KEY)
