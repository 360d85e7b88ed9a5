"""Dialogues whose turns people rated, a line a turn: `ROLE<tab>text<tab>action<tab>ratings`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from plaudit.errors import InputError

ROLES = ("USER", "SYSTEM")
FEWEST_RATERS = 3
"""Ratings of one turn under which their mean says little."""
UNHAPPY, HAPPY = 2, 4
"""Mean ratings, of 1 to 5: at most the first is a negative reaction, from the second a positive."""
_OVERALL = "OVERALL"
"""Stands for the text where a line rates the whole dialogue."""


class DialogueTurn(NamedTuple):
    """What one side said, and how people rated the user's satisfaction with what came before."""

    role: str
    text: str
    ratings: tuple[int, ...]
    """From 1 to 5, one a person."""


class Dialogue(NamedTuple):
    """The turns of one dialogue."""

    line: int
    """Of its first turn, from 1."""
    turns: list[DialogueTurn]


def read_dialogues(path: Path) -> Iterator[Dialogue]:
    """Read dialogues with blank lines between them; lines that rate a whole one are left out.

    Raises:
        InputError: a line is no turn, or the file holds none; the message names file and line.
    """
    turns: list[DialogueTurn] = []
    start, empty = 1, True
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            start = start if turns else number
            turn = _turn(line, f"{path}: line {number}")
            if turn.text != _OVERALL:
                turns.append(turn)
        elif turns:
            yield Dialogue(start, turns)
            turns, empty = [], False
    if turns:
        yield Dialogue(start, turns)
    elif empty:
        raise InputError(f"{path} is empty: no dialogues to judge")


def satisfaction(rating: float) -> Literal["negative", "positive"] | None:
    """Return what a mean rating of 1 to 5 says of the answer; None: neither."""
    return "negative" if rating <= UNHAPPY else "positive" if rating >= HAPPY else None


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield line.decode().rstrip("\n")
            except UnicodeDecodeError:
                raise InputError(f"{path}: line {number} is not UTF-8") from None


def _turn(line: str, where: str) -> DialogueTurn:
    columns = line.rstrip("\r").split("\t")
    if not 2 <= len(columns) <= 4:
        raise InputError(f"{where} has {len(columns)} columns, not role, text, action and ratings")
    role, text, _, ratings = (*columns, "", "")[:4]
    if role not in ROLES:
        raise InputError(f"{where}: the role must be {' or '.join(ROLES)}, not {role[:40]!r}")
    return DialogueTurn(role, text.strip(), tuple(_ratings(ratings, where)))


def _ratings(text: str, where: str) -> Iterator[int]:
    for rating in filter(None, map(str.strip, text.split(","))):
        if rating not in ("1", "2", "3", "4", "5"):
            raise InputError(f"{where}: a rating must be 1 to 5, not {rating[:40]!r}")
        yield int(rating)
