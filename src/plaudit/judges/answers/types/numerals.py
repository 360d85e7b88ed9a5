"""Numerals in digits: separators of both conventions, fractions, powers, LaTeX, raised digits."""

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

import msgspec

MAX_LENGTH = 160
"""Characters of a text that may be a number; a longer text is none."""


class Numeral(msgspec.Struct, frozen=True):
    """A number as it is written, without what stands around it."""

    value: Fraction
    place: Fraction
    """Worth of the last digit that it shows: 0.01 of 3.14, 1 of 1870; 0 for a fraction."""
    digits: int
    """How many digits it shows, without leading zeros; 0 for words."""
    other: Fraction | None = None
    """Its value by the other convention: 1.2 of `1,200`, 1200 of `1.200`."""
    ordinal: bool = False


_RAISED = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b"
_RAISED_RUN = re.compile(f"[{_RAISED}]+")
_RAISED_TO = str.maketrans(_RAISED, "0123456789+-")
_LOWERED = re.compile("([\u2080-\u2089])")
_VULGAR = re.compile("([\u00bc-\u00be\u2150-\u215f\u2189])")
_FORMAT = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SIGNS = str.maketrans(
    dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212, 0xFE63, 0xFF0D), "-")
    | {0x2044: "/", 0x2019: "'", 0x22C5: "\u00b7", 0x2022: "\u00b7", 0xBA: "\u00b0"}
)
_LATEX = re.compile(
    r"\{,\}|\\[dt]?frac\s?(?:\{(-?\d+)\}\s?\{(\d+)\}|(\d)(\d))"
    r"|\\(?:text|mathrm|textbf|mathbf|operatorname)\s?\{([^{}]*)\}"
    r"|\^\s?\{([^{}]*)\}|\^?\\circ(?![a-z])|\\(?:times|cdot)(?![a-z])|\\[%$]"
    r"|\\(?:left|right|displaystyle)(?![a-z])|\\[,;:! ()\[\]]|\\(mu|Omega)(?![a-zA-Z])"
)
_BOXED = re.compile(r"\$? ?\\boxed ?\{(.*)\} ?\$?\.?", re.DOTALL)
_NESTED = 3
"""Levels of braces that are read."""
_LETTERS = {"mu": "\u03bc", "Omega": "\u03a9"}


def plain(text: str) -> str:
    """Return a short text in plain signs: `^2` for a raised 2, `-` for a long dash, no LaTeX.

    White space becomes single spaces. What is raised stays a power and what is lowered gets a
    `_`, so that neither becomes a digit of the number before it.
    """
    if "\\" in text or "{" in text:
        boxed = _BOXED.fullmatch(text.strip())
        text = boxed[1] if boxed else text
        for _ in range(_NESTED):
            text = _LATEX.sub(_from_latex, text)
    if not text.isascii():
        text = _VULGAR.sub(r" \1", _FORMAT.sub("", text))
        text = _RAISED_RUN.sub(lambda run: "^" + run[0].translate(_RAISED_TO), text)
        text = unicodedata.normalize("NFKC", _LOWERED.sub(r"_\1", text.translate(_SIGNS)))
        text = "".join(map(_ascii_digit, text.translate(_SIGNS)))
    return " ".join(text.split())


def _ascii_digit(sign: str) -> str:
    return str(unicodedata.decimal(sign)) if not sign.isascii() and sign.isdecimal() else sign


def _from_latex(match: re.Match[str]) -> str:
    top, bottom, upper, lower, inner, power, letter = match.groups()
    found = match[0]
    if top or upper:
        return f" {top or upper}/{bottom or lower} "
    if letter or inner is not None:
        return _LETTERS.get(letter, inner or "")
    if "circ" in found:
        return "\u00b0"
    if power is not None:
        return "^" + power
    if found.startswith(("\\times", "\\cdot")):
        return " \u00d7 "
    return {"{,}": ",", "\\%": "%", "\\$": "$", "\\!": ""}.get(found, " ")


_FRACTION = re.compile(r"(?:(\d{1,12}) (?:and )?)?([1-9]\d{0,15}|0) ?/ ?([1-9]\d{0,15})(?![\d./,])")
_POWER = re.compile(r"(\d{1,6}) ?\^ ?(?:\(([+-]?\d{1,3})\)|([+-]?\d{1,3}))(?![\d.,^])")
_RUN = re.compile(r"[1-9]\d{0,2}(?: \d{3}(?!\d))+(?:[.,]\d+)?|\d+(?:[.,]\d+|'\d{3}(?!\d))*|[.,]\d+")
_TIMES_TEN = re.compile(
    r"(?:[eE]| ?[x\u00d7*\u00b7] ?10 ?\^ ?)(?:\(([+-]?\d{1,3})\)|([+-]?\d{1,3}))(?![\d.,^])"
)
_WHOLE = re.compile(r"0|[1-9]\d*")
_GROUPED = re.compile(r"([1-9]\d{0,2})([,.' ])(\d{3}(?:\2\d{3})*)(?:(?!\2)[.,](\d+))?")
_INDIAN = re.compile(r"([1-9]\d?(?:,\d\d)+,\d{3})(?:\.(\d+))?")
_DECIMAL = re.compile(r"(0|[1-9]\d*)?[.,](\d+)")
_MOST_DIGITS = 60


def leading_digits(text: str) -> tuple[Numeral, str] | None:
    """Return the numeral in digits at the beginning of a plain text, and what follows it.

    None where the text begins with something else, or with what only looks like a number: leading
    zeros, a version such as 3.10.1. A sign is not part of it.
    """
    fraction = _FRACTION.match(text)
    if fraction:
        return _of_fraction(fraction), text[fraction.end() :]
    power = _POWER.match(text)
    if power:
        return _of_power(power, text)
    run = _RUN.match(text)
    numeral = _separated(run[0]) if run and len(run[0]) <= _MOST_DIGITS else None
    if run is None or numeral is None:
        return None
    return _scientific(numeral, text[run.end() :])


def _of_fraction(match: re.Match[str]) -> Numeral:
    value = Fraction(int(match[2]), int(match[3])) + int(match[1] or 0)
    return Numeral(value, Fraction(0), 0)


def _of_power(match: re.Match[str], text: str) -> tuple[Numeral, str] | None:
    base, exponent = int(match[1]), int(match[2] or match[3])
    if match[1][0] == "0" or (base != 10 and abs(exponent) > 99):
        return None
    return Numeral(Fraction(base) ** exponent, Fraction(0), 0), text[match.end() :]


def _scientific(numeral: Numeral, rest: str) -> tuple[Numeral, str]:
    times = _TIMES_TEN.match(rest)
    if times is None:
        return numeral, rest
    scale = Fraction(10) ** int(times[1] or times[2])
    return scaled(numeral, scale), rest[times.end() :]


def scaled(numeral: Numeral, scale: Fraction) -> Numeral:
    """Return a numeral times a scale: `1.2` and a million. `1.200 million` is not 1200 million."""
    return Numeral(numeral.value * scale, numeral.place * scale, numeral.digits)


def _separated(run: str) -> Numeral | None:
    """Read a run of digits and separators, by whichever convention it follows."""
    if _WHOLE.fullmatch(run):
        return _numeral(run, "")
    grouped = _GROUPED.fullmatch(run)
    if grouped:
        return _grouped(grouped)
    indian = _INDIAN.fullmatch(run)
    if indian:
        return _numeral(indian[1].replace(",", ""), indian[2] or "")
    decimal = _DECIMAL.fullmatch(run)
    return _numeral(decimal[1] or "0", decimal[2]) if decimal else None


def _grouped(match: re.Match[str]) -> Numeral:
    head, separator, groups, fraction = match.groups()
    whole = head + groups.replace(separator, "")
    if len(groups) > 3 or fraction or separator in "' ":
        return _numeral(whole, fraction or "")
    as_whole, as_decimal = _numeral(whole, ""), _numeral(head, groups)
    first, second = (as_whole, as_decimal) if separator == "," else (as_decimal, as_whole)
    return Numeral(first.value, first.place, first.digits, second.value)


def _numeral(whole: str, fraction: str) -> Numeral:
    value = Fraction(Decimal(f"{whole}.{fraction}"))
    digits = len((whole + fraction).lstrip("0"))
    return Numeral(value, Fraction(1, 10 ** len(fraction)), digits)
