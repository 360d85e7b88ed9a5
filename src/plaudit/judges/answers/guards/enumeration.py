"""Whether a text lists many candidates, of which one is a reference, and chooses none."""

import re
from collections.abc import Sequence
from fractions import Fraction

_LOOKED_AT = 2_000
_REFERENCES = 200
_SEPARATOR = re.compile(
    r"(?:[;|\n\u3001]|,\s|\uff0c|\s/\s|/(?=[^\W\d])|\s(?:or|and|oder|und|ou|et)\s)\s*"
    r"(?:(?:or|and|oder|und|ou|et)\s)?(?:[-*\u2022]\s|\d{1,3}[.)]\s)?",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^(?:[-*\u2022]|\d{1,3}[.)])\s+")
_ARTICLE = re.compile(r"^(?:the|an?) ", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[^.\s]{3})[.!?](?:\s|$)")
_PLACE = re.compile(
    r"\b(?:where|city|town|place|located|location|address|born|state|county|date|when|day)\b",
    re.IGNORECASE,
)
_ONE_OF = re.compile(r"\b(?:one|any|either) (?:of|among)\b|\bcandidates\b", re.IGNORECASE)
_LEAD = re.compile(
    r"^(?:.{0,80}\b(?:one of|one among|among|either|any of|candidates?|options?|possibilities|"
    r"try)\b"
    r"(?: (?:is|are|of|the|these|following))*:?\s+|(?:it(?:'s| is| was)|these)\b:?\s+)",
    re.IGNORECASE,
)
_CANDIDATE = re.compile(
    r"(?:(?:the|a|an)\s)?(?!(?:which|with|for|in|from|by|to|as|but|not|because|since|who|that|then|"
    r"also|is|was|are|of|at|on|its|his|her|their|it|he|she|they|so|followed|where|when)\b)"
    r"\S+(?:\s\S+){0,3}",
    re.IGNORECASE,
)


def enumerates(question: str, text: str, references: Sequence[str]) -> bool:
    """Whether a text or one of its sentences lists four candidates, one of them a reference.

    Three numbers are enough. Parts of a place or a date are no candidates ("Paris, France"): six
    where the question asks for one. Only the first 2,000 characters and 200 references count.
    """
    text = text[:_LOOKED_AT].strip()
    if sum(map(text.count, ",;\n/|\u3001\uff0c")) < 2 and not _only_digits(text):
        return False
    least = 6 if _PLACE.search(question[:_LOOKED_AT]) else 4
    accepted = {_plain(reference) for reference in references[:_REFERENCES]}
    if "\n" in text or ";" in text or _ONE_OF.search(text):
        least = 4
    return any(_lists(part, accepted, least) for part in (text, *_SENTENCE.split(text)))


def _lists(text: str, accepted: set[str], least: int) -> bool:
    items = _items(text)
    if len(items) < 3 or sum(_plain(item) in accepted for item in items) != 1:
        return False
    if all(plain_value(item) is not None for item in items):
        return True
    return len(items) >= least and _one_kind(items, accepted)


def _items(text: str) -> list[str]:
    text = _LEAD.sub("", _BULLET.sub("", text.strip()))
    if _only_digits(text):
        return text.rstrip(".").split()
    return [item for part in _SEPARATOR.split(text) if (item := part.strip(" .*\"'"))]


def _one_kind(items: Sequence[str], accepted: set[str]) -> bool:
    """Whether all items look like the accepted one: short, and with a capital where it has one."""
    if not all(map(_CANDIDATE.fullmatch, items)):
        return False
    capital = any(item[0].isupper() for item in items if _plain(item) in accepted)
    return not capital or all(_ARTICLE.sub("", item)[:1].isupper() for item in items)


def _only_digits(text: str) -> bool:
    return text.replace(" ", "").rstrip(".").isdigit()


def _plain(text: str) -> str:
    return _ARTICLE.sub("", text.strip()).rstrip(".").casefold()


def plain_value(text: str) -> Fraction | None:
    """Return the value of a text that is one plain number or fraction, up to 60 digits."""
    text = text.replace(",", "").replace("$", "").replace("\u2212", "-").strip()
    fraction = re.fullmatch(r"(-?)\\[dt]?frac\{(\d{1,30})\}\{(\d{1,30})\}", text)
    if fraction:
        text = f"{fraction[1]}{fraction[2]}/{fraction[3]}"
    plain = re.fullmatch(r"(?:[A-Za-z]\s*=\s*)?(-?\d{0,30}(?:\.\d{1,30}|/\d{1,30})?)", text)
    try:
        return Fraction(plain[1]) if plain and plain[1] else None
    except (ValueError, ZeroDivisionError):
        return None
