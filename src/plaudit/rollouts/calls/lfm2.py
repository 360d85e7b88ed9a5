"""Calls as LFM2 writes them: a list of calls as in Python."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.hermes import read_values, shared_end
from plaudit.rollouts.calls.objects import BrokenCallError, Called, skip, skip_between
from plaudit.rollouts.calls.syntax import (
    MOST_CALLS,
    Attempt,
    Found,
    Specs,
    Syntax,
    expect,
)  # fmt: skip
from plaudit.rollouts.calls.values import (
    ValueReader,
    as_json,
    next_one,
    python_quoted,
    python_written,
)
from plaudit.types import Json

_OPENER, _CLOSER = "<|tool_call_start|>", "<|tool_call_end|>"
_HEAD = re.compile(r"\s*+([^\W\d][\w.:/-]{0,127})\s*+\(")
_KEY = re.compile(r"([^\W\d]\w{0,127})\s*+=\s*+")
_JSON = re.compile(r"\s*+\[?\s*+\{")


class Lfm2(Syntax):
    """`[NAME(KEY=VALUE, ...), ...]` between marks; a list of JSON objects is read as well."""

    form = "lfm2"
    openers = (_OPENER,)
    closers = (_CLOSER,)
    named = r"<\|tool_call_start\|>\s*+\[?\s*+([^\W\d][\w.:/-]{0,127})\s*+\("
    how = "write it as a list of calls in Python between these marks, each argument by its name"
    several = "For several calls write all of them in that list."

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
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
            if not _KEY.fullmatch(f"{key}="):
                raise self.refuse(key)
        written = (f"{key}={python_written(value)}" for key, value in arguments.items())
        return f"{_OPENER}[{name}({', '.join(written)})]{_CLOSER}"


_READER = ValueReader(python_quoted)


def _python_calls(text: str, start: int, place: int) -> Found:
    place = skip(text, place)
    listed = text.startswith("[", place)
    place = place + 1 if listed else place
    calls: list[Called] = []
    while len(calls) < MOST_CALLS and (head := _HEAD.match(text, place)) is not None:
        values, end = _arguments(text, skip(text, head.end()))
        calls.append(Called(head[1], as_json(values, end)))
        place = skip_between(text, end)
    if not calls:
        raise BrokenCallError("no call follows", place)
    if listed:
        place = expect(text, "]", place)
    return Found([Attempt(call, start, place) for call in calls], place)


def _arguments(text: str, place: int) -> tuple[dict[str, Json], int]:
    found: dict[str, Json] = {}
    while not text.startswith(")", place):
        key = _KEY.match(text, place)
        if key is None:
            raise BrokenCallError("an argument has no name", place)
        if key[1] in found:
            raise BrokenCallError(f"argument {key[1]!r} is given twice", place)
        found[key[1]], place = _READER.value(text, key.end())
        place = next_one(text, place, ")")
    return found, place + 1
