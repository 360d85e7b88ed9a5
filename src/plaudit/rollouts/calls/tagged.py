"""Calls between tags: Hermes, Qwen, GLM, Llama 3 and MiniMax, and bare JSON objects."""

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import msgspec

from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    Called,
    called,
    members,
    object_at,
    respaced,
    skip,
    typed,
    value_spans,
)
from plaudit.rollouts.calls.syntax import (
    CallAttempt,
    CallBlock,
    CallsFound,
    Specs,
    Syntax,
    expect,
    is_name,
    plain,
    spaced,
)
from plaudit.rollouts.calls.values import as_json
from plaudit.types import Json

OPENER, CLOSER = "<tool_call>", "</tool_call>"


class _Value(NamedTuple):
    """The value of an argument, as it was written between tags."""

    key: str
    head: re.Match[str]
    """What begins it; the first group is the key."""
    text: str
    end: int


class _Pairs(NamedTuple):
    """How the keys and values of arguments stand between tags."""

    head: re.Pattern[str]
    """Matches the key, in its first group, and all up to the value."""
    stop: re.Pattern[str]
    """Matches what can end a value; only the first group closes it rightly."""
    closer: str
    """Name of the closing tag, for messages."""

    def read(self, text: str, place: int) -> tuple[list[_Value], int]:
        """Read the arguments after a place; return where they end.

        Raises:
            BrokenCallError: a key stands twice, or a value is not closed.
        """
        found: dict[str, _Value] = {}
        while (head := self.head.match(text, place)) is not None:
            key = head[1].strip()
            if key in found:
                raise BrokenCallError(f"argument {key!r} is given twice", place)
            end = self.stop.search(text, head.end())
            if end is None or not end[1]:
                why = f"argument {key!r} is not closed with {self.closer}"
                raise BrokenCallError(why, end.start() if end else len(text))
            found[key] = _Value(key, head, text[head.end() : end.start()], end.start())
            place = skip(text, end.end())
        return list(found.values()), place


class Hermes(Syntax):
    """`<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, or a list between the tags."""

    form = "hermes"
    openers = (OPENER,)
    closers = (CLOSER,)
    named = r'"name"\s*+:\s*+"([^"\\]{1,128})"'
    how = "write one JSON object between these tags"

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read the objects between the tags."""
        del specs
        found = read_values(text, start, skip(text, place))
        return shared_end(found, expect(text, CLOSER, found.end))

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write one object between tags."""
        called = spaced({"name": name, "arguments": dict(arguments)})
        return f"{OPENER}\n{called}\n{CLOSER}"


def read_values(text: str, start: int, place: int) -> CallsFound:
    """Read calls as JSON objects, one or several after each other, or in lists.

    Raises:
        BrokenCallError: there is none, or one of them is broken.
    """
    spans = value_spans(text, place)
    calls = [called(raw, span[1]) for span in spans for raw in members(text, span)]
    end = spans[-1][1]
    return CallsFound([CallAttempt(call, start, end) for call in calls], end)


def shared_end(found: CallsFound, end: int) -> CallsFound:
    """Let calls reach to the end of their closing tag."""
    return CallsFound([attempt._replace(end=end) for attempt in found.attempts], end)


FUNCTION, FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"
_FUNCTION_TAGS = (FUNCTION, FUNCTION_END, _PARAMETER, _PARAMETER_END)
_FUNCTION_HEAD = re.compile(r"<function=([^<>\n]{1,128})>\s*+")
_PARAMETERS = _Pairs(
    re.compile(r"<parameter=([^<>\n]{1,128})>"),
    re.compile("(</parameter>)|<parameter=|</function>|<function="),
    _PARAMETER_END,
)


class Qwen(Syntax):
    """`<function=NAME><parameter=KEY>VALUE</parameter></function>`, in `<tool_call>` or not."""

    form = "qwen"
    openers = (OPENER, FUNCTION)
    closers = (CLOSER,)
    inner = (FUNCTION_END, _PARAMETER, _PARAMETER_END)
    nested = (FUNCTION,)
    named = r"<function=([^<>\n]{1,128})>"
    how = "write its name and each of its arguments between tags, in this form"

    def claims(self, text: str, place: int, specs: Specs) -> bool:
        """Whether a function follows, or is what begins."""
        del specs
        return text.startswith(FUNCTION, skip(text, place)) or text.endswith(FUNCTION, 0, place)

    def reach(self, opener: str) -> tuple[str, ...]:
        """A call reaches to the end of what began it."""
        return (FUNCTION_END, CLOSER) if opener == FUNCTION else (CLOSER, FUNCTION_END)

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read a function, and its closing tag where it had an opening one."""
        if text.startswith(FUNCTION, start):
            return read_function(text, start, specs)
        after = skip(text, place)
        if not text.startswith(FUNCTION, after):
            raise BrokenCallError(f"no {FUNCTION} follows", place)
        found = read_function(text, after, specs)
        end = expect(text, CLOSER, found.end)
        return shared_end(
            CallsFound([one._replace(start=start) for one in found.attempts], end), end
        )

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a function between tags."""
        lines = [OPENER, f"{FUNCTION}{name}>"]
        for key, value in arguments.items():
            text = plain(value)
            if not is_name(key) or any(tag in text for tag in _FUNCTION_TAGS):
                raise self.refuse(key)
            lines += [f"{_PARAMETER}{key}>", text, _PARAMETER_END]
        return "\n".join([*lines, FUNCTION_END, CLOSER])


def read_function(text: str, place: int, specs: Specs) -> CallsFound:
    """Read `<function=NAME>` with an object or parameters.

    Raises:
        BrokenCallError: it is something else, or is not closed.
    """
    head = _FUNCTION_HEAD.match(text, place)
    if head is None:
        raise BrokenCallError("the function has no name", place + len(FUNCTION))
    name = head.group(1).strip()
    if text.startswith("{", head.end()):
        body, end = object_at(text, head.end())
    else:
        values, end = _PARAMETERS.read(text, head.end())
        written = {v.key: v.text.removeprefix("\n").removesuffix("\n") for v in values}
        body = typed(written, (specs or {}).get(name))
    end = expect(text, FUNCTION_END, end)
    return CallsFound([CallAttempt(Called(name, body), place, end)], end)


_KEY, _KEY_END = "<arg_key>", "</arg_key>"
_VALUE, _VALUE_END = "<arg_value>", "</arg_value>"
_GLM_TAGS = (_KEY, _KEY_END, _VALUE, _VALUE_END)
_GLM_HEAD = re.compile(r"\s*+([\w.:/-]{1,128})\s*+(?=<arg_key>|</tool_call>|\Z)")
_ARGUMENTS = _Pairs(
    re.compile(r"<arg_key>([^<>\n]{1,128})</arg_key>\s*+<arg_value>"),
    re.compile(f"({_VALUE_END})|{_VALUE}|{_KEY}|{_KEY_END}"),
    _VALUE_END,
)


class Glm(Syntax):
    """`<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`."""

    form = "glm"
    openers = (OPENER,)
    closers = (CLOSER,)
    inner = _GLM_TAGS
    named = r"<tool_call>\s*+([\w.:/-]{1,128})\s*+<arg_key>"
    how = "write its name, then each of its arguments between tags, in this form"

    def claims(self, text: str, place: int, specs: Specs) -> bool:
        """Whether a name and tags of arguments follow, or the name of a known tool."""
        head = _GLM_HEAD.match(text, place)
        return head is not None and (text.startswith(_KEY, head.end()) or head[1] in (specs or ()))

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read a call."""
        head = _GLM_HEAD.match(text, place)
        if head is None:
            raise BrokenCallError("no name of a tool follows", place)
        values, place = _ARGUMENTS.read(text, head.end())
        end = expect(text, CLOSER, place)
        written = {value.key: value.text for value in values}
        body = respaced(typed(written, (specs or {}).get(head[1])))
        return CallsFound([CallAttempt(Called(head[1], body), start, end)], end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a call."""
        lines = [f"{OPENER}{name}"]
        for key, value in arguments.items():
            text = plain(value)
            if not is_name(key) or any(tag in text for tag in _GLM_TAGS):
                raise self.refuse(key)
            lines += [f"{_KEY}{key}{_KEY_END}", f"{_VALUE}{text}{_VALUE_END}"]
        return "\n".join([*lines, CLOSER])


_PYTHON_TAG = "<|python_tag|>"


class Bare(Syntax):
    """A bare JSON object. No mark begins it: it counts only where it stands alone."""

    form = "json"
    needs_marks = False
    how = "answer with nothing but one JSON object of this form"
    several = "For several calls write one a line."

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write an object."""
        return spaced({"name": name, "arguments": dict(arguments)})


class Llama(Bare):
    """A bare object, one after `<|python_tag|>`, or `<function=NAME>{...}</function>`."""

    form = "llama"
    openers = (FUNCTION, _PYTHON_TAG)
    inner = (FUNCTION_END,)

    def reach(self, opener: str) -> tuple[str, ...]:
        """A function ends with its tag, objects with their line."""
        return self.inner if opener == FUNCTION else ()

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read what follows a mark."""
        if text.startswith(FUNCTION, start):
            return read_function(text, start, specs)
        return read_values(text, start, skip(text, place))

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write an object."""
        return spaced({"name": name, "parameters": dict(arguments)})


_PREFIX = "(minimax:|antml:|atem:|\uff5cDSML\uff5c|)"
_BLOCK = "(?:tool_call|tool_calls|function_calls)"
_UNMARKED = ("<tool_calls>", "<function_calls>")
_DSML = "<\uff5cDSML\uff5c"
_OPENERS = (
    "<minimax:tool_call>",
    "<atem:function_calls>",
    f"{_DSML}function_calls>",
    f"{_DSML}tool_calls>",
    *_UNMARKED,
)
_FOLLOWS = re.compile(rf"\s*+(?:\{{|\[\s*+\{{|<{_PREFIX}invoke\s)")


class MiniMax(CallBlock):
    """`<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>` in a block.

    The tags may have a prefix. MiniMax M1 writes JSON objects into the block instead.
    """

    form = "minimax"
    openers = _OPENERS
    closers = tuple(opener.replace("<", "</") for opener in _OPENERS)
    inner = ("<invoke", "</invoke>", "<parameter", "</parameter>")
    ordinary = _UNMARKED
    begin = re.compile(rf"<{_PREFIX}invoke\s+name=[\"']?([^\"'<>\n]{{1,128}})[\"']?\s*>\s*+")
    finish = re.compile(rf"</{_PREFIX}invoke>")
    over = re.compile(rf"</{_PREFIX}{_BLOCK}>")
    named = r"<\S{0,16}?invoke\s+name=[\"']?([^\"'<>\n]{1,128})"
    how = "write its name and each of its arguments between tags, in this form"
    several = "For several calls write one `invoke` after the other between the outer tags."

    def claims(self, text: str, place: int, specs: Specs) -> bool:
        """Whether a call follows."""
        del specs
        return _FOLLOWS.match(text, place) is not None

    def reach(self, opener: str) -> tuple[str, ...]:
        """A block ends with its own tag."""
        return (f"</{opener[1:]}",)

    def read(self, text: str, start: int, place: int, specs: Specs) -> CallsFound:
        """Read the calls of a block."""
        inside = skip(text, place)
        if text[inside : inside + 1] not in ("{", "["):
            return super().read(text, start, place, specs)
        found = read_values(text, start, inside)
        closed = self.over.match(text, skip(text, found.end))
        if closed is None:
            raise BrokenCallError("the block is not closed", found.end)
        return shared_end(found, closed.end())

    def one(self, text: str, begin: re.Match[str], specs: Specs) -> tuple[Called, int]:
        """Read one call."""
        name = begin[2].strip()
        values, place = _invoke_parameters(begin[1]).read(text, begin.end())
        closer = f"</{begin[1]}invoke>"
        if not text.startswith(closer, place):
            raise BrokenCallError("it is not closed with </invoke>", place)
        written = {value.key: value.text for value in values if not value.head[2]}
        sure = {value.key: _as_it_says(value) for value in values if value.head[2]}
        body = typed(written, (specs or {}).get(name))
        if sure:
            body = as_json(msgspec.json.decode(body, type=dict[str, object]) | sure, place)
        return Called(name, respaced(body)), place + len(closer)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a block of one call, as M2 does."""
        lines = [self.openers[0], f'<invoke name="{name}">']
        for key, value in arguments.items():
            text = plain(value)
            if not is_name(key) or _invoke_parameters("").stop.search(text):
                raise self.refuse(key)
            lines.append(f'<parameter name="{key}">{text}</parameter>')
        return "\n".join([*lines, "</invoke>", self.closers[0]])


@cache
def _invoke_parameters(prefix: str) -> _Pairs:
    mark = re.escape(prefix)
    return _Pairs(
        re.compile(
            rf"<{mark}parameter\s+name=[\"']?([^\"'<>\n]{{1,128}}?)[\"']?"
            r"(?:\s+string=[\"']?(true|false)[\"']?)?\s*>"
        ),
        re.compile(rf"(</{mark}parameter>)|<{mark}parameter\s|</{mark}invoke>|<{mark}invoke\s"),
        "</parameter>",
    )


def _as_it_says(value: _Value) -> Json:
    """Return a value whose tag says whether it is a string; other values are JSON."""
    if value.head[2] == "true":
        return value.text
    try:
        return msgspec.json.decode(value.text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BrokenCallError(f"argument {value.key!r} is no JSON: {error}", value.end) from error
