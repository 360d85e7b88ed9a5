"""Values of arguments that are neither JSON nor plain text: Python's literals and Gemma's."""

import json
import re
from collections.abc import Callable, Mapping

import msgspec

from plaudit.rollouts.calls.objects import BrokenCallError, skip
from plaudit.types import Json

_DEEPEST = 100
"""Levels that a value may have."""
_WORDS: Mapping[str, Json] = {
    "True": True,
    "true": True,
    "False": False,
    "false": False,
    "None": None,
    "null": None,
}
_WORD = re.compile(r"[A-Za-z]{1,8}(?![\w.])")
_NUMBER = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?(?!\w)")
_QUOTED = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"""'
    r"|'''(?:[^'\\]|\\.|'(?!''))*+'''"
    r'|"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    r"|'[^'\\]*+(?:\\.[^'\\]*+)*+'",
    re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)",
    re.DOTALL,
)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "0": "\0"}

Quoted = Callable[[str, int], tuple[str, int] | None]
"""Reads a quoted text at a place; None where none begins there."""


class ValueReader:
    """Reads values of one notation."""

    def __init__(self, quoted: Quoted, key: re.Pattern[str] | None = None) -> None:
        """`key` matches names of members that may stand without quotes."""
        self._quoted = quoted
        self._key = key

    def value(self, text: str, place: int, depth: int = 0) -> tuple[Json, int]:
        """Read a value; return where it ends.

        Raises:
            BrokenCallError: there is none.
        """
        place = skip(text, place)
        if depth > _DEEPEST:
            raise BrokenCallError("its arguments are nested too deeply", place)
        quoted = self._quoted(text, place)
        if quoted is not None:
            return quoted
        match text[place : place + 1]:
            case "[":
                return self._list(text, place, depth, "]")
            case "(":
                return self._list(text, place, depth, ")")
            case "{":
                return self.members(text, place, depth)
            case _:
                return _literal(text, place)

    def members(self, text: str, place: int, depth: int = 0) -> tuple[dict[str, Json], int]:
        """Read `{KEY: VALUE, ...}`; return where it ends.

        Raises:
            BrokenCallError: it is something else.
        """
        found: dict[str, Json] = {}
        place = skip(text, place + 1)
        while not text.startswith("}", place):
            key, place = self._name(text, place)
            if key in found:
                raise BrokenCallError(f"{key!r} is given twice", place)
            found[key], place = self.value(text, separated(text, place, ":"), depth + 1)
            place = next_one(text, place, "}")
        return found, place + 1

    def _list(self, text: str, place: int, depth: int, closer: str) -> tuple[list[Json], int]:
        found: list[Json] = []
        place = skip(text, place + 1)
        while not text.startswith(closer, place):
            value, place = self.value(text, place, depth + 1)
            found.append(value)
            place = next_one(text, place, closer)
        return found, place + 1

    def _name(self, text: str, place: int) -> tuple[str, int]:
        quoted = self._quoted(text, place)
        if quoted is not None:
            return quoted
        bare = self._key.match(text, place) if self._key else None
        if bare is None:
            raise BrokenCallError("no name of an argument follows", place)
        return bare.group().strip(), bare.end()


def separated(text: str, place: int, mark: str) -> int:
    """Return the place after a mark, before which there may be space.

    Raises:
        BrokenCallError: it is not there.
    """
    place = skip(text, place)
    if not text.startswith(mark, place):
        raise BrokenCallError(f"no {mark!r} follows", place)
    return place + len(mark)


def next_one(text: str, place: int, closer: str) -> int:
    """Return the place of what follows a comma, or of the closer.

    Raises:
        BrokenCallError: neither is there.
    """
    place = skip(text, place)
    if text.startswith(",", place):
        return skip(text, place + 1)
    if not text.startswith(closer, place):
        raise BrokenCallError(f"neither ',' nor {closer!r} follows", place)
    return place


def python_quoted(text: str, place: int) -> tuple[str, int] | None:
    """Read a string as Python writes it; line breaks may stand in it as they are."""
    if text[place : place + 1] not in ("'", '"'):
        return None
    found = _QUOTED.match(text, place)
    if found is None:
        raise BrokenCallError("it breaks off within a string", len(text))
    body = found.group()
    width = 3 if body[:3] in ('"""', "'''") and len(body) > 5 else 1
    return _ESCAPE.sub(_unescaped, body[width:-width]), found.end()


def _unescaped(match: re.Match[str]) -> str:
    body = match[1]
    if len(body) > 9:  # A character in two halves.
        return json.loads(f'"{match.group()}"')
    if len(body) > 1:
        number = int(body[1:], 16)
        known = number < 0x110000 and not 0xD800 <= number < 0xE000
        return chr(number) if known else "\ufffd"
    if body in "\\'\"\n/":
        return "" if body == "\n" else body
    return _LETTERS.get(body, f"\\{body}")


def python_written(value: Json) -> str:
    """Write a value as Python does, texts as JSON does."""
    if isinstance(value, dict):
        members = (f"{python_written(k)}: {python_written(v)}" for k, v in value.items())  # pyright: ignore[reportUnknownVariableType]
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(python_written, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def as_json(arguments: Mapping[str, Json], place: int) -> str:
    """Return arguments as JSON text.

    Raises:
        BrokenCallError: JSON cannot express them.
    """
    try:
        return msgspec.json.format(msgspec.json.encode(arguments), indent=0).decode()
    except (OverflowError, UnicodeError, msgspec.MsgspecError) as error:
        raise BrokenCallError(f"its arguments are no JSON object: {error}", place) from error


def _literal(text: str, place: int) -> tuple[Json, int]:
    word = _WORD.match(text, place)
    if word is not None and word.group() in _WORDS:
        return _WORDS[word.group()], word.end()
    number = _NUMBER.match(text, place)
    if number is None:
        raise BrokenCallError("no value follows", place)
    written = number.group()
    value = float(written) if re.search(r"[.eE]", written) else int(written)
    if value in (float("inf"), float("-inf")):
        raise BrokenCallError(f"the number {written} is too large", place)
    return value, number.end()
