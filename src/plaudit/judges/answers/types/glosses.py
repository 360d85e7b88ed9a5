"""Answers that write a name twice: "WV (West Virginia)", "Hg (mercury)", "Der Safran (saffron)"."""

import re
from difflib import SequenceMatcher

from plaudit.judges.answers.types.elements import SYMBOLS

_LONGEST = 120
_SHORT = re.compile(
    r"(?:the )?(?P<short>[A-Z][A-Za-z.]{0,6})"
    r"(?: \((?P<kept>[^()]{2,60})\)|, (?:i\.e\.,? |that is,? )?(?P<after>[^(),]{2,60}))\.?"
)
_FOREIGN = re.compile(r"(?P<before>[^()\n]{2,80}) \((?P<kept>[^()]{2,40})\)\.?")
_ARTICLE = re.compile(r"(?:l'|(?:der|die|das|le|la|les|el|los|las|o|os|il|lo|gli) )", re.IGNORECASE)
_ALIKE = 0.6
"""Share of letters up to which two words of two languages are one name."""


def glossed(answer: str) -> str | None:
    """Return the name that an abbreviation or a foreign word before it stands for, or None."""
    if len(answer) > _LONGEST:
        return None
    short = _SHORT.fullmatch(answer)
    if short:
        kept = short["kept"] or short["after"]
        return kept if _abbreviates(short["short"].replace(".", ""), kept) else None
    foreign = _FOREIGN.fullmatch(answer)
    if foreign and _is_foreign(foreign["before"]) and not _ARTICLE.match(foreign["kept"]):
        return foreign["kept"] if _ends_alike(foreign["before"], foreign["kept"]) else None
    return None


def _abbreviates(short: str, name: str) -> bool:
    """Whether letters are the symbol of an element, the initials of a name, or its beginning."""
    words = re.findall(r"[^\W\d_]+", name)
    initials = "".join(word[0] for word in words).upper()
    begins = len(words) == 1 and len(short) > 2 and name.casefold().startswith(short.casefold())
    return SYMBOLS.get(name.casefold()) == short or begins or (len(short) > 1 and initials == short)


def _is_foreign(text: str) -> bool:
    return _ARTICLE.match(text) is not None or not text.isascii()


def _ends_alike(before: str, name: str) -> bool:
    """Whether the last words of a text are much like a name."""
    size = len(name.split())
    words = re.split(r"[\s'\u2019]+", before.casefold().strip(" ."))[-size:]
    return SequenceMatcher(None, " ".join(words), name.casefold()).ratio() >= _ALIKE
