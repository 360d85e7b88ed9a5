"""Dates and times of day in the usual spellings, with as much of them as a text gives.

Day and month are read from numbers only where one of them is above 12, both are the same, or the
options give the order. A weekday may stand before a date, and is not checked.
"""

import re
import unicodedata
from calendar import monthrange
from functools import lru_cache

import msgspec

from plaudit.judges.answers.base import AnswerCase, Comparison, DayFirst
from plaudit.judges.answers.types import statement
from plaudit.judges.answers.types.number_words import leading_words
from plaudit.judges.answers.types.numerals import MAX_LENGTH, plain
from plaudit.judges.answers.types.times import TimeOfDay, same_time, split_time


class Date(msgspec.Struct, frozen=True, kw_only=True):
    """What a text gives of a date; None for what it leaves out."""

    year: int | None = None
    """Negative before Christ: 44 BC is -44."""
    month: int | None = None
    day: int | None = None
    span: int = 1
    """Years from `year` on: 10 for a decade, 100 for a century."""
    time: TimeOfDay | None = None
    about: bool = False
    era: int = 0
    """-1 before Christ, 1 after; 0 where the text does not say."""


_MONTHS = (
    "january jan januar jaenner janner janvier janv enero ene gennaio gen janeiro januari",
    "february feb febr februar fevrier fevr febrero febbraio fevereiro fev februari",
    "march mar marz maerz mars marzo mars marco maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez decembre diciembre dic dicembre dezembro",
)
_MONTH = {name: n for n, names in enumerate(_MONTHS, 1) for name in names.split()}
_HOURS = frozenset({"noon", "midday", "midnight"})
_WEEKDAY = re.compile(
    r"^(?:on )?(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?(?:,| the)? "
    r"|^(?:am )?(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag)(?:,| den)? "
    r"|^(?:le )?(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche),? ",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:on|in|the|of|at|it|was|is|born|happened|date|year|day|month|de|del|della|di|du|le|la|el|il|l"
    r"|am|im|den|der|dem|em|do|da|op|van|t|st|nd|rd|th|er|e)$"
)
_BEFORE_CHRIST = re.compile(
    r"(?<=[\d ])(?:b\.? ?c\.?(?: ?e\.?)?|v\. ?chr\.?|av\. ?j\.?-? ?c\.?|a\. ?c\.)(?!\w)"
)
_AFTER_CHRIST = re.compile(r"(?:(?<=[\d ])|^)(?:a\.? ?d\.?|c\.? ?e\.|ce|n\. ?chr\.?)(?!\w)")
_ABOUT = re.compile(r"(?:c\.|ca\.|circa|about|around|approximately|um|vers) ")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(?<!\d)(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)")
_DECADE = re.compile(r"(?:the )?(\d{3}0)'?s")
_CENTURY = re.compile(r"(?:the )?(?:(\d{1,2})(?:st|nd|rd|th)|([a-z -]{5,14}?))[ -]century")
_YEAR_MONTH = re.compile(r"(\d{4})-(\d{2})")
_TOKEN = re.compile(
    r"[ ,.]*(?:(\d{1,4})(?![\d:])(?:st|nd|rd|th|er|\u00b0|e)?(?!\w)|([^\W\d_]+)|-)[ ,.]*"
)


def read_date(text: str, order: DayFirst = "auto") -> Date | None:
    """Read a text that is one date, or a part of one; None for others, as for 31 February.

    A text of more than 160 characters is none.
    """
    return _read(text, order) if len(text) <= MAX_LENGTH else None


@lru_cache(maxsize=4096)
def _read(text: str, order: DayFirst) -> Date | None:
    split = split_time(_folded(text))
    if split is None:
        return None
    time, text = split
    text = _WEEKDAY.sub("", text.strip(" ,."))
    about = _ABOUT.match(text)
    text, era = _without_era(text[about.end() :] if about else text)
    date = _whole_years(text, era)
    month = _YEAR_MONTH.fullmatch(text)
    if month:
        date = _checked(int(month[1]), int(month[2]), None)
    elif date is None:
        numeric = _YEAR_FIRST.search(text) or _YEAR_LAST.search(text)
        date = _of_numbers(numeric, text, order) if numeric else _of_words(text, era)
    if date is None or (time is None and date == Date()):
        return None
    return msgspec.structs.replace(date, time=time, about=about is not None, era=era)


def _folded(text: str) -> str:
    """Return a text in plain signs, in lower case, without accents and what wraps it."""
    folded = unicodedata.normalize("NFKD", plain(text).casefold().strip(" *_`\"',.;!?()"))
    return "".join(c for c in folded if not unicodedata.combining(c))


def _without_era(text: str) -> tuple[str, int]:
    """Return a text without its era, and the era: -1 before Christ, 1 after, 0 for none."""
    for pattern, era in ((_BEFORE_CHRIST, -1), (_AFTER_CHRIST, 1)):
        match = pattern.search(text)
        if match:
            return (text[: match.start()] + text[match.end() :]).strip(" ,."), era
    return text, 0


def _whole_years(text: str, era: int) -> Date | None:
    """Read a decade or a century."""
    text = text.removeprefix("in ")
    decade = _DECADE.fullmatch(text)
    if decade:
        year = int(decade[1])
        return Date(year=year * (era or 1), span=100 if year % 100 == 0 else 10)
    century = _CENTURY.fullmatch(text)
    number = _ordinal(century[1], century[2]) if century else None
    if not number:
        return None
    return Date(year=-number * 100 if era < 0 else number * 100 - 99, span=100)


def _ordinal(digits: str | None, words: str | None) -> int | None:
    if digits:
        return int(digits)
    found = leading_words(words or "")
    return int(found[0].value) if found and found[0].ordinal and not found[1] else None


def _of_numbers(match: re.Match[str], text: str, order: DayFirst) -> Date | None:
    around = text[: match.start()] + " " + text[match.end() :]
    if not all(_FILLER.match(word) for word in around.replace(",", " ").split()):
        return None
    first, _, second, third = match.groups()
    if match.re is _YEAR_FIRST:
        return _checked(int(first), int(second), int(third))
    one, two, year = int(first), int(second), int(third)
    if order == "day" or one > 12 or one == two:
        return _checked(year, two, one)
    return _checked(year, one, two) if order == "month" or two > 12 else None


def _of_words(text: str, era: int) -> Date | None:
    """Read a date with the name of its month, or a year alone."""
    months: list[int] = []
    numbers: list[int] = []
    at = 0
    if text.strip(" ,.")[:1] == "-" or text.strip(" ,.")[-1:] == "-":
        return None  # a year before Christ, or the beginning of a range
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return None
        at = token.end()
        if token[1]:
            numbers.append(int(token[1]))
        elif token[2] in _MONTH:
            months.append(_MONTH[token[2]])
        elif token[2] and not _FILLER.match(token[2]):
            day = leading_words(text[token.start(2) :])
            if day is None or not day[0].ordinal:
                return None
            numbers.append(int(day[0].value))
            at = len(text) - len(day[1])
    return _assembled(months, numbers, era)


def _assembled(months: list[int], numbers: list[int], era: int) -> Date | None:
    """Return the date of a month and of numbers in their order; None where they are not one."""
    if len(months) > 1 or len(numbers) > 1 + len(months):
        return None
    month = months[0] if months else None
    days = [n for n in numbers if n < 100] if month else []
    years = [n for n in numbers if n >= 100 or not month]
    if (era and len(days) == 2) or (era and days and not years and len(numbers) == 1):
        years = [days.pop()]
    if len(days) > 1 or len(years) > 1 or (years and years[0] < 100 and not era):
        return None
    year = years[0] * (era or 1) if years else None
    return _checked(year, month, days[0] if days else None)


def _checked(year: int | None, month: int | None, day: int | None) -> Date | None:
    """Return a date that there is."""
    if year == 0 or (month is not None and not 1 <= month <= 12):
        return None
    leap = year if year and year > 0 else 2000
    if day is not None and (month is None or not 1 <= day <= monthrange(leap, month)[1]):
        return None
    return Date(year=year, month=month, day=day)


_MOST_QUESTION = 2_000
_ASKS_WHEN = re.compile(
    r"\bwhen (?:was|were|is|are|did|does|do|will|has|have|had|can|could|should|would)\b|^when\b"
    r"|\b(?:wann|quand|cuando|quando|years?|date|decade|century|born)\b"
)
_ASKS_COUNT = re.compile(
    r"\bhow (?:many|much|far|long|old|tall|big|often)\b|\bwie ?viele?\b|\bcombien\b"
    r"|\bcuant[oa]s\b|\bquant[ie]\b"
)
_ASKS_PART = re.compile(
    r"\b(?:what|which|welche[mnrs]?|quelle?|que|che) (?:(?:exact|calendar) )?([a-z]+)"
    r"(?: and (?:what |which )?([a-z]+))?"
)
_PART_NAMES = {
    "year": "year jahr annee ano anno",
    "month": "month monat mois mes mese",
    "day": "date day datum tag jour dia fecha giorno",
    "time": "time uhrzeit heure hora ora",
}
_PARTS = {name: part for part, names in _PART_NAMES.items() for name in names.split()}
_FIELDS = ("year", "month", "day", "time")


@lru_cache(maxsize=1024)
def _asked_parts(question: str) -> frozenset[str]:
    """Return which parts of a date a question asks for; none where it does not say."""
    found = _ASKS_PART.finditer(_folded(question))
    parts = {_PARTS[name] for match in found for name in match.groups() if name in _PARTS}
    return frozenset(parts | {"month"} if "day" in parts else parts)


@lru_cache(maxsize=1024)
def _asks_when(question: str) -> bool:
    text = _folded(question)
    if _ASKS_COUNT.search(text):
        return False
    return bool(_asked_parts(question)) or bool(_ASKS_WHEN.search(text))


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is a date; a year or a month alone only where the question asks when."""
    date = read_date(reference, case.options.date_order)
    if date is None:
        return False
    given = [part for part in _FIELDS if getattr(date, part) is not None]
    plain_enough = len(given) > 1 or date.span > 1 or date.era or (date.time and date.time.sure)
    return (
        bool(plain_enough)
        or case.answer_type == "date"
        or _asks_when(case.question[:_MOST_QUESTION])
    )


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Compare two dates; None where one leaves out what the other gives and the question asks."""
    order = case.options.date_order
    if read_date(answer, order):
        return _compare(answer, reference, case)
    return statement.compare_stated(
        answer,
        reference,
        case,
        _starts,
        lambda found: statement.longest(found, lambda text: read_date(text, order) is not None),
        lambda value: _compare(value, reference, case),
    )


def _starts(word: str) -> bool:
    """Whether a word may begin a date in a sentence: it holds a digit, or names a month or hour."""
    if any(c.isdigit() for c in word):
        return True
    name = word.strip(" ,.;:").casefold()
    return name in _HOURS or (word[0].isupper() and name in _MONTH)


def _compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    order = case.options.date_order
    a, r = read_date(answer, order), read_date(reference, order)
    if a is None or r is None:
        return None
    if a.span > 1 or r.span > 1:
        return _compare_spans(a, r)
    a, r = _same_era(a, r, case.question), _same_era(r, a, case.question)
    differ = _differ(a, r)
    if differ is None or (differ and (a.about or r.about)):
        return None
    if differ:
        return Comparison(False, f"another {differ}")
    asked = _asked_parts(case.question[:_MOST_QUESTION])
    left_out = [part for part in _FIELDS if _left_out(a, r, part, case.question, asked)]
    return None if left_out else Comparison(True, "the same date")


def _compare_spans(a: Date, r: Date) -> Comparison | None:
    """Compare decades and centuries; a year within one is neither equal nor different."""
    if a.year is None or r.year is None or a.time or r.time:
        return None
    if (a.year, a.span) == (r.year, r.span):
        return Comparison(True, "the same years")
    apart = a.year >= r.year + r.span or r.year >= a.year + a.span
    return Comparison(False, "other years") if apart and not (a.about or r.about) else None


def _same_era(date: Date, other: Date, question: str) -> Date:
    """Return a date before Christ where the question says so and only the other one repeats it."""
    if date.year is None or date.era or other.era >= 0:
        return date
    before = _BEFORE_CHRIST.search(question[:_MOST_QUESTION].casefold())
    return msgspec.structs.replace(date, year=-date.year) if before else date


def _differ(a: Date, r: Date) -> str | None:
    """Return the part in which two dates differ, nothing for none; None where that is open."""
    if a.year and r.year and a.year == -r.year and 0 in (a.era, r.era):
        return None
    for part in ("year", "month", "day"):
        ours, theirs = getattr(a, part), getattr(r, part)
        if ours is not None and theirs is not None and ours != theirs:
            return part
    if a.time is None or r.time is None:
        return ""
    same = same_time(a.time, r.time)
    return None if same is None else "" if same else "time"


def _left_out(a: Date, r: Date, part: str, question: str, asked: frozenset[str]) -> bool:
    """Whether one date lacks a part that the question asks for and does not hold."""
    ours, theirs = getattr(a, part), getattr(r, part)
    if (ours is None) == (theirs is None):
        return part in asked and ours is None
    if asked and part not in asked:
        return False
    stated = ours if theirs is None else theirs
    return not (part == "year" and re.search(rf"\b{abs(stated)}\b", question[:_MOST_QUESTION]))
