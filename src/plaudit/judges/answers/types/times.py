"""Times of day: `3:30 pm`, `15:30`, `15h30`, `15.30 Uhr`, `3 o'clock`, `noon`."""

import re

import msgspec

from plaudit.judges.answers.types.number_words import leading_words
from plaudit.judges.answers.types.numerals import leading_digits


class TimeOfDay(msgspec.Struct, frozen=True):
    """A time of day."""

    hour: int
    """0 to 23; of a clock of 12 hours where `half` is unknown."""
    minute: int
    second: int | None
    sure: bool
    """Whether the text says which half of the day it is."""
    zone: str = ""


_TIME = re.compile(
    r"(?<![\d:./-])(?P<hour>\d{1,2})"
    r"(?::(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"(?: ?(?P<half>[ap])\.? ?m\b\.?|(?P<clock> uhr\b))?"
    r"|(?:[.](?P<minute2>\d{2}))? ?(?:(?P<half2>[ap])\.? ?m\b\.?|(?P<clock2>uhr\b)"
    r"|o'clock\b(?: (?P<half3>[ap])m\b)?)"
    r"|h(?P<minute3>\d{2})\b)(?![\d:])"
    r"(?: ?(?P<zone>utc|gmt|z|e[sd]t|et|c[sd]t|m[sd]t|p[sd]t|ce?st|cet|bst|ist|jst)\b)?"
    r"|(?:\b12 )?\b(?P<word>noon|midday|midnight)\b"
)


_HALF = re.compile(r" in the (morning|afternoon|evening)\b")


_SPOKEN = re.compile(
    r"\b(half|quarter|[a-z]+|\d{1,2})(?: minutes?)? (past|to) ([a-z]+|\d{1,2})"
    r"(?: ([ap])\.? ?m\b\.?)?"
)


def split_time(text: str) -> tuple[TimeOfDay | None, str] | None:
    """Return the time of day in a lower-case text and the rest; None where its time is none."""
    text = _HALF.sub(lambda part: " am" if part[1] == "morning" else " pm", text)
    match = _TIME.search(text)
    spoken = None if match else _SPOKEN.search(text)
    if match is None and spoken is None:
        return None, text
    time = _of_match(match) if match else _of_spoken(spoken) if spoken else None
    return (time, (_TIME if match else _SPOKEN).sub(" ", text, count=1)) if time else None


def _of_spoken(match: re.Match[str]) -> TimeOfDay | None:
    """Read `half past five`, `quarter to six`, `ten past 3 pm`."""
    minute = {"half": 30, "quarter": 15}.get(match[1]) or _whole(match[1])
    hour = _whole(match[3])
    if minute is None or hour is None or not (0 < minute < 60 and 1 <= hour <= 12):
        return None
    total = hour * 60 + (minute if match[2] == "past" else -minute)
    hour, minute = divmod(total % 720, 60)
    sure = match[4] is not None
    return TimeOfDay(
        (hour or (0 if sure else 12)) + (12 if match[4] == "p" else 0), minute, None, sure
    )


def _whole(text: str) -> int | None:
    found = leading_digits(text) or leading_words(text)
    return int(found[0].value) if found and not found[1] else None


def _of_match(match: re.Match[str]) -> TimeOfDay | None:
    if match["word"]:
        return TimeOfDay(0 if match["word"] == "midnight" else 12, 0, None, True)
    hour = int(match["hour"])
    minute = int(match["minute"] or match["minute2"] or match["minute3"] or 0)
    second = int(match["second"]) if match["second"] else None
    half = match["half"] or match["half2"] or match["half3"]
    if minute > 59 or (second or 0) > 59 or hour > 23 or (half and not 1 <= hour <= 12):
        return None
    clock = match["clock"] or match["clock2"] or match["minute3"]
    sure = bool(half or clock) or hour > 12 or match["hour"][0] == "0"
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    zone = (match["zone"] or "").replace("utc", "gmt").replace("z", "gmt")
    return TimeOfDay(hour, minute, second, sure, zone)


def same_time(a: TimeOfDay, r: TimeOfDay) -> bool | None:
    """Whether two times are the same; None where a half of the day or a zone is left out."""
    if a.zone != r.zone:
        return None
    if a.minute != r.minute or a.hour % 12 != r.hour % 12:
        return False
    if (a.second or 0) != (r.second or 0):
        return None if a.second is None or r.second is None else False
    if a.sure and r.sure:
        return a.hour == r.hour
    return True if a.sure == r.sure else None
