"""How large a formula may be. What is larger is not sent to the computer algebra system."""

import re

MAX_LENGTH = 1_000
"""Characters."""
MAX_DIGITS = 300
"""Digits in all."""
MAX_DEPTH = 30
"""Brackets within brackets."""

_NO_TEXT = re.compile("[\x00-\x08\ud800-\udfff]")
_DIGIT = re.compile(r"\d")
_RUN_OF_DIGITS = re.compile(r"\d{61}")
_LARGE_EXPONENT = re.compile(r"(?:\^|\*\*)\s*[{(]?\s*[-+]?\s*\d[\d,.]{4}")
_POWER_OF_A_POWER = re.compile(
    r"(?:\^|\*\*)\s*\d+\s*(?:\^|\*\*|!)"  # 9^9^9
    r"|(?:\^|\*\*)\s*[{(][^{}()]*\d\s*"  # 10^{10^{10}}, but not 2^{3^2}
    r"(?:!|(?!(?<=[^\d]\d)\^\s*\{?[1-3]\}?(?!\s*[\d^!*]))(?:\^|\*\*)\s*[{(]*\s*[-+]?\d)"
)
_LARGE_FACTORIAL = re.compile(r"!\s*!|\d{4}\s*!|!\s*[)}\]]+\s*!")
_MAX_TOWER = 3
_OPEN, _CLOSED = "{([", "})]"


def too_large(text: str) -> str | None:
    """Return what of a formula is too large, or no text, to be compared, or None.

    Args:
        text: any text; the time is linear in at most `MAX_LENGTH` characters.
    """
    if len(text) > MAX_LENGTH:
        return f"a formula of more than {MAX_LENGTH:,} characters"
    if _NO_TEXT.search(text):
        return "characters of no text"
    if _RUN_OF_DIGITS.search(text) or len(_DIGIT.findall(text)) > MAX_DIGITS:
        return "a number of too many digits"
    if _LARGE_EXPONENT.search(text) or _POWER_OF_A_POWER.search(text):
        return "an exponent that is too large"
    if _LARGE_FACTORIAL.search(text):
        return "a factorial that is too large"
    return _too_deep(text)


def _too_deep(text: str) -> str | None:
    """Look for brackets, and for powers in powers, that stand too deep."""
    opened: list[bool] = []
    for place, char in enumerate(text):
        if char in _OPEN:
            opened.append(text[:place].rstrip().endswith(("^", "**")))
        elif char in _CLOSED and opened:
            opened.pop()
        if len(opened) > MAX_DEPTH:
            return f"brackets that are more than {MAX_DEPTH} deep"
        if sum(opened) > _MAX_TOWER:
            return f"exponents that are more than {_MAX_TOWER} deep"
    return None
