"""Scores as JSON says them."""

import math

from msgspec import Raw

from plaudit.errors import InputError


def finite(score: float | None) -> float | None:
    """Return a score; None for one that is not finite, behind which there is no judgement."""
    return score if score is not None and math.isfinite(score) else None


def score_of(raw: Raw) -> float | None:
    """Return a score of a step, read as NVIDIA's toolkit reads it.

    Numbers as text are numbers; true is 1 and false 0. None where it is missing, null, not finite
    or too large.

    Raises:
        InputError: it is a text that is no number, a list or an object.
    """
    data = _without_quotes(raw)
    if data in (b"", b"null") and bytes(raw) == data:
        return None
    try:
        return finite(float(_BOOLEANS.get(data, data)))
    except (ValueError, OverflowError):
        kind = {34: "a text that is no number", 91: "a list", 123: "an object"}
        raise InputError(f"the score is {kind.get(bytes(raw)[0], 'no number')}") from None


def index_of(raw: Raw) -> int | None:
    """Return an index of a step, read likewise; None where it is missing or null.

    Raises:
        InputError: it is no whole number of 0 or more.
    """
    data = _without_quotes(raw)
    if data in (b"", b"null") and bytes(raw) == data:
        return None
    data = _BOOLEANS.get(data, data)
    try:
        number = int(data) if data.lstrip(b"+").isdigit() else _whole(float(data))
    except (ValueError, OverflowError):
        number = -1
    if number < 0:
        raise InputError(f"candidate_index {bytes(raw)[:40].decode()} is no index")
    return number


_BOOLEANS = {b"true": b"1", b"false": b"0"}


def _without_quotes(raw: Raw) -> bytes:
    """Return a JSON number, or what a JSON text holds; as a text, true and null are none."""
    data = bytes(raw)
    if data[:1] != b'"':
        return data
    held = data[1:-1].strip()
    return b"" if held in (b"true", b"false", b"null") else held


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError(number)
    return int(number)
