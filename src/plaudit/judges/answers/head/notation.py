"""References that are symbols: formulas, elements, blood types, codes. They are read to the letter.

A symbol differs from another one in a letter's case, a digit's place or a sign, all of which the
words of a text are folded over.
"""

import re
import unicodedata
from functools import lru_cache

_LONGEST = 20
_READ = 300
"""Characters of an answer in which other symbols are looked for."""
_HELD = 6000
"""Characters of an answer above which it holds no symbol."""
_EDGES = ".,:;!?\"'()[]*"
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_CASED = 2
"""Letters in a row up to which their case counts: Co and CO, aa and AA."""
_PART = re.compile(r"[^\W\d_]+|\d+|\S")
_COMMON = re.compile(r"\d+(?:st|nd|rd|th|s)|[a-z]+", re.IGNORECASE | re.ASCII)
"""Ordinals, decades, and plain words."""
_SIGNED = re.compile(r"[A-Za-z]{1,3}[-+#]{1,3}")
_SHORT_LETTERS = re.compile(r"[A-Za-z]{1,2}")
_TERM = re.compile(
    r"(?=[^-+*/^=<>!'()]{0,20}[-+*/^=<>!'()])(?=[^A-Za-z!^]{0,20}[A-Za-z!^])"
    r"(?:[A-Za-z]{1,2}(?![A-Za-z])|\d+|[-+*/^=<>!'()]){2,20}"
)
"""A formula: x+y, n!, f', -x."""
_RAISED = str.maketrans({c: f"^{n}" for n, c in enumerate(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")})  # fmt: skip
_BEFORE = r"(?<![^\W_])(?<![-+*/^])(?<![+*/^]\s)"
_BEHIND = r"(?![^\W_])(?![!'^*/=]|[-+#]+(?!\w))(?!\s{0,2}[-+*/^=<>]\s{0,2}[A-Za-z0-9]{1,2}(?!\w))"
_WORDS = frozenset({"no", "us", "uk", "un", "eu", "tv", "la", "dc", "me", "ii", "iv", "vi", "ja",
                    "si"})  # fmt: skip
"""Short words and abbreviations whose case does not count."""


def is_symbol(text: str) -> bool:
    """Whether a reference is a symbol: letters with digits or signs, or one or two letters."""
    text = _plain(text.strip())
    if text.casefold() in _WORDS:
        return False
    return bool(_SHORT_LETTERS.fullmatch(text) or _TERM.fullmatch(text)) or _is_mixed(text)


def others(answer: str, symbol: str) -> bool:
    """Whether an answer holds another symbol: other digits, or another first letter."""
    own, first = _DIGITS.findall(symbol), _LETTER.search(symbol)
    for token in _plain(answer[:_READ]).replace("^", "").split():
        given = token.strip(_EDGES)
        letter = _LETTER.search(given)
        if _is_mixed(given) and letter and first:
            alike = letter[0].casefold() == first[0].casefold()
            if not alike or _DIGITS.findall(given) != own:
                return True
    return False


def _is_mixed(text: str) -> bool:
    """Whether a word holds letters with digits, or ends in a sign."""
    if len(text) > _LONGEST or not text.isascii() or any(c.isspace() for c in text):
        return False
    if _SIGNED.fullmatch(text):
        return True
    mixed = any(c.isalpha() for c in text) and any(c.isdigit() for c in text)
    return mixed and not _COMMON.fullmatch(text)


def holds(answer: str, symbol: str) -> bool:
    """Whether an answer holds a symbol as it is written, spaces and hyphens between runs aside."""
    return len(answer) <= _HELD and bool(_pattern(symbol.strip()).search(_plain(answer)))


def is_raised(answer: str, number: str) -> bool:
    """Whether an answer holds a number only with a sign that makes another one of it: 5!"""
    found = _plain(answer[:_HELD])
    return f"{number}!" in found or f"{number}^" in found


def _plain(text: str) -> str:
    """Return a text with its lowered characters on the line, and a mark before raised digits."""
    return unicodedata.normalize("NFKC", text.translate(_RAISED)).replace("\u2212", "-")


@lru_cache(1024)
def _pattern(symbol: str) -> re.Pattern[str]:
    parts = _PART.findall(_plain(symbol.strip()))
    longest = max((len(p) for p in parts if p.isalpha()), default=0)
    loose = longest > _CASED
    body = r"[\s-]?".join(re.escape(p) for p in parts if not loose or p != "-")
    return re.compile(_BEFORE + body + _BEHIND, re.IGNORECASE if loose else 0)
