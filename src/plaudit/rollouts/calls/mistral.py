"""Calls as Mistral's instruct models write them."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.hermes import read_values
from plaudit.rollouts.calls.objects import Called, arguments, skip, value_end
from plaudit.rollouts.calls.syntax import Attempt, Found, Specs, Syntax, spaced
from plaudit.types import Json

OPENER = "[TOOL_CALLS]"
_ARGS = re.compile(r"([\w.-]{1,128})(?:\[CALL_ID\]\w{1,64})?(?:\[ARGS\])?\s*+(?=\{)")


class Mistral(Syntax):
    """A list after `[TOOL_CALLS]`, or `[TOOL_CALLS]NAME[ARGS]{...}`.

    The marks are special tokens, which engines may leave out of the text: a bare list, or
    `NAME{...}` of a known tool.
    """

    form = "mistral"
    openers = (OPENER,)
    inner = ("[ARGS]", "[CALL_ID]")
    needs_marks = False
    how = "write a JSON list of calls after this mark"
    several = "For several calls write all of them in that list."

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
        """Read what follows the mark."""
        del specs
        place = skip(text, place)
        named = read_named(text, place)
        if named is None:
            return read_values(text, start, place)
        return Found([named._replace(start=start)], named.end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a list of one call."""
        return f"{OPENER}[{spaced({'name': name, 'arguments': dict(arguments)})}]"


def read_named(text: str, place: int) -> Attempt | None:
    """Read `NAME{...}`, with the marks between them or without; None where there is none.

    Raises:
        BrokenCallError: its arguments are broken.
    """
    named = _ARGS.match(text, place)
    if named is None:
        return None
    end = value_end(text, named.end())
    body = arguments(text[named.end() : end].encode(), end)
    return Attempt(Called(named[1], body), place, end)
