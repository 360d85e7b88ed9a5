"""What stands behind a value: a unit, degrees, percent, the base of its digits."""

import re

from plaudit.judges.answers.types.units import read_unit

DECIMALS = re.compile(r"\.(\d+)")
ANY_INTEGER = re.compile(
    r",? ?(?:\\text ?\{ ?(?:where|for|with)(?: any| all| some)? ?\} ?)?"
    r"(?:[a-z] ?\\in ?\\mathbb ?\{Z\}"
    r"|[a-z] ?\\text ?\{ ?(?:is )?(?:an |any |some )?integers? ?\}"
    r"|\\text ?\{ ?(?:where|for|with) (?:(?:any|all|some) )?integers? ?\} ?[a-z])$"
)
"""The end of a formula for many solutions: k in Z."""

_BASE = re.compile(r"\d_ ?\{? ?(\d+) ?\}?")
_BASED = re.compile(r"(?<=\d)_ ?\{? ?\d+ ?\}?")
_IN_BASE = re.compile(r"(-?[\dA-Z]{1,60})(?: ?_ ?\{? ?(\d{1,2}) ?\}?)?")
_UNIT = re.compile(
    r"(?<=[\w})|]) ?\\(?:text|mathrm|rm|textrm|mbox) ?\{(?! ?(?:and|or|if|is|integers?)\b) ?"
    r"([^{}]*[^{}\W\d_][^{}]*?) ?\}(\^ ?\{? ?-?\d ?\}?)?$"
)
_PLAIN_UNIT = re.compile(r"[-+]?[\d.,]+ [a-zA-Z]{1,3}(?: ?\^ ?\{?\d\}?)?")
_DEGREES = re.compile(r" ?\^ ?(?:\\circ|\{ ?\\circ ?\}) ?|\\degree(?![a-z])|(?<=\d) degrees?$")
_IN_DEGREES = re.compile(rf"(\d+(?:\.\d+)?)(?:{_DEGREES.pattern})")
_ANGULAR = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_WHOLE = re.compile(r"-?\d+")
_PERCENT = re.compile(r" ?\\?%")


def without_affixes(answer: str, reference: str) -> tuple[str, str, str | None]:
    """Take away what stands behind a value: a unit, degrees, percent, the base of its digits.

    Returns:
        Both texts, and why they are not compared, or None.
    """
    if _PERCENT.search(answer) and _is_share(reference):
        return answer, reference, "a percentage, and a number"
    answer, reference, apart = _without_bases(answer, reference)
    if apart is not None:
        return answer, reference, apart
    units = [_UNIT.search(text) for text in (answer, reference)]
    names = [unit and "".join(unit.groups("")) for unit in units]
    if all(names) and not _same_unit(*filter(None, names)):
        return answer, reference, "values of two units"
    for name in filter(None, names):
        answer, reference = (_without(name, text) for text in (answer, reference))
    if _has_a_plain_unit(answer, reference) or _has_a_plain_unit(reference, answer):
        return answer, reference, "a value with a unit, and one without"
    return *_same_angle(*_same_share(answer, reference)), None


def _without_bases(answer: str, reference: str) -> tuple[str, str, str | None]:
    """Take the bases of digits away; where there are two of them, the values stand instead."""
    both = (answer, reference)
    bases = [set(_BASE.findall(text)) for text in both]
    if not any(bases):
        return answer, reference, None
    plain = [_BASED.sub("", text) for text in both]
    values = [_value(text) for text in both]
    if None in values or bases[0] == bases[1]:
        apart = "digits of two bases" if all(bases) and bases[0] != bases[1] else None
        return plain[0], plain[1], apart
    if values[0] == values[1] and plain[0] != plain[1]:
        return answer, reference, "the same number in another base"
    return (str(values[0]), str(values[1]), None) if all(bases) else (plain[0], plain[1], None)


def _value(text: str) -> int | None:
    """Return the number that digits with a base stand for; without one they are decimal."""
    found = _IN_BASE.fullmatch(text)
    base = int(found[2] or 10) if found else 0
    if not found or not 2 <= base <= 36:
        return None
    try:
        return int(found[1], base)
    except ValueError:
        return None


def _same_unit(one: str, other: str) -> bool:
    terms = read_unit(one)
    return one == other or (terms is not None and terms == read_unit(other))


def _without(unit: str, text: str) -> str:
    text = _UNIT.sub("", text)
    return re.sub(r"(?<=[\d})]) ?" + re.escape(unit) + "$", "", text)


def _has_a_plain_unit(text: str, other: str) -> bool:
    return bool(_PLAIN_UNIT.fullmatch(text)) and not re.search("[a-zA-Z]", other)


def _same_share(answer: str, reference: str) -> tuple[str, str]:
    """Read 50 as 50 % where the reference is a percentage."""
    if _PERCENT.search(reference) and _is_share(answer):
        reference = _PERCENT.sub("", reference)
    return answer, reference


def _is_share(text: str) -> bool:
    return bool(_WHOLE.fullmatch(text)) and text != "1"


def _same_angle(answer: str, reference: str) -> tuple[str, str]:
    """Leave degrees out, unless the other angle is one of radians."""
    both = [answer, reference]
    for place in (0, 1):
        radians = r"\pi" in both[1 - place] and r"\pi" not in both[place]
        if radians or _ANGULAR.search(both[place]):
            both[place] = _IN_DEGREES.sub(r"{\\frac{\1\\pi}{180}}", both[place])
        both[place] = _DEGREES.sub(" ", both[place]).strip()
    return both[0], both[1]
