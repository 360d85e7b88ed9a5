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
"""Characters of an answer in which the symbol itself is looked for."""
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
_WORDS = frozenset({"no", "us", "uk", "un", "eu", "tv", "la", "dc", "me", "ii", "iv", "vi", "ja",
                    "si"})  # fmt: skip
"""Short words and abbreviations whose case does not count."""


def is_symbol(text: str) -> bool:
    """Whether a reference is a symbol: letters with digits or signs, or one or two letters."""
    text = _plain(text.strip())
    if text.casefold() in _WORDS:
        return False
    return bool(_SHORT_LETTERS.fullmatch(text)) or _is_mixed(text)


def others(answer: str, symbol: str) -> bool:
    """Whether an answer holds another symbol: other digits, or another first letter."""
    own, first = _DIGITS.findall(symbol), _LETTER.search(symbol)
    for token in _plain(answer[:_READ]).split():
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
    return bool(_pattern(symbol).search(_plain(answer[:_HELD])))


def _plain(text: str) -> str:
    """Return a text with its raised and lowered characters on the line."""
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-")


@lru_cache(1024)
def _pattern(symbol: str) -> re.Pattern[str]:
    parts = _PART.findall(_plain(symbol.strip()))
    longest = max((len(p) for p in parts if p.isalpha()), default=0)
    body = r"[\s-]?".join(re.escape(p) for p in parts if p != "-" or p == parts[-1])
    behind = r"(?![^\W_])(?![-+#]+(?!\w))"
    return re.compile(rf"(?<![^\W_]){body}{behind}", re.IGNORECASE if longest > _CASED else 0)
