"""Calls as DeepSeek V3, R1 and V3.1 write them."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.objects import BrokenCallError, Called, arguments, skip, value_end
from plaudit.rollouts.calls.syntax import Block, Specs, spaced
from plaudit.types import Json

_BAR, _GAP = "\uff5c", "\u2581"
_NAME = re.compile(r"[\w.:/-]{1,128}")
_FENCE = re.compile(r"```\w{0,16}\s*+")


def _pattern(words: str) -> re.Pattern[str]:
    """Match a mark, whose words some conversions of the models join with an underscore."""
    return re.compile(f"<{_BAR}{words.replace(' ', f'[{_GAP}_]')}{_BAR}>")


def _marks(*marks: str) -> tuple[str, ...]:
    return tuple(
        f"<{_BAR}{words.replace(' ', gap)}{_BAR}>" for gap in (_GAP, "_") for words in marks
    )


_SEPARATOR = _pattern("tool sep")


class DeepSeek(Block):
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
        place = skip(text, fence.end() if fence else place)
        if not text.startswith("{", place):
            raise BrokenCallError("no JSON object follows", place)
        end = value_end(text, place)
        body = arguments(text[place:end].encode(), end)
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
    found = _NAME.match(text, skip(text, place))
    if found is None:
        raise BrokenCallError("no name of a tool follows", place)
    return found.group(), skip(text, found.end())
