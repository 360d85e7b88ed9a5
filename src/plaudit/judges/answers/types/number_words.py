"""Numbers in words: English, and the commonest of German, French, Spanish and Italian."""

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice

from plaudit.judges.answers.types.numerals import Numeral

SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "lakh": 10**5,
    "crore": 10**7,
    "tausend": 10**3,
    "mille": 10**3,
    "mila": 10**3,
    "mil": 10**3,
    "millionen": 10**6,
    "millones": 10**6,
    "milioni": 10**6,
    "milliard": 10**9,
    "milliarde": 10**9,
    "milliarden": 10**9,
    "miliardi": 10**9,
    "billionen": 10**12,
    "billones": 10**12,
}
"""Words that multiply what stands before them; an `s` may follow the English and French ones."""

_WORD = re.compile(r"[^\W\d_]+")
_LEADING = re.compile(r"[^\W\d_]+(?:(?: |-| - )[^\W\d_]+)*")
_MOST_WORDS = 24
_LONGEST = 6
_ALSO_WORDS = ("once", "elf", "due", "otto", "cent", "mil", "sept", "venti", "un", "une", "uno")


def _words(text: str) -> list[str]:
    return text.split()


_EN = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_EN_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_EN_ORDINAL = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_DE = _words(
    "null eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn "
    "funfzehn sechzehn siebzehn achtzehn neunzehn"
)
_DE_TENS = _words("zwanzig dreissig vierzig funfzig sechzig siebzig achtzig neunzig")
_FR = _words(
    "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
    "seize dixsept dixhuit dixneuf"
)
_FR_TENS = _words("vingt trente quarante cinquante soixante")
_ES = _words(
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciseis diecisiete dieciocho diecinueve"
)
_ES_TENS = _words("veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa")
_ES_HUNDREDS = _words(
    "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos "
    "novecientos"
)
_IT = _words(
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici "
    "quindici sedici diciassette diciotto diciannove"
)
_IT_TENS = _words("venti trenta quaranta cinquanta sessanta settanta ottanta novanta")


def _english(n: int) -> str:
    if n < 20:
        return _EN[n]
    if n < 100:
        return _EN_TENS[n // 10 - 2] + (_EN[n % 10] if n % 10 else "")
    return _EN[n // 100] + "hundred" + (_english(n % 100) if n % 100 else "")


def _german(n: int) -> str:
    if n < 20:
        return _DE[n]
    if n < 100:
        one = _DE[n % 10].removesuffix("s") if n % 10 == 1 else _DE[n % 10]
        return (f"{one}und" if n % 10 else "") + _DE_TENS[n // 10 - 2]
    head = "ein" if n < 200 else _DE[n // 100]
    return f"{head}hundert" + (_german(n % 100) if n % 100 else "")


def _french(n: int) -> str:
    if n < 20:
        return _FR[n]
    if n < 70:
        link = "et" if n % 10 == 1 else ""
        return _FR_TENS[n // 10 - 2] + link + (_FR[n % 10] if n % 10 else "")
    if n < 80:
        return "soixante" + ("et" if n == 71 else "") + _FR[n - 60]
    if n < 100:
        return "quatrevingt" + (_FR[n - 80] if n > 80 else "s")
    head = "cent" if n < 200 else _FR[n // 100] + "cent"
    return head + (_french(n % 100) if n % 100 else "")


def _spanish(n: int) -> str:
    if n < 20:
        return _ES[n]
    if n < 100:
        if n % 10 == 0:
            return _ES_TENS[n // 10 - 2]
        return "veinti" + _ES[n % 10] if n < 30 else f"{_ES_TENS[n // 10 - 2]}y{_ES[n % 10]}"
    if n == 100:
        return "cien"
    return _ES_HUNDREDS[n // 100 - 1] + (_spanish(n % 100) if n % 100 else "")


def _italian(n: int) -> str:
    if n < 20:
        return _IT[n]
    if n < 100:
        tens = _IT_TENS[n // 10 - 2]
        return (tens[:-1] if n % 10 in (1, 8) else tens) + (_IT[n % 10] if n % 10 else "")
    head = "cento" if n < 200 else _IT[n // 100] + "cento"
    return head + (_italian(n % 100) if n % 100 else "")


def _ordinal(cardinal: str) -> str:
    """Return the English ordinal: `twentyfirst` of `twentyone`."""
    for word, ordinal in _EN_ORDINAL.items():
        if cardinal.endswith(word):
            return cardinal.removesuffix(word) + ordinal
    return (cardinal[:-1] + "ie" if cardinal.endswith("y") else cardinal) + "th"


def _english_forms(n: int) -> Iterator[str]:
    word = _english(n)
    forms = [word, word.replace("hundred", "hundredand")] if n > 100 and n % 100 else [word]
    yield from forms
    if 100 <= n < 200:
        yield from ("a" + form.removeprefix("one") for form in forms)


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, int], dict[str, int]]:
    """Return cardinals and English ordinals from 0 to 999, without spaces, hyphens and accents."""
    others = (_german, _french, _spanish, _italian)
    cardinals = {spell(n): n for spell in others for n in range(1000)}
    cardinals |= {
        "ein": 1,
        "eine": 1,
        "hundert": 100,
        "eintausend": 1000,
        "veintiun": 21,
        "deuxcents": 200,
    }
    for spell, thousand in ((_german, "tausend"), (_italian, "mila")):
        cardinals |= {spell(n) + thousand: 1000 * n for n in range(2, 1000)}
    cardinals |= {f"{_FR[n]}cents": 100 * n for n in range(2, 10)}
    for word in _ALSO_WORDS:
        cardinals.pop(word, None)
    english = {form: n for n in range(1000) for form in _english_forms(n)}
    ordinals = {_ordinal(form): n for form, n in english.items() if n}
    return cardinals | english | {"nought": 0, "nil": 0, "none": 0}, ordinals


@lru_cache(maxsize=1)
def first_words() -> frozenset[str]:
    """Return the words that a number in words may begin with; a quick way to see that none does."""
    english = {*_EN, *_EN_TENS, "nought", "nil", "none", "a", "an", "half", "hundred", "dozen"}
    cardinals, ordinals = _tables()
    return frozenset(english | set(cardinals) | set(ordinals) | {"cent", "ciento", "mille"})


def _unaccented(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in folded if not unicodedata.combining(c))


def scale_of(word: str) -> int | None:
    """Return what a word multiplies by: 1,000,000 for `million`, `Millionen`; None for others."""
    word = _unaccented(word)
    return SCALES.get(word) or SCALES.get(word.removesuffix("s"))


def leading_words(text: str) -> tuple[Numeral, str] | None:
    """Return the number in words at the beginning of a plain text, and what follows it."""
    first = _WORD.match(text)
    if first is None or _unaccented(first[0]) not in first_words():
        return None
    leading = _LEADING.match(text)
    spans = list(islice(_WORD.finditer(leading[0] if leading else ""), _MOST_WORDS))
    words = [_unaccented(span[0]) for span in spans]
    found = _half(words) or _with_fraction(words)
    if found is None:
        return None
    value, used, ordinal = found
    numeral = Numeral(value, Fraction(0), 0, ordinal=ordinal)
    return numeral, text[spans[used - 1].end() :]


_Found = tuple[Fraction, int, bool]
"""Value, words used, and whether the number is an ordinal."""


def _half(words: list[str]) -> _Found | None:
    """Read `half`, `a half`, `half a million`, `a quarter`, `a third`."""
    skip = 1 if words[:1] in (["a"], ["an"], ["one"]) else 0
    part = _part(words[skip]) if len(words) > skip else None
    if part is None or (skip == 0 and words[0] != "half"):
        return None
    after = words[skip + 1 : skip + 3]
    if skip == 0 and len(after) == 2 and after[0] in ("a", "an") and scale_of(after[1]):
        return Fraction(scale_of(after[1]) or 1, 2), 3, False
    return Fraction(1, part), skip + 1, False


def _part(word: str) -> int | None:
    """Return the denominator that a word names: 2 for `half`, 3 for `third` and `thirds`."""
    if word in ("half", "halves"):
        return 2
    if word in ("quarter", "quarters"):
        return 4
    n = _tables()[1].get(word.removesuffix("s"))
    return n if n and n > 2 else None


def _with_fraction(words: list[str]) -> _Found | None:
    """Read a whole number and a part of one: `two thirds`, `two and a half`, `two point five`."""
    found = _whole(words)
    if found is None or found[2]:
        return found
    value, used, _ = found
    if words[used : used + 1] == ["point"]:
        return _with_decimals(value, words, used + 1)
    if words[used : used + 2] == ["and", "a"] and words[used + 2 : used + 3] in (
        ["half"],
        ["quarter"],
    ):
        return value + Fraction(1, _part(words[used + 2]) or 1), used + 3, False
    part = _part(words[used]) if len(words) > used and 1 <= value < 20 else None
    return (value / part, used + 1, False) if part else found


def _with_decimals(value: Fraction, words: list[str], at: int) -> _Found | None:
    """Read the digits after `point`, one a word."""
    place = Fraction(1)
    while at < len(words) and words[at] in _EN[:10]:
        place /= 10
        value, at = value + _EN.index(words[at]) * place, at + 1
    return (value, at, False) if place < 1 else None


def _whole(words: list[str]) -> _Found | None:
    total, at, below = Fraction(0), 0, 10**16
    while at < len(words):
        start = at + 1 if at and words[at] == "and" else at
        group = _group(words, start)
        if group is None:
            break
        value, used, ordinal = group
        scale, used = _scaled(words, used)
        if scale >= below or value >= below:
            break
        total, at, below = total + value * scale, used, scale
        if ordinal or scale == 1:
            return (total, at, ordinal) if ordinal else (_year(total, words, at))
    return (total, at, False) if at else None


def _scaled(words: list[str], at: int) -> tuple[int, int]:
    """Return the product of the scales from a place on, and the place behind them."""
    product = 1
    while at < len(words) and product < 10**12 and (scale := scale_of(words[at])):
        product, at = product * scale, at + 1
    return product, at


def _group(words: list[str], at: int) -> _Found | None:
    """Read a number below 1,000, the longest that there is; `a` before a scale is one."""
    cardinals, ordinals = _tables()
    for end in range(min(at + _LONGEST, len(words)), at, -1):
        key = "".join(words[at:end])
        if key in cardinals:
            return Fraction(cardinals[key]), end, False
        if key in ordinals:
            return Fraction(ordinals[key]), end, True
    if at + 1 < len(words) and words[at] in ("a", "an") and scale_of(words[at + 1]):
        return Fraction(1), at + 1, False
    return (Fraction(1), at, False) if words[at : at + 1] in (["mille"], ["tausend"]) else None


def _year(total: Fraction, words: list[str], at: int) -> _Found:
    """Read the second half of a year such as nineteen sixty-nine."""
    group = _group(words, at) if 11 <= total <= 20 and at < 2 else None
    if group and 10 <= group[0] < 100 and not group[2]:
        return total * 100 + group[0], group[1], False
    return total, at, False
