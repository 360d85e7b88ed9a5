"""What a server's message quotes of the request.

Servers put the text that they refuse into their errors. What a sample's own words spell there, such
as the name of an error, says nothing about the error.
"""

import re
from collections.abc import Generator
from typing import cast

import msgspec

from plaudit.types import Json

_WORD = re.compile(r"\w+")
_RUN = 3
"""Fewest words in a row that count as quoted: fewer are common to unrelated texts."""
_DEPTH = 50
"""Deepest level of the request's body that is looked at."""


def without_echo(message: str, sent: bytes) -> str:
    """Return a message with "…" in place of what also stands in a text of the request.

    Quoted are three words in a row or more, and single words with an underscore, as names of errors
    are written. Names of the request's fields and of its model stay, because servers complain about
    these.

    Args:
        message: what the server says.
        sent: the request's body, JSON.
    """
    try:
        body = msgspec.json.decode(sent) if sent else None
    except (ValueError, RecursionError):
        body = None
    names: set[str] = set()
    texts = " ".join(_texts(body, names))
    words = [match[0].lower() for match in _WORD.finditer(texts)]
    if not words:
        return message
    said = f" {' '.join(words)} "
    shown = list(_WORD.finditer(message))
    kept, position = list[str](), 0
    for first, last in _quoted([match[0].lower() for match in shown], said, names):
        kept += (message[position : shown[first].start()], "…")
        position = shown[last].end()
    return "".join([*kept, message[position:]])


def _texts(value: Json, names: set[str], depth: int = 0) -> Generator[str]:
    """Yield all texts of a JSON value; add the names of its fields to `names`."""
    if isinstance(value, str):
        yield value
        return
    items: list[Json] = []
    if isinstance(value, dict):
        fields = cast("dict[str, Json]", value)
        names.update(fields)
        items = [item for name, item in fields.items() if name != "model"]
    elif isinstance(value, list):
        items = cast("list[Json]", value)
    for item in items if depth < _DEPTH else ():
        yield from _texts(item, names, depth + 1)


def _quoted(words: list[str], said: str, names: set[str]) -> Generator[tuple[int, int]]:
    """Yield the first and the last place of each run of words that `said` holds."""
    first = 0
    while first < len(words):
        end = first
        while end < len(words) and f" {' '.join(words[first : end + 1])} " in said:
            end += 1
        if end - first >= _RUN:
            yield first, end - 1
            first = end
            continue
        if end > first and "_" in words[first] and words[first] not in names:
            yield first, first
        first += 1
