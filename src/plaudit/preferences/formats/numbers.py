"""Scores as JSON says them."""

import math

from msgspec import Raw

from plaudit.errors import InputError


def finite(score: float | None) -> float | None:
    """Return a score; None for one that is not finite, behind which there is no judgement."""
    return score if score is not None and math.isfinite(score) else None


def score_of(raw: Raw) -> float | None:
    """Return a score as it stands in JSON; None where it is missing, null, a boolean or too large.

    Raises:
        InputError: it is a text, a list or an object.
    """
    data = bytes(raw)
    if data in (b"", b"null", b"true", b"false"):
        return None
    try:
        return finite(float(data))
    except ValueError:
        kind = {34: "a text", 91: "a list", 123: "an object"}.get(data[0], "no number")
        raise InputError(f"the score is {kind}") from None
