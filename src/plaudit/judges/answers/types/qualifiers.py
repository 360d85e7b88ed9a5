"""Words that make one thing another: "Virginia" is not "West Virginia"."""

import re
from collections.abc import Sequence

from plaudit.judges.answers.types.carrier import word_set

_DISTINCT = word_set(
    "north south east west northern southern eastern western new upper lower inner outer left "
    "right not non un anti pro former vice deputy assistant ex acting pseudo semi sub super"
)
_LEFT_OUT = frozenset({"a", "an", "the"})
_ELDER = frozenset({"sr", "senior"})
_LONGEST = 6
"""Words of the longest text that is compared; formulas have up to twice as many."""
_SIGN = re.compile(r"[A-Z]{1,3}\d{1,4}")
"""A road, a size of paper, a gene."""
_FORMULA = re.compile(r"(?=.*\d)(?:\(?[A-Z][a-z]?\d*\)?\d*){2,12}")


def differ(answer: Sequence[str], reference: Sequence[str]) -> bool:
    """Whether two short texts are the same but for a word or sign that makes one another thing.

    A letter or number that only the answer has may be an addition: "vitamin D3" for "vitamin D".
    """
    if max(len(answer), len(reference)) > _LONGEST + 1:
        return False
    a, r = _bare(answer), _bare(reference)
    longer, shorter = (a, r) if len(a) > len(r) else (r, a)
    if not 0 < len(shorter) < len(longer) <= _LONGEST:
        return False
    if longer[1:] == shorter:
        return longer[0] in _DISTINCT
    added = longer[len(shorter) :]
    if longer[: len(shorter)] != shorter:
        return False
    return all(map(_is_sign, added)) or (
        len(added) == 1 and _parts(added[0], shorter, a is shorter)
    )


def _is_sign(word: str) -> bool:
    return not word[0].isalnum()


def _parts(added: str, shorter: Sequence[str], left_out: bool) -> bool:
    """Whether a last word parts two things; a letter or number only where it was left out."""
    if left_out:
        return shorter[-1].isalpha() and (len(added) == 1 or added.isdigit())
    return added in _ELDER


def are_other_signs(answer: Sequence[str], reference: Sequence[str]) -> bool:
    """Whether two texts are formulas of chemistry, or two signs such as I-5, and not the same."""
    one, other = (_together(words) for words in (answer, reference))
    if not one or not other or one.casefold() == other.casefold():
        return False
    return any(form.fullmatch(one) and form.fullmatch(other) for form in (_FORMULA, _SIGN))


def _together(words: Sequence[str]) -> str:
    return "".join(word for word in words if word != "-") if len(words) <= 2 * _LONGEST else ""


def _bare(words: Sequence[str]) -> list[str]:
    found = [word.casefold() for word in words]
    return found[1:] if len(found) > 1 and found[0] in _LEFT_OUT else found
