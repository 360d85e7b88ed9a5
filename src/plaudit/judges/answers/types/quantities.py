"""Quantities: numbers with units, compared after exact conversion through pint (extra `units`).

pint is needed only where two units differ; without it such a comparison is open.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache, partial

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types import statement, units
from plaudit.judges.answers.types.number_pairs import Number, may_be_rounded, may_be_thousands
from plaudit.judges.answers.types.numbers import (
    asks_label,
    each_agrees,
    leading_number,
    relative_error,
    trimmed,
    without_gloss,
)
from plaudit.judges.answers.types.numerals import MAX_LENGTH
from plaudit.judges.answers.types.units import (
    Terms,
    Unit,
    asked_unit,
    is_unit,
    may_be_unit,
    read_unit,
    worth,
)

Quantity = tuple[tuple[Number, Terms | None], ...]
"""Numbers and their units, added up: two of `5 ft 11 in`; no unit of a bare number."""

_NEXT = re.compile(r"(?:,| and| und| et| y)? (?=\d)|(?<=[h'])(?=\d)")
_MEASURED = re.compile(
    r" (?:tall|high|long|wide|deep|thick|old|away|apart|each|in (?:length|height|width|depth|total"
    r"|weight|duration))$",
    re.IGNORECASE,
)
_SMALLER = {"hour": "minute", "minute": "second", "foot": "inch"}
_MOST_PARTS = 3
_LEAST_DIGITS = 3


def available() -> bool:
    """Whether pint is installed, without which units are not converted."""
    return units.available()


@lru_cache(maxsize=4096)
def _read(text: str) -> Quantity | None:
    """Read a quantity; None where the text is none, or longer than 160 characters."""
    rest: str | None = _reordered(_MEASURED.sub("", trimmed(text)))
    parts: list[tuple[Number, Terms | None]] = []
    while rest and len(parts) < _MOST_PARTS:
        part = _part(rest, parts[-1][1] if parts else None)
        if part is None:
            return None
        number, unit, rest = part
        parts.append((number, unit))
    if rest or (len(parts) > 1 and not _adds_up(parts)):
        return None
    return tuple(parts) or None


_AND_A_HALF = re.compile(r"(an?|[\w-]+) ([^\W\d_]+) and a half", re.IGNORECASE)
_BELOW_ZERO = re.compile(
    r"(.{1,40}) (?:below (?:zero|freezing)|unter null|sous z\u00e9ro|bajo cero|sotto zero"
    r"|abaixo de zero)(.{0,20})",
    re.IGNORECASE,
)


def _reordered(text: str) -> str:
    """Return a text whose number stands before its unit: "5 degrees below zero" is "-5 degrees"."""
    below = _BELOW_ZERO.fullmatch(text)
    if below and not below[1].startswith("-"):
        return f"-{below[1]}{below[2]}"
    half = _AND_A_HALF.fullmatch(text)
    if half is None:
        return text
    return f"{'one' if half[1].casefold() in ('a', 'an') else half[1]} and a half {half[2]}"


_ONE = re.compile(r"an? (?=[^\W\d_])", re.IGNORECASE)
_ARTICLE = re.compile(r" (?:of )?an? ", re.IGNORECASE)


def _number_of(text: str) -> tuple[Number, str] | None:
    """Return a number and what follows it; `an hour` is one hour, `half an hour` a half."""
    found = leading_number(text)
    if found is None:
        one = _ONE.match(text)
        return (
            (Number(value=Fraction(1), digits=0, place=Fraction(0)), text[one.end() :])
            if one
            else None
        )
    number, rest = found
    if rest.startswith("st"):
        return None  # 1st
    return number, _ARTICLE.sub("", rest, count=1) if number.value < 1 else rest


def _part(text: str, larger: Terms | None) -> tuple[Number, Terms | None, str | None] | None:
    """Read a number and its unit; a last one without a unit has the next smaller: `1h30`."""
    found = _number_of(text)
    if found is None:
        return None
    number, rest = found
    if not rest:
        smaller = _SMALLER.get(larger[0][0]) if larger else None
        return (number, ((smaller, 1),) if smaller else None, None)
    spelled, *later = _NEXT.split(rest, maxsplit=1)
    unit = read_unit(spelled.lstrip(" -").rstrip(".,"))
    return (number, unit, later[0] if later else None) if unit and may_be_unit(unit) else None


def _adds_up(parts: list[tuple[Number, Terms | None]]) -> bool:
    """Whether parts are plain numbers of 0 or more, each with a unit."""
    return all(unit and number.value >= 0 and not number.bound for number, unit in parts)


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is a quantity, or a bare number to a question that names a unit."""
    quantity = _readable(without_gloss(reference), case)
    if quantity is None:
        return False
    if quantity[0][1] is None:
        return asked_unit(case.question) is not None
    return all(unit and is_unit(_spelled(unit)) for _, unit in quantity)


def _spelled(unit: Terms) -> str:
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in unit)


def _readable(text: str, case: AnswerCase) -> Quantity | None:
    return None if len(text) > MAX_LENGTH or asks_label(case.question) else _read(text)


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Compare two quantities; None for unknown units, and where one may be the other rounded."""
    compare_one = partial(_compare, case=case)
    direct = each_agrees(answer, reference, compare_one)
    if direct and direct.equal and statement.is_of_another(answer, case.question):
        return Comparison(False, "another measure")
    if direct or _readable(answer, case):
        return direct
    return statement.compare_stated(
        answer,
        reference,
        case,
        statement.starts_number,
        _widest,
        lambda value: compare_one(value, reference),
    )


def _widest(found: Sequence[str]) -> int:
    return statement.longest(found, _is_whole)


def _is_whole(text: str) -> bool:
    """Whether a text is a quantity to its last word, which is a number or a unit."""
    if statement.is_idle(text.rpartition(" ")[2]):
        return False
    quantity = _read(text)
    return bool(quantity) and all(unit is None or is_unit(_spelled(unit)) for _, unit in quantity)


def _compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    a, r = _asked(answer, case), _asked(reference, case)
    if a is None or r is None or a[0][0].bound != r[0][0].bound:
        return None
    error = relative_error(case)
    if len(a) == len(r) == 1 and a[0][1] == r[0][1]:
        return _same_unit(a[0][0], r[0][0], error)
    return _converted(a, r, error) if available() else None


_DEGREE = (("degree", 1),)


def _asked(text: str, case: AnswerCase) -> Quantity | None:
    """Read a quantity; a bare number, or a degree, gets the unit that the question asks for."""
    quantity = _readable(text, case)
    if quantity is None or quantity[0][1] not in (None, _DEGREE):
        return quantity
    unit = asked_unit(case.question) or quantity[0][1]
    return ((quantity[0][0], unit),) if unit else None


def _same_unit(a: Number, r: Number, error: Fraction) -> Comparison | None:
    if _within(a.value, r.value, error):
        return _if_sure(a, r, "equal as quantities")
    if a.other == r.value or r.other == a.value or a.bound:
        return None
    if may_be_rounded(a, r, a.about or r.about):
        return None
    return Comparison(False, "different quantities")


def _within(a: Fraction, r: Fraction, error: Fraction) -> bool:
    return a == r or (bool(error) and abs(a - r) <= error * abs(r))


def _converted(a: Quantity, r: Quantity, error: Fraction) -> Comparison | None:
    """Compare quantities of different units, each in the unit of the other."""
    ours, theirs = _worths(a), _worths(r)
    if ours is None or theirs is None:
        return None
    if len({unit.dimension for unit in (*ours, *theirs)}) > 1:
        return _other_dimension(ours, theirs)
    answer, reference = _total(a, ours), _total(r, theirs)
    in_theirs, stated = _in(answer, theirs[-1]), _in(reference, theirs[-1])
    in_ours, given = _in(reference, ours[-1]), _in(answer, ours[-1])
    if _within(in_theirs, stated, error):
        return _if_sure(a[0][0], r[0][0], "equal after conversion")
    if _rounds(in_theirs, stated, r[-1][0]) or _rounds(in_ours, given, a[-1][0]):
        bounded = a[0][0].bound or r[0][0].bound
        return None if bounded else Comparison(True, "equal after conversion and rounding")
    return _apart(abs(in_theirs - stated), abs(stated), abs(in_ours - given), a, r)


def _worths(quantity: Quantity) -> list[Unit] | None:
    found = [worth(unit) for _, unit in quantity if unit]
    known = [unit for unit in found if unit]
    return known if len(known) == len(quantity) else None


def _other_dimension(ours: list[Unit], theirs: list[Unit]) -> Comparison | None:
    """Judge units of different kinds; a degree may be one of temperature."""
    kinds = {unit.dimension for unit in (*ours, *theirs)}
    mixed = len({u.dimension for u in ours}) > 1 or len({u.dimension for u in theirs}) > 1
    if mixed or kinds == {(("radian", 1),), (("kelvin", 1),)}:
        return None
    return Comparison(False, "units of different kinds")


def _total(quantity: Quantity, worths: list[Unit]) -> Fraction:
    """Return a quantity in root units."""
    parts = zip(quantity, worths, strict=True)
    return sum(
        (number.value * unit.factor + unit.offset for (number, _), unit in parts), Fraction(0)
    )


def _in(total: Fraction, unit: Unit) -> Fraction:
    """Return root units in a unit."""
    return (total - unit.offset) / unit.factor


def _rounds(exact: Fraction, shown: Fraction, number: Number) -> bool:
    """Whether a value, rounded to the digits that a number shows, at least 3, is that number."""
    digits = len(str(int(abs(shown)))) if number.place == 1 and shown else number.digits
    return digits >= _LEAST_DIGITS and 2 * abs(exact - shown) <= number.place


def _if_sure(a: Number, r: Number, reason: str) -> Comparison | None:
    return Comparison(True, reason) if may_be_thousands(a) == may_be_thousands(r) else None


def _apart(
    off: Fraction, whole: Fraction, own_off: Fraction, a: Quantity, r: Quantity
) -> Comparison | None:
    """Judge quantities of one kind that differ: open within 1 %, or 5 % of a coarse number."""
    rough = a[0][0].about or r[0][0].about or own_off < a[-1][0].place
    ambiguous = any(number.other is not None for number, _ in (*a, *r))
    if ambiguous or a[0][0].bound or off <= whole / (20 if rough else 100) or _calories(a, r):
        return None
    return Comparison(False, "different quantities")


def _calories(a: Quantity, r: Quantity) -> bool:
    """Whether one has calories, which often stand for kilocalories."""
    return any(unit == (("calorie", 1),) for _, unit in (*a, *r))
