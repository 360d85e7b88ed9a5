"""Calls as Kimi K2 writes them: an id that names the tool, and a JSON object."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.objects import BrokenCallError, Called, arguments, skip, value_end
from plaudit.rollouts.calls.syntax import Block, Specs, spaced
from plaudit.types import Json

_ARGUMENTS = "<|tool_call_argument_begin|>"
_ID = re.compile(r"\s*+((?:functions\.)?([^\s<>:]{1,128})(?::\d{1,9})?)\s*+")


class Kimi(Block):
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
        place = skip(text, named.end() + len(_ARGUMENTS))
        if not text.startswith("{", place):
            raise BrokenCallError("no JSON object follows", place)
        end = value_end(text, place)
        body = arguments(text[place:end].encode(), end)
        closed = self.finish.match(text, skip(text, end))
        if closed is None:
            raise BrokenCallError("it is not closed", end)
        return Called(named[2], body, named[1]), closed.end()

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a section of one call."""
        begin, end = self.openers, self.closers
        body = f"functions.{name}:0{_ARGUMENTS}{spaced(dict(arguments))}"
        return f"{begin[0]}{begin[1]}{body}{end[0]}{end[1]}"
