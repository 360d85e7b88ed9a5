"""Symbols in words and in signs: "O positive" is O+, "U-235" is uranium-235."""

import re

from plaudit.judges.answers.types.elements import KNOWN, SYMBOLS
from plaudit.judges.answers.types.number_words import leading_words
from plaudit.judges.answers.types.words import fold, without_latex

_LONGEST = 40
_SIGNS = {
    "positive": "+",
    "plus": "+",
    "negative": "-",
    "minus": "-",
    "sharp": "#",
    "flat": "\u266d",
}
_IN_WORDS = re.compile(
    r"(?:(?:blood )?(?:type|group) )?(?P<letters>[A-Z]{1,2})[ -](?:Rh(?:esus)?[ -])?"
    r"(?P<signs>(?:positive|negative|plus|minus|sharp|flat)(?:[ -](?:plus|minus))?)"
    r"(?P<minor> minor)?",
    re.IGNORECASE,
)
_IN_SIGNS = re.compile(
    r"(?P<letters>[A-Z]{1,2}) ?(?:Rh ?)?(?P<signs>[+-]{1,2}|[#\u266d\u266f])(?P<minor>m| minor)?"
)
_MINOR = re.compile(r"(?P<key>[A-G])(?:m| minor)")
_RAISED = re.compile(r"\^\{?(?P<mass>\d{1,3})\}?(?P<name>[A-Z][a-z]?)")
_NAMED = re.compile(
    r"(?P<name>[A-Z][a-z]?(?=-)|[A-Za-z]{3,13})[- ](?P<mass>\d{1,3}|[a-z]+(?:-[a-z]+)?)"
)


def same_symbol(answer: str, reference: str) -> bool:
    """Whether two short texts are one symbol or isotope, in words or in signs; case counts."""
    if max(len(answer), len(reference)) > _LONGEST:
        return False
    wanted = _read(reference)
    return wanted is not None and _read(answer) == wanted


def _read(text: str) -> str | None:
    """Return a symbol in signs, or an isotope as `C-14`; None for other texts."""
    text = fold(without_latex(text)).strip(" .\"'*`")
    found = _IN_WORDS.fullmatch(text) or _IN_SIGNS.fullmatch(text)
    if found:
        signs = "".join(
            _SIGNS.get(part, part)
            for part in re.split(r"(?<=\w)[ -](?=\w)", found["signs"].casefold())
        )
        letters = found["letters"]
        known = letters.isupper()
        return (
            letters + signs.replace("\u266f", "#") + ("m" if found["minor"] else "")
            if known
            else None
        )
    minor = _MINOR.fullmatch(text)
    return f"{minor['key']}m" if minor else _isotope(text)


def _isotope(text: str) -> str | None:
    found = _RAISED.fullmatch(text) or _NAMED.fullmatch(text)
    if found is None:
        return None
    name = found["name"]
    symbol = name if name in KNOWN else SYMBOLS.get(name.casefold())
    mass = found["mass"] if found["mass"].isdigit() else _whole(found["mass"])
    return f"{symbol}-{mass}" if symbol and mass else None


def _whole(text: str) -> str:
    """Return the digits of a whole number in words; nothing for other words."""
    found = leading_words(text)
    return str(found[0].value) if found and not found[1] and not found[0].ordinal else ""
