"""Calls as MiniMax M1 and M2, DeepSeek V3.2 and others write them: `invoke` tags in a block."""

import re
from collections.abc import Mapping
from functools import cache

import msgspec

from plaudit.rollouts.calls.hermes import read_values, shared_end
from plaudit.rollouts.calls.objects import BrokenCallError, Called, respaced, skip, typed
from plaudit.rollouts.calls.syntax import Block, Found, Specs, is_name, plain
from plaudit.rollouts.calls.values import as_json
from plaudit.types import Json

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


class MiniMax(Block):
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

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
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
        tags = _tags(begin[1])
        written, sure, place = _parameters(text, begin.end(), tags)
        closed = tags.end.match(text, place)
        if closed is None:
            raise BrokenCallError("it is not closed with </invoke>", place)
        body = typed(written, (specs or {}).get(name))
        if sure:
            body = as_json(msgspec.json.decode(body, type=dict[str, object]) | sure, place)
        return Called(name, respaced(body)), closed.end()

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a block of one call, as M2 does."""
        lines = [self.openers[0], f'<invoke name="{name}">']
        for key, value in arguments.items():
            text = plain(value)
            if not is_name(key) or _tags("").stop.search(text):
                raise self.refuse(key)
            lines.append(f'<parameter name="{key}">{text}</parameter>')
        return "\n".join([*lines, "</invoke>", self.closers[0]])


class _Tags(msgspec.Struct, frozen=True):
    """What stands within a call, for one prefix."""

    parameter: re.Pattern[str]
    stop: re.Pattern[str]
    """Ends a value; anything but the closing tag breaks it."""
    end: re.Pattern[str]


@cache
def _tags(prefix: str) -> _Tags:
    mark = re.escape(prefix)
    return _Tags(
        re.compile(
            rf"<{mark}parameter\s+name=[\"']?([^\"'<>\n]{{1,128}}?)[\"']?"
            r"(?:\s+string=[\"']?(true|false)[\"']?)?\s*>"
        ),
        re.compile(rf"(</{mark}parameter>)|<{mark}parameter\s|</{mark}invoke>|<{mark}invoke\s"),
        re.compile(rf"</{mark}invoke>"),
    )


def _parameters(text: str, place: int, tags: _Tags) -> tuple[dict[str, str], dict[str, Json], int]:
    """Return values whose type the schema says, those that say it themselves, and their end."""
    written: dict[str, str] = {}
    sure: dict[str, Json] = {}
    while (parameter := tags.parameter.match(text, place)) is not None:
        key = parameter[1].strip()
        if key in written or key in sure:
            raise BrokenCallError(f"argument {key!r} is given twice", place)
        end = tags.stop.search(text, parameter.end())
        if end is None or not end[1]:
            why = f"argument {key!r} is not closed with </parameter>"
            raise BrokenCallError(why, end.start() if end else len(text))
        value = text[parameter.end() : end.start()]
        match parameter[2]:
            case "true":
                sure[key] = value
            case "false":
                sure[key] = _json(key, value, end.start())
            case _:
                written[key] = value
        place = skip(text, end.end())
    return written, sure, place


def _json(key: str, value: str, place: int) -> Json:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BrokenCallError(f"argument {key!r} is no JSON: {error}", place) from error
