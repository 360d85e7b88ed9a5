"""Sizes and ages as people write them: `50GB`, `30d`."""

import re
from datetime import timedelta

from plaudit.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?")
_AGE = re.compile(r"(\d+(?:\.\d+)?) ?([hdwy])")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}


def parse_size(text: str) -> int:
    """Return the bytes that `50GB`, `800 MiB` or `1.5T` means; GB is 10^9, GiB is 2^30.

    Raises:
        UsageError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is not a size: write 800MB, 50GB or 1.5TB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit])


def format_size(size: float) -> str:
    """Return a number of bytes for a person, in decimal units."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.3g} {unit}"


def parse_age(text: str) -> timedelta:
    """Return the time that `12h`, `30d`, `2w` or `1y` means.

    Raises:
        UsageError: it is no time.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is not an age: write 12h, 30d, 2w or 1y")
    return timedelta(hours=float(match[1]) * _HOURS[match[2]])
