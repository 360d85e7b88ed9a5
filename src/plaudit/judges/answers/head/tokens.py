"""Words of a text, folded so that spellings of one word meet, and where each of them stands."""

import re
import unicodedata
from functools import lru_cache

import msgspec

ENDS = 3000
"""Characters that are read from the beginning, and again from the end, of a long text."""
_LONGEST = 40
"""Characters of a word that are looked at."""

_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
_LOWERED = str.maketrans({c: f" {n}" for n, c in enumerate(_RAISED)})
_DASHES = str.maketrans({"\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2019": "'", "\u02bc": "'",
                         "\u00ad": "", "\u200b": "", "\ufeff": ""})  # fmt: skip
_DOTTED = re.compile(r"\b(?:[^\W\d_]\.){2,8}")
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)*(?:(?:st|nd|rd|th|s)\b)?"
    r"|[^\W\d_]+(?:'[^\W\d_]+)?"
    r"|(?<!\w)[-+](?=\.?\d)"  # a sign before a number
    r"|(?<=\w)[-+#]{1,4}(?=$|[\s()\[\]\"'?!.,;:])"  # a sign behind a word: O-, C++, C#
    r"|[%$\u20ac\u00a3\u00a5\u00b0=/&<>^]|[.,:;!?\n()\[\]{}\"\u201c\u201d\u2014\u2013]"
)
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_ROMAN = re.compile(r"(X{0,3})(IX|IV|V?I{0,3})")
_UNITS = {"$": "dollar", "\u20ac": "euro", "\u00a3": "pound", "\u00a5": "yen", "%": "percent",
          "\u00b0": "degree"}  # fmt: skip
_SIGNS = frozenset("=/&<>^+-#")


def _split(words: str) -> list[str]:
    return words.split()


_NAMED = _split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
_RANKED = _split(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_TENS = _split("thirty forty fifty sixty seventy eighty ninety")
_MONTHS = _split("jan feb mar apr jun jul aug sep sept oct nov dec")
_FULL_MONTHS = _split(
    "january february march april june july august september september october november december"
)
_SAME = (
    {word: str(n) for n, word in enumerate(_NAMED)}
    | {word: str(n) for n, word in enumerate(_RANKED)}
    | {word: str(n * 10) for n, word in enumerate(_TENS, 3)}
    | dict(zip(_MONTHS, _FULL_MONTHS, strict=True))
    | {"usa": "us", "kg": "kilogram", "km": "kilometer", "kilometre": "kilometer"}
    | {"ft": "foot", "feet": "foot", "yr": "year", "hr": "hour", "min": "minute", "sec": "second"}
    | {"litre": "liter", "metre": "meter", "junior": "jr", "senior": "sr", "saint": "st"}
)

STOP = frozenset(
    _split(
        "a an the of in on at by for from to with and as is are was were be been being it its "
        "this that these those there he she they his her their him them which who whom whose what "
        "when where how has have had do does did will would can into also so then than about during"
    )
)
"""Words that carry no answer by themselves."""


_TITLES = frozenset(_split("mr mrs ms dr st jr sr prof no vs mt ft gen lt col sgt capt rev"))
"""What a full stop follows without an end of the sentence."""


class Word(msgspec.Struct, frozen=True, gc=False):
    """A word or sign of a text, and where it stands."""

    text: str
    """Folded: lower case, no accent, no plural s, numbers in digits."""
    capital: bool
    number: bool
    sign: bool
    sentence: int
    clause: int
    """Counts on where a comma, colon, dash or bracket parts a sentence; never begins anew."""
    enclosed: bool
    """Whether it stands in brackets."""
    quoted: bool
    initial: bool
    """A letter that a full stop follows."""
    opens: bool
    """Whether it is the first of its sentence."""


def read_words(text: str) -> list[Word]:
    """Return the words of a text; of a long one those of its beginning and its end."""
    text = fold(text)
    words: list[Word] = []
    sentence = clause = depth = 0
    quoted, opens = False, True
    for match in _TOKEN.finditer(text):
        token = match[0]
        first = token[0]
        if first.isalnum() or token in _UNITS or first in _SIGNS:
            dotted = (
                len(token) == 1 and first.isalpha() and text[match.end() : match.end() + 1] == "."
            )
            words.append(Word(
                canonical(token), first.isupper(), first.isdecimal(), first in _SIGNS,
                sentence, clause, depth > 0, quoted, dotted, opens,
            ))  # fmt: skip
            opens = False
            continue
        clause += 1
        if first in '"\u201c\u201d':
            quoted = not quoted
        elif first in "([{":
            depth += 1
        elif first in ")]}":
            depth = max(0, depth - 1)
        elif first in "!?;\n" or (first == "." and _ends(text, match.end(), words)):
            sentence, depth, opens = sentence + 1, 0, True
    return words


def fold(text: str) -> str:
    """Return the part of a text that is read, without accents and dots of abbreviations."""
    if len(text) > 2 * ENDS:
        text = f"{text[:ENDS]}\n{text[-ENDS:]}"
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(_LOWERED)).translate(_DASHES)
        text = "".join(c for c in text if not unicodedata.combining(c))
    return _DOTTED.sub(lambda dotted: dotted[0].replace(".", ""), text)


def _ends(text: str, end: int, words: list[Word]) -> bool:
    """Whether a full stop ends a sentence: no initial, no title before it, a space behind it."""
    after = text[end : end + 1]
    if after and not after.isspace():
        return False
    return not words or not (words[-1].initial or words[-1].text in _TITLES)


@lru_cache(8192)
def canonical(token: str) -> str:
    """Return how a word, number or sign is compared."""
    if token in _UNITS:
        return _UNITS[token]
    if token[0].isdecimal():
        ordinal = _ORDINAL.fullmatch(token)
        token = ordinal[1] if ordinal else token
        return (token.replace(",", "") if _THOUSANDS.fullmatch(token) else token)[:_LONGEST]
    if 1 < len(token) <= 6 and token.isupper():
        roman = _ROMAN.fullmatch(token)
        if roman:
            return str(_roman(roman[1], roman[2]))
    word = token.casefold()[:_LONGEST].removesuffix("'s").replace("'", "")
    word = _SAME.get(word, word)
    if len(word) > 3 and word[-1] == "s" and word[-2] not in "su":
        word = _SAME.get(word[:-1], word[:-1])
    return word


def _roman(tens: str, ones: str) -> int:
    values = {"": 0, "I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8}
    return 10 * len(tens) + (9 if ones == "IX" else values[ones])
