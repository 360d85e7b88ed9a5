"""Names of persons: with or without middle name, initials, titles, accents; surname first.

A surname alone, a first name alone and a nickname are no names here: whose they are, only the
question can say. Jr, Sr and the numbers of kings are part of a name.
"""

import re
import unicodedata

import msgspec

from plaudit.judges.answers.types.words import fold

_MAX_LENGTH = 80
_MAX_WORDS = 8
_MAX_QUESTION = 2_000
_PERSON = re.compile(
    r"\b(?:who|whom|whose|author|writer|poet|composer|painter|artist|inventor|scientist|actor|"
    r"actress|singer|director|president|minister|king|queen|emperor|leader|founder|person|man|"
    r"woman|player|captain|character|detective|"
    r"wer|wen|wem|qui|qui\u00e9n|chi|quem|autor|autora|auteur|autore)\b",
    re.IGNORECASE,
)
_TITLES = frozenset(
    {
        "dr", "mr", "mrs", "ms", "miss", "sir", "dame", "lord", "lady", "prof", "professor",
        "president", "king", "queen", "prince", "princess", "emperor", "empress", "pope",
        "captain", "general", "colonel", "admiral", "senator", "chancellor", "rev",
        "reverend", "doctor", "herr", "frau", "monsieur", "madame", "se\u00f1or",
    }
)  # fmt: skip
_CLEAR_TITLES = frozenset({"dr", "mr", "mrs", "ms", "sir", "prof", "professor"})
_MAKER = re.compile(
    r"\b(?:author|writer|poet|composer|painter|artist|inventor|scientist|actor|actress|singer|"
    r"director|president|wrote|written|composed|painted|invented|discovered|directed|sang|sculpted|"
    r"born|married|father|mother|wife|husband|son|daughter|played|starred|name of the)\b",
    re.IGNORECASE,
)
"""What only a person does or is: only there may a whole middle name be left out."""
_BODIES = frozenset(
    {
        "party", "navy", "army", "force", "air", "university", "college", "school", "club", "city",
        "company", "corporation", "motors", "electric", "airlines", "bank", "republic", "kingdom",
        "states", "united", "union", "league", "association", "institute", "church", "house",
        "society", "group", "team", "band", "brothers", "sisters", "county", "state", "new",
        "north", "south", "east", "west", "royal", "national", "american", "british", "black",
        "white", "red", "street", "river", "lake", "mount", "sea", "ocean", "island", "islands",
        "war", "museum",
        "railway", "court", "council", "office", "agency", "guard", "tower", "bridge", "square",
        "great", "los", "las", "san", "santa", "real", "world",
    }
)  # fmt: skip
"""Words in names of what is no person."""
_SUFFIX = re.compile(r"(?i:jr|sr|junior|senior)|(?=[IVX])(?:X{0,2}(?:IX|IV|V?I{0,3}))")
_WRITTEN_OUT = {"junior": "jr", "senior": "sr"}
_PARTICLES = frozenset(
    {
        "van", "von", "de", "da", "di", "du", "del", "della", "der", "den", "la", "le", "el",
        "al", "bin", "ibn", "dos", "das", "of", "the", "y",
    }
)  # fmt: skip
_LETTERS = str.maketrans(
    {
        "\u00f8": "o", "\u00d8": "O", "\u0142": "l", "\u0141": "L", "\u0111": "d", "\u0110": "D",
        "\u00df": "ss", "\u00e6": "ae", "\u00c6": "Ae", "\u0153": "oe", "\u0152": "Oe",
        "\u0131": "i", "\u00f0": "d", "\u00fe": "th",
    }
)  # fmt: skip
_MARKS = re.compile("[\u0300-\u036f]")
_TOKEN = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*\.?|,|\S")
_RUN = re.compile(r"(?:[A-Z]\.){2,3}|[A-Z]{2,3}")
_MIDDLE_COUNTS = frozenset({("john", "adams"), ("george", "bush"), ("john", "bach")})
"""First name and surname of persons who differ only in a middle name."""
_LEADING = re.compile(
    r"\A(?i:(?:(?:the|correct|answer|it|he|she|this|that|name|was|is|his|her|by|its|it's|that's)\s+)"
    r"{1,6})(?=\S)"
)


class Name(msgspec.Struct, frozen=True):
    """The parts of a name, in lower case and without accents."""

    title: str
    first: str
    middle: tuple[str, ...]
    surname: str
    suffix: str


def equal(answer: str, reference: str, question: str) -> bool:
    """Whether two texts are the same name of a person, where the reference is such a name."""
    if max(len(answer), len(reference)) > _MAX_LENGTH or not reference[:1].isupper():
        return False
    wanted = read(reference)
    if wanted is None or not _is_person(wanted, question):
        return False
    given = read(_LEADING.sub("", answer))
    return given is not None and _same(given, wanted, question)


def unaccented(text: str) -> str:
    """Return a text without accents, and with the plain letters of \u00f8, \u0142, \u00e6, ..."""
    if text.isascii():
        return text
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.translate(_LETTERS)))


def read(text: str) -> Name | None:
    """Read a text that is the name of one person, with a first name and a surname."""
    tokens: list[str] = _TOKEN.findall(_split_initials(fold(text).strip().rstrip(".!")))
    if not 2 <= len(tokens) <= _MAX_WORDS:
        return None
    title, tokens = _title(tokens)
    parts, suffix = _suffix(tokens)
    parts = _surname_last(parts)
    if len(parts) < (1 if suffix else 2) or not all(_is_part(part) for part in parts):
        return None
    plain = [unaccented(part).rstrip(".").replace("'", "").casefold() for part in parts]
    middle = tuple(part for part in plain[1:-1] if part not in _PARTICLES)
    first = plain[0] if len(plain) > 1 else ""  # Henry VIII
    return Name(title, first, middle, plain[-1], suffix) if len(plain[-1]) > 1 else None


def _split_initials(text: str) -> str:
    """Write J.R.R. and JRR as J. R. R., but for a text in capitals."""
    if text.isupper():
        return text
    return " ".join(_initials(word) for word in text.split())


def _initials(word: str) -> str:
    bare = word.rstrip(",")
    if not _RUN.fullmatch(bare) or _SUFFIX.fullmatch(bare):
        return word
    return " ".join(f"{letter}." for letter in bare if letter != ".") + word[len(bare) :]


def _title(tokens: list[str]) -> tuple[str, list[str]]:
    first = tokens[0].rstrip(".").casefold()
    return (first, tokens[1:]) if first in _TITLES else ("", tokens)


def _suffix(tokens: list[str]) -> tuple[list[str], str]:
    last = tokens[-1].rstrip(".") if tokens else ""
    if len(tokens) < 2 or not last or not _SUFFIX.fullmatch(last):
        return tokens, ""
    rest = tokens[:-1]
    lower = last.casefold()
    return rest[:-1] if rest[-1] == "," else rest, _WRITTEN_OUT.get(lower, lower)


def _surname_last(tokens: list[str]) -> list[str]:
    """Turn "Tolkien, J. R. R." round."""
    if tokens.count(",") != 1:
        return tokens
    comma = tokens.index(",")
    return tokens[comma + 1 :] + tokens[:comma]


def _is_part(token: str) -> bool:
    return token[0].isalpha() and (token[0].isupper() or token.rstrip(".") in _PARTICLES)


def _is_person(name: Name, question: str) -> bool:
    if not _BODIES.isdisjoint((name.first, *name.middle, name.surname)):
        return False
    if name.title in _CLEAR_TITLES or any(len(part) == 1 for part in (name.first, *name.middle)):
        return True
    return bool(_PERSON.search(question[-_MAX_QUESTION:]))


def _same(a: Name, b: Name, question: str) -> bool:
    if a.surname != b.surname or a.suffix != b.suffix:
        return False
    if a.title and b.title and a.title != b.title:
        return False
    return _agree(a.first, b.first) and _same_middle(a, b, question)


def _same_middle(a: Name, b: Name, question: str) -> bool:
    if len(a.middle) == len(b.middle):
        return all(map(_agree, a.middle, b.middle))
    if (a.middle and b.middle) or len(a.first) < 2 or a.first != b.first:
        return False
    if (a.first, a.surname) in _MIDDLE_COUNTS:
        return False
    initials = all(len(part) == 1 for part in a.middle + b.middle)
    return initials or bool(_MAKER.search(question[-_MAX_QUESTION:]))


def _agree(one: str, other: str) -> bool:
    """Whether two parts are the same, or one is the initial of the other."""
    return one == other or (min(len(one), len(other)) == 1 and one[0] == other[0])
