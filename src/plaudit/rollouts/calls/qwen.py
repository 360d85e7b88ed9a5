"""Calls as Qwen3-Coder, Qwen 3.5 and Nemotron 3 write them: values without quotes in tags."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.hermes import CLOSER, OPENER, shared_end
from plaudit.rollouts.calls.objects import (
    BrokenCallError,
    Called,
    arguments,
    skip,
    typed,
    value_end,
)
from plaudit.rollouts.calls.syntax import Attempt, Found, Specs, Syntax, expect, is_name, plain
from plaudit.types import Json

FUNCTION, FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"
_TAGS = (FUNCTION, FUNCTION_END, _PARAMETER, _PARAMETER_END)
_HEAD = re.compile(r"<function=([^<>\n]{1,128})>\s*+")
_KEY = re.compile(r"<parameter=([^<>\n]{1,128})>")
_VALUE_END = re.compile("</parameter>|<parameter=|</function>|<function=")


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

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
        """Read a function, and its closing tag where it had an opening one."""
        if text.startswith(FUNCTION, start):
            return read_function(text, start, specs)
        after = skip(text, place)
        if not text.startswith(FUNCTION, after):
            raise BrokenCallError(f"no {FUNCTION} follows", place)
        found = read_function(text, after, specs)
        end = expect(text, CLOSER, found.end)
        return shared_end(Found([one._replace(start=start) for one in found.attempts], end), end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a function between tags."""
        lines = [OPENER, f"{FUNCTION}{name}>"]
        for key, value in arguments.items():
            text = plain(value)
            if not is_name(key) or any(tag in text for tag in _TAGS):
                raise self.refuse(key)
            lines += [f"{_PARAMETER}{key}>", text, _PARAMETER_END]
        return "\n".join([*lines, FUNCTION_END, CLOSER])


def read_function(text: str, place: int, specs: Specs) -> Found:
    """Read `<function=NAME>` with an object or parameters.

    Raises:
        BrokenCallError: it is something else, or is not closed.
    """
    head = _HEAD.match(text, place)
    if head is None:
        raise BrokenCallError("the function has no name", place + len(FUNCTION))
    name = head.group(1).strip()
    if text.startswith("{", head.end()):
        end = value_end(text, head.end())
        body = arguments(text[head.end() : end].encode(), end)
    else:
        written, end = _parameters(text, head.end())
        body = typed(written, (specs or {}).get(name))
    end = expect(text, FUNCTION_END, end)
    return Found([Attempt(Called(name, body), place, end)], end)


def _parameters(text: str, place: int) -> tuple[dict[str, str], int]:
    written: dict[str, str] = {}
    while (parameter := _KEY.match(text, place)) is not None:
        key = parameter.group(1).strip()
        if key in written:
            raise BrokenCallError(f"argument {key!r} is given twice", place)
        end = _VALUE_END.search(text, parameter.end())
        if end is None or end.group() != _PARAMETER_END:
            why = f"argument {key!r} is not closed with {_PARAMETER_END}"
            raise BrokenCallError(why, end.start() if end else len(text))
        value = text[parameter.end() : end.start()]
        written[key] = value.removeprefix("\n").removesuffix("\n")
        place = skip(text, end.end())
    return written, place
