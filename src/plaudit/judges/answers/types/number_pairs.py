"""Two numbers: whether they are one value, and whether what stands around them agrees."""

import re
from fractions import Fraction

import msgspec

from plaudit.judges.answers.base import Comparison
from plaudit.judges.answers.types.currencies import agree, named
from plaudit.judges.answers.types.units import asked_unit, is_common, read_unit


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a text."""

    value: Fraction
    """Exact; 1/2 for 50 %."""
    currency: str | None = None
    """`EUR`, or a name that several share: `$`."""
    percent: bool = False
    digits: int
    """How many digits it shows; 0 for words and fractions."""
    place: Fraction
    """Worth of the last digit that it shows; 0 for words and fractions."""
    other: Fraction | None = None
    """Its value by the other convention of separators: 1.2 of `1,200`."""
    ordinal: bool = False
    bound: str = ""
    """`above`, `from`, `below`, `to` or `almost`, as of `over 42`, `at least 42`."""
    about: bool = False
    noun: str = ""
    """What is counted: `apples`."""
    name: str = ""
    """The letter that it is the value of, `x` of `x = 5`."""


class NumberSpan(msgspec.Struct, frozen=True):
    """A range of two numbers, `40-45`."""

    low: Number
    high: Number


_MOST_QUESTION = 2_000
_ASKS_PERCENT = re.compile(
    r"%|\b(?:percent|percentage|per cent|prozent|pourcentage|porcentaje|percentuale)\b",
    re.IGNORECASE,
)
_ASKS_PLACE = re.compile(
    r"\b(?:place|rank|ranked|position|ordinal|grade|floor|edition|anniversary)\b", re.IGNORECASE
)
_ASKS_NUMBERED = re.compile(
    r"\b(?:versions?|releases?|released|python|java|node|kernel|android|ios|ubuntu|linux|software"
    r"|library|protocol|standard|chapter|section|clause|paragraph|verse|time|train|clock)\b",
    re.IGNORECASE,
)
_COLLECTIVE = re.compile(
    r"(?:pair|couple|score|decade|centur|fortnight|gross|quarter|half|halves|group|set|pack|box"
    r"|team|part|third|tenth)(?:s|es|y|ies)?\b",
    re.IGNORECASE,
)
"""What may hold several of what another number counts: 2 pairs are 4 shoes."""
_ASKS_SCALE = re.compile(r"\b(?:thousand|million|billion|trillion)s?\b", re.IGNORECASE)


def same_number(a: Number, r: Number, question: str, error: Fraction) -> Comparison | None:
    """Compare a number with a reference, to a question; None where one may stand for the other.

    Args:
        a: the number of an answer.
        r: the number of a reference.
        question: may name a currency, a percentage, or what is counted; its beginning is read.
        error: relative error up to which they are equal.
    """
    question = question[:_MOST_QUESTION]
    a, r = _in_whole_money(a, r), _in_whole_money(r, a)
    if a.percent != r.percent and _ASKS_PERCENT.search(question):
        a, r = _in_percent(a), _in_percent(r)
    if a.value == r.value or (error and abs(a.value - r.value) <= error * abs(r.value)):
        return _alike(a, r, question)
    return _unlike(a, r, question)


def _in_whole_money(number: Number, other: Number) -> Number:
    """Read `450.000 \u20ac` as thousands beside 450,000: money has no thousandths."""
    if not (number.currency and other.currency and number.other == other.value):
        return number
    if not may_be_thousands(number):
        return number
    return msgspec.structs.replace(number, value=other.value, place=Fraction(1), other=None)


def _in_percent(number: Number) -> Number:
    """Return a number as the percentage that a question asks for: 50 is 50 %."""
    if number.percent:
        return number
    value, place = number.value / 100, number.place / 100
    return msgspec.structs.replace(number, value=value, place=place, percent=True, other=None)


def _alike(a: Number, r: Number, question: str) -> Comparison | None:
    """Judge two numbers of one value: what stands around them must agree too."""
    a, r = _in_pounds(a, r), _in_pounds(r, a)
    same = _same_currency(a, r, question)
    if same is False:
        return Comparison(False, f"{a.currency} is not {r.currency}")
    if not same or a.bound != r.bound or not _same_noun(a, r, question):
        return None
    if not _same_name(a, r, question):
        return None
    if _shows_more(a, r) and _ASKS_NUMBERED.search(question):
        return None  # 3.10 comes after 3.9, and is not 3.1
    if may_be_thousands(a) != may_be_thousands(r):
        return None
    if a.ordinal and not r.ordinal and not _ASKS_PLACE.search(question):
        return None
    return Comparison(True, "equal as numbers")


def _shows_more(a: Number, r: Number) -> bool:
    """Whether one of two numbers shows more decimals; six and 6 show the same."""
    places = {a.place or Fraction(a.value.denominator == 1), r.place or Fraction(1)}
    return len(places) > 1 and min(places) < 1


POUNDS = ("pound", "pounds")
"""Nouns that are money or a weight."""


def _in_pounds(number: Number, other: Number) -> Number:
    """Read `5 pounds` as money where it is compared with money."""
    if other.currency and number.noun.casefold() in POUNDS:
        return msgspec.structs.replace(number, currency="GBP", noun="")
    return number


_VARIABLE = re.compile(r"\b[b-hj-zB-HJ-Z]\b")


def _same_name(a: Number, r: Number, question: str) -> bool:
    """Whether both are values of one letter, or one has none and the question has no other."""
    if a.name and r.name:
        return a.name == r.name
    stated, asked = a.name or r.name, _VARIABLE.findall(question)
    return not stated or not asked or stated in asked


def _same_currency(a: Number, r: Number, question: str) -> bool | None:
    ours, theirs = a.currency, r.currency
    if ours and theirs:
        return agree(ours, theirs)
    stated = ours or theirs
    return True if stated is None or named(stated, question) else None


def _same_noun(a: Number, r: Number, question: str) -> bool:
    """Whether two numbers count the same thing; one may leave out what the question names."""
    ours, theirs = a.noun.casefold(), r.noun.casefold()
    if not ours or not theirs:
        stated = ours or theirs
        return not stated or _asks_for(stated, question)
    if is_common(a.noun) or is_common(r.noun):
        return read_unit(a.noun) == read_unit(r.noun)
    return _stems(ours) == _stems(theirs)


def _asks_for(noun: str, question: str) -> bool:
    if is_common(noun):
        return read_unit(noun) == asked_unit(question)
    return _stems(noun) <= _stems(question.casefold())


_LETTERS = re.compile(r"[^\W\d_]+")


def _stems(text: str) -> set[str]:
    """Return words without the endings of English plurals."""
    return {_stem(word) for word in _LETTERS.findall(text)}


def _stem(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word.removesuffix("s").removesuffix("e")


def _unlike(a: Number, r: Number, question: str) -> Comparison | None:
    """Judge two numbers of different values: None where one may stand for the other."""
    if a.bound or r.bound or _by_other_separators(a, r) or _by_other_scale(a, r, question):
        return None
    if any(may_be_rounded(x, y, a.about or r.about) for x, y in _readings(a, r)):
        return None
    if _measures_differ(a, r):
        return None
    return Comparison(False, "different numbers")


def _readings(a: Number, r: Number) -> list[tuple[Number, Number]]:
    """Return both as they are and, where one has a percent sign, both as percentages."""
    pairs = [(a, r)]
    return [*pairs, (_in_percent(a), _in_percent(r))] if a.percent != r.percent else pairs


def _by_other_separators(a: Number, r: Number) -> bool:
    ours, theirs = {a.value, a.other} - {None}, {r.value, r.other} - {None}
    return not ours.isdisjoint(theirs)


def _by_other_scale(a: Number, r: Number, question: str) -> bool:
    """Whether a factor that the question or a currency leaves open lies between two values."""
    if not a.value or not r.value:
        return False
    ratio = max(a.value / r.value, r.value / a.value)
    if ratio == 100 and (a.percent or r.percent or a.currency != r.currency):
        return True
    return ratio in (10**3, 10**6, 10**9, 10**12) and bool(_ASKS_SCALE.search(question))


def _measures_differ(a: Number, r: Number) -> bool:
    """Whether numbers count different things, or one has a unit that the other may leave out."""
    if a.noun and r.noun:
        return _stems(a.noun.casefold()) != _stems(r.noun.casefold())
    noun = a.noun or r.noun
    return is_common(noun) or bool(_COLLECTIVE.match(noun))


def may_be_thousands(number: Number) -> bool:
    """Whether a number is written as `10.000`, which many read as ten thousand."""
    whole = number.value.denominator == 1
    return whole and number.other is not None and abs(number.other) > abs(number.value)


def may_be_rounded(a: Number, r: Number, about: bool) -> bool:
    """Whether one of two numbers may be the other rounded; within 5 % where one is `about`."""
    apart = abs(a.value - r.value)
    if about:
        return apart <= abs(r.value) / 20
    shown = max(a.place, r.place)
    if shown < 1 and 2 * apart <= shown:
        return True
    near = apart <= abs(r.value) / 100  # 1891 is near 1873, and yet neither is the other rounded
    return near and apart < max(_last_place(a), _last_place(r))


def _last_place(number: Number) -> Fraction:
    """Return the worth of the last digit that is not an ending zero: 10 of 1870, 0.01 of 3.14."""
    if number.place < 1 or number.value.denominator != 1:
        return number.place
    digits = str(abs(number.value.numerator)) if abs(number.value) < 10**400 else ""
    return Fraction(10 ** (len(digits) - len(digits.rstrip("0"))))
