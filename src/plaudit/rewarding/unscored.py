"""What a dialect is answered for a row without a value. Somebody has to choose it."""

import math
from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple, get_args

from plaudit.engines.base import similar
from plaudit.errors import UsageError
from plaudit.rewarding.rows import ScoredRow

Word = Literal["null", "error", "drop", "number", "group-mean"]
"""`null`: the value stays null; `error`: the whole request is refused; `drop`: the protocol's own
mark for a sample that is left out; `number`: a number that the user gives; `group-mean`: the mean
of the group's other values."""

WORDS: tuple[Word, ...] = get_args(Word)


class UnscoredChoice(NamedTuple):
    """What stands for a value that does not exist."""

    word: Word
    number: float | None = None
    """With `number`: the number."""

    def __str__(self) -> str:
        return self.word if self.number is None else f"{self.number:g}"


class UnscoredError(Exception):
    """A request is refused, since rows of it have no value, and `error` was chosen."""

    def __init__(self, rows: Sequence[ScoredRow]) -> None:
        lost = [row for row in rows if row.value is None]
        causes = sorted({row.cause or row.status for row in lost})
        super().__init__(f"{len(lost)} of {len(rows)} rows have no value: {', '.join(causes)}")
        self.rows = rows
        self.may_pass = any(row.status == "failed" for row in lost)
        """Whether the same request may succeed later."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the rows: trainers raise it in another process than they catch it in."""
        return type(self), (self.rows,)


def read_choice(given: str | float) -> UnscoredChoice:
    """Read a choice.

    Args:
        given: one of the words but `number`, or a number, as text too.

    Raises:
        UsageError: it is neither.
    """
    try:
        number = float(given)
    except ValueError:
        words: list[Word] = [word for word in WORDS if word != "number"]
        if given not in words:
            raise UsageError(
                f"there is no choice {given!r}{similar(str(given), words)}; give "
                f"{', '.join(words)} or a number"
            ) from None
        return UnscoredChoice(words[words.index(given)])  # pyright: ignore[reportArgumentType]
    if not math.isfinite(number) or isinstance(given, bool):
        raise UsageError(f"{given} is no number that a trainer can learn from")
    return UnscoredChoice("number", number)


def check_choice(
    dialect: str, allowed: Collection[Word], choice: UnscoredChoice | None, option: str = ""
) -> UnscoredChoice:
    """Return what a dialect is answered for rows without a value.

    Args:
        dialect: its name, or that of a trainer.
        allowed: what it can carry.
        choice: what was chosen.
        option: how to choose, for a person; empty: the option of `plaudit serve`.

    Raises:
        UsageError: nothing was chosen, and its peer takes no null; or the dialect cannot carry it.
    """
    words = ", ".join("a number" if word == "number" else word for word in allowed)
    if choice is None:
        if "null" in allowed:
            return UnscoredChoice("null")
        raise UsageError(
            f"{dialect}: its trainer takes no null, so choose what a row without a value is "
            f"answered: {option or f'--when-unscored {dialect}=HOW'}, where HOW is {words}"
        )
    if choice.word not in allowed:
        raise UsageError(
            f"{dialect} cannot carry {choice} for rows without a value; it can {words}"
        )
    return choice


def values(
    rows: Sequence[ScoredRow], choice: UnscoredChoice, *, whole_group: bool
) -> list[float | None]:
    """Return the values that are answered; None: null, or the protocol's own mark.

    Args:
        rows: of one request.
        choice: what was chosen.
        whole_group: whether they are the members of one group.

    Raises:
        UnscoredError: the request is refused.
    """
    found = [row.value for row in rows]
    known = [value for value in found if value is not None]
    if len(known) == len(found) or choice.word in ("null", "drop"):
        return list(found)
    if choice.word == "number":
        return [choice.number if value is None else value for value in found]
    if choice.word == "group-mean" and not whole_group:
        return list(found)
    if choice.word == "error" or not known:
        raise UnscoredError(rows)
    mean = math.fsum(known) / len(known)
    return [mean if value is None else value for value in found]
