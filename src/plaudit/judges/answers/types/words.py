"""Texts as words: what a comparison of answers looks at, in their order, without what is no matter.

A word is a run of letters, a number, or a sign that changes the meaning: the plus of `C++`, the
charge of an ion, a minus. Punctuation of prose is none.
"""

import re
import unicodedata
from functools import lru_cache

_CACHED = 2_000
"""Characters up to which the words of a text are kept for a while."""
_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207f"
_PLAIN = str.maketrans(_RAISED, "0123456789+-n")
_POWER = re.compile(f"[{_RAISED}]+")
_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_CHARGE = re.compile(r"(?<=[^\W_])\^(?:\{(\d{0,2}[+-])\}|(\d{0,2}[+-]))(?!\w)")
_ENCODING = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201b": "'", "\u2032": "'",
        "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"',
        "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2044": "/", "\u00d7": "*",
        "\u00ad": None, "\u200b": None, "\u200c": None, "\u200d": None, "\u200e": None,
        "\u200f": None, "\u2060": None, "\ufeff": None, "\ufe0f": None,
        "\u0153": "oe", "\u0152": "OE", "\u00e6": "ae", "\u00c6": "AE",
        "\u2122": None, "\u00ae": None, "\u00a9": None,
    }
)  # fmt: skip
_UPRIGHT = re.compile(r"\\(?:mathrm|text|ce|mathbf|textbf|rm)\s?\{([^{}]{0,60})\}")
_FORMULA = re.compile(r"\s*\$([A-Z][\w{}^+-]{0,40})\$\.?\s*")
_LOWERED = re.compile(r"(?<=[^\W_])_(?:\{(\w{1,3})\}|(\w))")
_DASH = re.compile("(?<=\\d) ?[\u2012-\u2015] ?(?=\\d)|(?<![\\w\\s])[\u2012\u2013](?=\\d)")
_LONG_DASH = re.compile("[\u2012-\u2015]")
_QUOTED = re.compile(r'"([^"]*)"' + r"|(?<![\w'])'([^'\n]+)'(?![\w'])")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{1,3})(?=\S)([^*_]*[^*_\s])\1(?![\w*])")
_DOTTED = re.compile(r"(?<![\w.])[^\W\d_](?:\.[^\W\d_])+(?![^\W_])\.?")
_WORD = re.compile(
    r"(?P<number>\d+(?:[.,:]\d+)*)"
    r"|(?P<word>(?:[^\W\d_](?:'(?=[^\W\d_]))?|[\u0300-\u036f])+)"
    r"|(?P<prime>(?<=\d)'|(?<=[^\w'][^\W\d_])'|(?<=^[^\W\d_])')"
    r"|(?P<factorial>(?<=\d)!|(?<=[^\w][^\W\d_])!|(?<=^[^\W\d_])!)"
    r"|(?P<dot>(?<![\w.)])\.(?=[^\W_])|(?<=[^\W\d_])\.(?=[^\W\d_]))"
    r"|(?P<sign>_(?=[^\W_])|[^\w\s.,;:?!'`\u00b4()\[\]\u00a1\u00bf\u2022\u2026\u3001\u3002-])"
    r"|(?P<bracket>[()\[\]])"
    r"|(?P<hyphen>-)"
)
_TOKEN = re.compile(re.sub(r"\?P<\w+>", "?:", _WORD.pattern))
_PLACED = "()[]-"
"""Signs that count by what stands beside them."""
_SYMBOL, _UNIT = 2, 3
"""Letters up to which a word may be a symbol (of an element, a blood group), or a unit."""
_LOWER_SPELLINGS = frozenset({"am", "pm", "no", "ok"})


def fold(text: str) -> str:
    """Return a text in one encoding: width, accents, quotes, hyphens and invisible characters.

    What is raised stays a power, for 5\u00b2 is not 52, unless it is a charge: Ca\u00b2\u207a is
    Ca2+. What is lowered is a plain digit, as in H\u2082O.
    """
    if not text.isascii():
        text = _POWER.sub(lambda raised: "^" + raised[0].translate(_PLAIN), text)
        text = _FRACTION.sub(r" \g<0>", text).translate(_ENCODING)
        text = unicodedata.normalize("NFKC", text).translate(_ENCODING)
        text = _LONG_DASH.sub(" ", _DASH.sub("-", text))
    return _CHARGE.sub(lambda found: found[1] or found[2], text) if "^" in text else text


def without_latex(text: str) -> str:
    """Return a short formula of chemistry without its LaTeX: `H2SO4` of `$H_2SO_4$`."""
    if "\\" not in text and "$" not in text:
        return text
    text = _UPRIGHT.sub(r"\1", text)
    formula = _FORMULA.fullmatch(text)
    return _LOWERED.sub(r"\1\2", formula[1]) if formula else text


def words(text: str) -> list[str]:
    """Return the words and signs of a text, in their case; linear in its length."""
    return list(_cached_words(text)) if len(text) <= _CACHED else _words(text)


@lru_cache(64)
def _cached_words(text: str) -> tuple[str, ...]:
    """Return the words of a text that is asked for again for each reference."""
    return tuple(_words(text))


def _words(text: str) -> list[str]:
    text = fold(without_latex(text))
    if '"' in text or "'" in text:
        text = _QUOTED.sub(lambda found: f" {found[1] or found[2] or ''} ", text)
    if "*" in text or "_" in text:
        text = _EMPHASIS.sub(r" \2 ", text)
    if "." in text:
        text = _DOTTED.sub(lambda found: found[0].replace(".", ""), text)
    if "&" in text:
        text = re.sub(r"(?<!&)&(?!&)", " and ", text)
    if not any(sign in text for sign in _PLACED):
        return [word.replace("'", "") if len(word) > 1 else word for word in _TOKEN.findall(text)]
    return [word for found in _WORD.finditer(text) if (word := _word(found, text))]


def _word(found: re.Match[str], text: str) -> str:
    match found.lastgroup:
        case "word":
            return found[0].replace("'", "")
        case "bracket":
            return found[0] if _beside_symbol(text, found.start()) else ""
        case "hyphen":
            return "-" if _is_minus(text, found.start()) else ""
        case _:
            return found[0]


def _beside_symbol(text: str, place: int) -> bool:
    """Whether a bracket stands beside a digit or a single letter, as in f(x) and [1, 2)."""
    before, after = text[max(place - 2, 0) : place], text[place + 1 : place + 3]
    return (
        after[:1].isdigit()
        or before[-1:].isdigit()
        or _single(after[:1], after[1:])
        or _single(before[-1:], before[:-1])
    )


def _single(letter: str, next_to_it: str) -> bool:
    return letter.isalpha() and not next_to_it.isalnum()


def _is_minus(text: str, place: int) -> bool:
    """Whether a hyphen is a minus or a charge, and not that of a word, a dash or a bullet."""
    before, after = text[max(place - 3, 0) : place], text[place + 1 : place + 4]
    if before[-1:].isalnum() and after[:1].isalnum():
        return _short_end(before) and _short_start(after)
    if before[-1:].isalnum():
        return True  # Cl-, A-
    if after[:1].isalnum():
        return True  # -5, -x
    return _beside_short(before.rstrip(), after.lstrip(), bool(before.strip()))


def _short_end(before: str) -> bool:
    """Whether what ends here is a number or a single letter."""
    return before[-1].isdigit() or not before[-2:-1].isalnum()


def _short_start(after: str) -> bool:
    return after[0].isdigit() or not after[1:2].isalnum()


def _beside_short(before: str, after: str, inside: bool) -> bool:
    """Whether a hyphen between spaces has a number or one letter beside it: 5 - 3, x - y, A -."""
    if after[:1].isdigit():
        return True
    if not inside or not before[-1:].isalnum():
        return False
    return before[-1].isdigit() or not before[-2:-1].isalnum()


def same_case(one: list[str], other: list[str]) -> bool:
    """Whether the case of words that are equal without it may differ.

    The case of symbols counts: "Co" is not "CO", "5 mW" is not "5 MW", "b" is not "B". Lower case
    is taken for any other, but behind a number.
    """
    if one == other or _is_formula(one, other):
        return True
    if len(one) == 1 and len(set(one[0].casefold())) == 1 < len(one[0]):
        return False  # AA, Aa, aa
    symbols = len(one) == 1 or any(word[0].isdigit() for word in one)
    return not symbols or all(
        _same_symbol(one[i], other[i], i > 0 and one[i - 1][0].isdigit(), len(one) == 1)
        for i in range(len(one))
    )


def _is_formula(one: list[str], other: list[str]) -> bool:
    """Whether one of two formulas is in lower case throughout, as h2o."""
    if len(one) < 2 or not one[0][0].isalpha() or any(len(word) > _SYMBOL for word in one):
        return False
    return "".join(one).islower() or "".join(other).islower()


def _same_symbol(one: str, other: str, is_unit: bool, alone: bool) -> bool:
    if (
        one == other
        or len(one) > (_UNIT if is_unit else _SYMBOL)
        or one.lower() in _LOWER_SPELLINGS
    ):
        return True
    return not is_unit and not (alone and len(one) == 1) and (one.islower() or other.islower())
