"""Calls as GLM 4.5 and its successors write them: a name, then keys and values between tags."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.hermes import CLOSER, OPENER
from plaudit.rollouts.calls.objects import BrokenCallError, Called, respaced, skip, typed
from plaudit.rollouts.calls.syntax import Attempt, Found, Specs, Syntax, expect, is_name, plain
from plaudit.types import Json

_KEY, _KEY_END = "<arg_key>", "</arg_key>"
_VALUE, _VALUE_END = "<arg_value>", "</arg_value>"
_TAGS = (_KEY, _KEY_END, _VALUE, _VALUE_END)
_HEAD = re.compile(r"\s*+([\w.:/-]{1,128})\s*+(?=<arg_key>|</tool_call>|\Z)")
_ARGUMENT = re.compile(r"<arg_key>([^<>\n]{1,128})</arg_key>\s*+<arg_value>")
_STOP = re.compile("|".join(_TAGS))


class Glm(Syntax):
    """`<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`."""

    form = "glm"
    openers = (OPENER,)
    closers = (CLOSER,)
    inner = _TAGS
    named = r"<tool_call>\s*+([\w.:/-]{1,128})\s*+<arg_key>"
    how = "write its name, then each of its arguments between tags, in this form"

    def claims(self, text: str, place: int, specs: Specs) -> bool:
        """Whether a name and tags of arguments follow, or the name of a known tool."""
        head = _HEAD.match(text, place)
        return head is not None and (text.startswith(_KEY, head.end()) or head[1] in (specs or ()))

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
        """Read a call."""
        head = _HEAD.match(text, place)
        if head is None:
            raise BrokenCallError("no name of a tool follows", place)
        name = head[1]
        written, place = _arguments(text, head.end())
        end = expect(text, CLOSER, place)
        body = respaced(typed(written, (specs or {}).get(name)))
        return Found([Attempt(Called(name, body), start, end)], end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a call."""
        lines = [f"{OPENER}{name}"]
        for key, value in arguments.items():
            text = plain(value)
            if not is_name(key) or any(tag in text for tag in _TAGS):
                raise self.refuse(key)
            lines += [f"{_KEY}{key}{_KEY_END}", f"{_VALUE}{text}{_VALUE_END}"]
        return "\n".join([*lines, CLOSER])


def _arguments(text: str, place: int) -> tuple[dict[str, str], int]:
    written: dict[str, str] = {}
    while (argument := _ARGUMENT.match(text, place)) is not None:
        key = argument[1].strip()
        if key in written:
            raise BrokenCallError(f"argument {key!r} is given twice", place)
        end = _STOP.search(text, argument.end())
        if end is None or end.group() != _VALUE_END:
            why = f"argument {key!r} is not closed with {_VALUE_END}"
            raise BrokenCallError(why, end.start() if end else len(text))
        written[key] = text[argument.end() : end.start()]
        place = skip(text, end.end())
    return written, place
