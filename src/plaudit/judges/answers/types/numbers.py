"""Numbers: exact values in digits or words, with currency, percent, magnitude and a counted noun.

Two plain numbers that differ are different, unless one of them may be the other rounded. What is
no number, such as a version, a post code or a time of day, is left alone.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import msgspec

from plaudit.judges.answers.base import AnswerCase, Comparison
from plaudit.judges.answers.types import statement
from plaudit.judges.answers.types.currencies import (
    BEFORE,
    HUNDREDTHS,
    SIGN_AFTER,
    currency_of,
)
from plaudit.judges.answers.types.number_pairs import POUNDS, Number, NumberSpan, same_number
from plaudit.judges.answers.types.number_words import leading_words, scale_of
from plaudit.judges.answers.types.numerals import MAX_LENGTH, Numeral, leading_digits, plain, scaled
from plaudit.judges.answers.types.units import is_common

_ABOUT = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|circa|ca\.|c\.|some|etwa"
    r"|ungef\u00e4hr|rund|environ|aproximadamente|circa) |[~\u2248] ?",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:(?:it (?:is|was)|it's|th(?:at|is) is|there (?:are|were|is)|exactly|precisely|just|only"
    r"|a total of|in total|the number|number) )+",
    re.IGNORECASE,
)
_NAMED = re.compile(r"([A-Za-z]) ?= ?")
_BOUND = re.compile(
    r"(?P<above>(?:more than|over|above|greater than|exceeding) |> ?(?!=))"
    r"|(?P<from>(?:at least|no fewer than|no less than) |(?:\u2265|>=) ?)"
    r"|(?P<below>(?:less than|fewer than|under|below) |< ?(?!=))"
    r"|(?P<to>(?:at most|up to|no more than) |(?:\u2264|<=) ?)"
    r"|(?P<almost>(?:almost|nearly|just under|close to) )",
    re.IGNORECASE,
)
_SIGN = re.compile(r"[-+] ?|(?:minus|negative|plus) ", re.IGNORECASE)
_PERCENT = re.compile(
    r" ?(%|\u2030)$| (?:(percent|per cent|pct|prozent|pour ?cent|por ciento|per cento|procent)"
    r"|(per mille|promille|permille))$",
    re.IGNORECASE,
)
_MAGNITUDE = re.compile(r" ?-?([^\W\d_]+)\.?")
_SHORT_SCALES = {"k": 10**3, "bn": 10**9, "tn": 10**12, "mn": 10**6, "mio": 10**6, "mrd": 10**9}
_MONEY_SCALES = {"m": 10**6, "M": 10**6, "K": 10**3, "B": 10**9, "b": 10**9, "T": 10**12}
_ORDINAL = re.compile(r"(?:st|nd|rd|th|\u00b0|er|\u00e8me|e)$", re.IGNORECASE)
_NOUN = re.compile(r" ((?:[^\W\d_]+(?:['-][^\W\d_]+)*)(?: [^\W\d_]+(?:['-][^\W\d_]+)*){0,3})")
_IN_TOTAL = re.compile(r" (?:in total|in all|total|altogether|overall)$", re.IGNORECASE)
_NO_NOUNS = re.compile(
    r"\b(?:am|pm|uhr|bc|ad|bce|ce|o'clock|of|or|and|to|but|than|not|if|minus|plus|times|x|over|in|out"
    r"|on|for|with|by|as|the|percentage|points?|per|half|more|less|fewer|at|least|most|between|is"
    r"|are|was|were|isn't|squared|cubed|factorial|below|above|under|before|after)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"(?:between (?=.* and )|from (?=.* (?:to|until) ))", re.IGNORECASE)
_TO = re.compile(r" ?- ?(?=[\d$])| (?:to|and|through|bis|until) ", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _read(text: str) -> Number | None:
    """Read a text that is one number; None for other texts, and where its meaning is open.

    Understands separators of both conventions, fractions, percent, powers, scientific notation,
    words, magnitudes, currencies, ordinals, a counted noun, and `about` or `over` before it.
    """
    opening = _opened(trimmed(text))
    if opening is None:
        return None
    fields, sign, currency, numeral, rest = opening
    number = _suffixed(numeral, rest, currency)
    return _with(number, sign, fields) if number else None


def leading_number(text: str) -> tuple[Number, str] | None:
    """Return the number at the beginning of a trimmed text, and the text that follows it."""
    opening = _opened(text)
    if opening is None or opening[2]:
        return None
    fields, sign, _, numeral, rest = opening
    numeral, rest = _magnified(numeral, rest, None)
    return _with(_number(numeral), sign, fields), rest


_Opening = tuple[dict[str, Any], int, str | None, Numeral, str]


def _opened(text: str) -> _Opening | None:
    """Return fields of a number, its sign, a currency before it, its numeral, and what follows."""
    fields, text = _qualified(text)
    sign, text = _signed(text)
    before = BEFORE.match(text)
    if before:
        text = text[before.end() :]
        if sign == 1:
            sign, text = _signed(text)
    found = leading_digits(text) or leading_words(text)
    return (fields, sign, currency_of(before[1]) if before else None, *found) if found else None


def _with(number: Number, sign: int, fields: dict[str, Any]) -> Number:
    if sign == 1 and not fields:
        return number
    other = None if number.other is None else sign * number.other
    return msgspec.structs.replace(number, value=sign * number.value, other=other, **fields)


_MARKS = " \t\n*_`,;?\u201c\u201d\u00ab\u00bb"
_QUOTES = "\"'"


def trimmed(text: str) -> str:
    """Return a text in plain signs, without what wraps it: quotes, bold, dollar signs, a stop."""
    text = plain(text).strip(_MARKS).rstrip("." + _MARKS)
    if len(text) > 2 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    quoted = len(text) > 2 and text[0] == text[-1] and text[0] in _QUOTES
    return text[1:-1].strip(_MARKS).rstrip("." + _MARKS) if quoted else text


def _qualified(text: str) -> tuple[dict[str, Any], str]:
    """Return what stands before a number, as fields of a number, and what follows."""
    fields: dict[str, Any] = {}
    for pattern in (_FILLER, _NAMED, _ABOUT, _BOUND):
        match = pattern.match(text)
        if match is None:
            continue
        text = text[match.end() :]
        if pattern is _NAMED:
            fields["name"] = match[1]
        elif pattern is _ABOUT:
            fields["about"] = True
        elif pattern is _BOUND:
            fields["bound"] = match.lastgroup
    return fields, text


def _signed(text: str) -> tuple[int, str]:
    match = _SIGN.match(text)
    if match is None:
        return 1, text
    return (-1 if match[0][0] in "-mMnN" else 1), text[match.end() :]


def _suffixed(numeral: Numeral, rest: str, currency: str | None) -> Number | None:
    """Read what follows the numeral; None where it is not understood."""
    numeral, rest = _magnified(numeral, rest, currency)
    percent = _PERCENT.match(rest)
    if percent and not currency and not numeral.ordinal:
        thousandth = percent[1] == "\u2030" or percent[3]
        part = scaled(numeral, Fraction(1, 1000 if thousandth else 100))
        return _number(part, percent=True)
    if rest and not currency:
        rest, currency = _paid(rest)
        if currency in HUNDREDTHS:
            numeral = scaled(numeral, Fraction(1, 100))
    elif rest.strip().upper() == currency or (currency and currency_of(rest.strip()) == "$"):
        rest = ""
    if not rest:
        return _number(numeral, currency=currency)
    if _ORDINAL.match(rest) and numeral.value.denominator == 1:
        return _number(msgspec.structs.replace(numeral, ordinal=True))
    return _counted(numeral, rest, currency)


def _number(
    numeral: Numeral, *, currency: str | None = None, percent: bool = False, noun: str = ""
) -> Number:
    return Number(
        value=numeral.value,
        currency=currency,
        percent=percent,
        digits=numeral.digits,
        place=numeral.place,
        other=numeral.other,
        ordinal=numeral.ordinal,
        noun=noun,
    )


def _magnified(numeral: Numeral, rest: str, currency: str | None) -> tuple[Numeral, str]:
    """Multiply by the magnitudes that follow: `3 million`, `1.2bn`, `$5m`."""
    for _ in range(2):
        match = _MAGNITUDE.match(rest)
        scale = _scale(match[1], currency) if match else None
        if match is None or scale is None:
            break
        rest = rest[match.end() :]
        numeral = scaled(numeral, Fraction(scale))
    return numeral, rest


def _scale(word: str, currency: str | None) -> int | None:
    short = word if len(word) == 1 else word.casefold()
    scale = scale_of(word) if len(word) > 2 else None
    return scale or _SHORT_SCALES.get(short) or (_MONEY_SCALES.get(word) if currency else None)


def _paid(rest: str) -> tuple[str, str | None]:
    """Take a currency that follows a number: `5 euros`, `5\u20ac`, `5 US dollars`."""
    sign = SIGN_AFTER.fullmatch(rest)
    name = sign[1] if sign else rest.removeprefix(" ")
    currency = currency_of(name)
    return ("", currency) if currency else (rest, None)


def _counted(numeral: Numeral, rest: str, currency: str | None) -> Number | None:
    noun = _NOUN.fullmatch(_IN_TOTAL.sub("", rest))
    if noun is None:
        return _number(numeral, currency=currency) if _IN_TOTAL.fullmatch(rest) else None
    if currency or _NO_NOUNS.search(noun[1]):
        return None
    return _number(numeral, noun=noun[1])


@lru_cache(maxsize=4096)
def _read_span(text: str) -> NumberSpan | None:
    """Read a range; the second of two years may be short: `1861-65`."""
    text = trimmed(text)
    opening = _BETWEEN.match(text)
    parts = _TO.split(text[opening.end() :] if opening else text, maxsplit=2)
    if len(parts) != 2 or (" and " in text and not opening):
        return None
    low, high = _read(parts[0]), _read(parts[1])
    if low is None or high is None or low.bound or high.bound:
        return None
    if low.digits == 4 and high.digits == 2 and low.place == high.place == 1:
        high = msgspec.structs.replace(high, value=low.value - low.value % 100 + high.value)
    return NumberSpan(low, high) if low.value < high.value else None


_MOST_QUESTION = 2_000
_LABEL = re.compile(
    r"\b(?:version|zip|post ?code|postal code|isbn|issn|(?:area|dialling|dialing|country|pin) code"
    r"|(?:phone|telephone|serial|model|part|registration|licen[cs]e|flight|passport|account|bus"
    r"|room) number|password|passcode|identifier|ip address|what time|which time)\b",
    re.IGNORECASE,
)


def asks_label(question: str) -> bool:
    """Whether a question asks for digits that are no number: a version, a code, a time of day.

    Looks at the first 2,000 characters.
    """
    return _asks_label(question[:_MOST_QUESTION])


@lru_cache(maxsize=1024)
def _asks_label(question: str) -> bool:
    return bool(_LABEL.search(question))


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is one number, or a range of two; not where it has a common unit."""
    if len(reference) > MAX_LENGTH or asks_label(case.question):
        return False
    reference = without_gloss(reference)
    number = _read(reference)
    if number is None:
        return _read_span(reference) is not None
    return number.noun in POUNDS or not is_common(number.noun)


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Compare two numbers; None where one is unreadable, or may be the other after all."""
    if max(len(answer), len(reference)) > MAX_LENGTH or asks_label(case.question):
        return None
    compare_one = partial(_compare, case=case)
    direct = each_agrees(answer, reference, compare_one)
    if direct or _read(answer) or _read_span(answer):
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
    """Return how many words are a number and the noun behind it; 0 where they begin with none."""
    size = statement.longest(found, _is_bare)
    if not size or size == len(found) or found[size - 1][-1] in ",;:":
        return size
    return size + 1 if statement.is_noun(found[size]) else size


def _is_bare(text: str) -> bool:
    number = _read(text)
    return number is not None and not number.noun


def _compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    a, r = _read(answer), _read(reference)
    if a is None or r is None:
        return _compare_spans(answer, reference, a, r, case.question)
    return same_number(a, r, case.question, relative_error(case))


_GLOSSED = re.compile(r"([^()]{1,100}?) ?\(([^()]{1,60})\)[.\s]*")


_TWICE = re.compile(r"([^()]{1,80}?),? (?:i\.e\.,?|that is,?|or) ([^()]{1,60})")
"""A value in two spellings, `1/2 or 0.5`, which must agree."""


def without_gloss(text: str) -> str:
    """Return a text without what stands in brackets behind it: `330 m` of `330 m (1,083 ft)`."""
    gloss = _GLOSSED.fullmatch(text)
    return gloss[1] if gloss else text


def each_agrees(
    answer: str, reference: str, compare: Callable[[str, str], Comparison | None]
) -> Comparison | None:
    """Compare texts, and what stands in brackets behind them: `330 m (1,083 ft)`.

    Both parts of an answer must agree; where only one of them does, which is meant is open. One
    part of a reference is enough.
    """
    gloss = _GLOSSED.fullmatch(answer) or _TWICE.fullmatch(answer)
    if gloss is None:
        return _either(answer, reference, compare)
    first = _either(gloss[1], reference, compare)
    second = _either(gloss[2], reference, compare) if first else None
    return first if first and second and second.equal == first.equal else None


def _either(
    answer: str, reference: str, compare: Callable[[str, str], Comparison | None]
) -> Comparison | None:
    gloss = _GLOSSED.fullmatch(reference)
    if gloss is None:
        return compare(answer, reference)
    found = [compare(answer, gloss[1]), compare(answer, gloss[2])]
    equal = next((one for one in found if one and one.equal), None)
    return equal or (found[0] if all(found) else None)


def relative_error(case: AnswerCase) -> Fraction:
    """Return the tolerance of a case, exact; 0 where it is out of its range."""
    tolerance = case.options.tolerance
    return Fraction(tolerance) if 0 < tolerance <= 1 else Fraction(0)


def _compare_spans(
    answer: str, reference: str, a: Number | None, r: Number | None, question: str
) -> Comparison | None:
    first = None if a else _read_span(answer)
    second = None if r else _read_span(reference)
    if first and second:
        return _same_span(first, second, question)
    if first and r and not first.low.value <= r.value <= first.high.value:
        return Comparison(False, "the number is outside the range")
    return None


def _same_span(a: NumberSpan, r: NumberSpan, question: str) -> Comparison | None:
    """Compare two ranges; the currency of the first number and the noun of the second count."""
    low = same_number(a.low, r.low, question, Fraction(0))
    high = same_number(a.high, r.high, question, Fraction(0))
    if low is None or high is None:
        return None
    same = low.equal and high.equal
    return Comparison(same, "the same range" if same else "another range")
