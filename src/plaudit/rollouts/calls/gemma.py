"""Calls as Gemma 4 and FunctionGemma write them: values between quotes of their own."""

import re
from collections.abc import Mapping

from plaudit.rollouts.calls.objects import BrokenCallError, Called
from plaudit.rollouts.calls.syntax import Attempt, Found, Specs, Syntax, expect, is_name
from plaudit.rollouts.calls.values import ValueReader, as_json, python_quoted
from plaudit.types import Json

_MARKS = {"<|tool_call>": "<tool_call|>", "<start_function_call>": "<end_function_call>"}
_QUOTE = '<|"|>'
_QUOTES = (_QUOTE, "<escape>")
_HEAD = re.compile(r"\s*+call:\s*+([\w.:/-]{1,128}?)\s*+(?=\{)")
_KEY = re.compile(r"[^:{}\[\],<>\"'\s][^:{}\[\],<>\"'\n]{0,127}")


class Gemma(Syntax):
    """`<|tool_call>call:NAME{KEY:VALUE,...}<tool_call|>`, texts between `<|"|>`."""

    form = "gemma"
    openers = tuple(_MARKS)
    closers = tuple(_MARKS.values())
    inner = _QUOTES
    named = r"\bcall:([\w.:/-]{1,128})\{"
    how = "write its name and its arguments between these marks, each text between its own quotes"

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
        """Read a call."""
        del specs
        head = _HEAD.match(text, place)
        if head is None:
            raise BrokenCallError("no name of a tool follows", place)
        values, end = _READER.members(text, head.end())
        body = as_json(values, end)
        end = expect(text, _MARKS[text[start:place]], end)
        return Found([Attempt(Called(head[1], body), start, end)], end)

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a call."""
        begin, end = self.openers[0], self.closers[0]
        return f"{begin}call:{name}{self._members(arguments)}{end}"

    def _members(self, values: Mapping[str, Json]) -> str:
        members = [f"{self._key(key)}:{self._value(key, value)}" for key, value in values.items()]
        return f"{{{','.join(members)}}}"

    def _key(self, key: str) -> str:
        if not is_name(key) or not _KEY.fullmatch(key):
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


_READER = ValueReader(_quoted, _KEY)
