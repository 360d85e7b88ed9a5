"""What may be another answer: a name with a capital, a number, or a number word."""

from fractions import Fraction

_NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
CANDIDATE = (
    r"(?!(?:I|It|He|She|They|We|You|This|That|There|If|In|At|On|So|My|As|But|And|Or|No|Not|Yes|The|"
    r"It's|That's|What|Which|Who|When|Its|His|Her)\b)"
    rf"(?:(?-i:[^\W\d_a-z])[\w'\u2019]*|\d[\d.,:/]*|(?:{'|'.join(_NUMBERS)})\b(?! of))"
)
"""Pattern of the first word of a candidate, among words that stand apart."""
CANDIDATES = rf"{CANDIDATE}(?: {CANDIDATE}| (?:of|de|the|von|van)(?= (?-i:[A-Z]))){{0,4}}"
"""Pattern of a candidate of up to five words."""


def differ(one: str, other: str) -> bool:
    """Whether two words stand for different things of one kind: names, acronyms or numbers.

    Spellings of one name ("Hellenism", "Hellenismos") and numbers of one value do not differ.
    """
    kind = _kind(one)
    if kind != _kind(other) or _akin(one, other):
        return False
    return not kind[0] or _numbers_differ(one, other)


def _kind(word: str) -> tuple[bool, bool, bool]:
    """Return what candidates for one thing share: digits, a capital, capitals alone (USA, CO2)."""
    if word[0].isdigit() or word.casefold() in _NUMBERS:
        return True, False, False
    return False, word[0].isupper(), len(word) > 1 and word.isupper()


def _number(text: str) -> Fraction:
    if text.casefold() in _NUMBERS:
        return Fraction(_NUMBERS.index(text.casefold()))
    return Fraction(text.replace(",", "")[:30].rstrip("."))


def _numbers_differ(one: str, other: str) -> bool:
    try:
        a, b = map(_number, (one, other))
    except (ValueError, ZeroDivisionError):
        return one != other
    return a not in (b, 100 * b, b / 100)


def _akin(one: str, other: str) -> bool:
    """Whether two words are spellings of one name ("Hellenism", "Hellenismos")."""
    return one[0].isalpha() and one[:5].casefold() == other[:5].casefold()
