"""Words that make one thing another: "Virginia" is not "West Virginia"."""

import re
from collections.abc import Sequence

from plaudit.judges.answers.carrier import word_set

_DISTINCT = word_set(
    "north south east west northern southern eastern western new upper lower inner outer left right "
    "not non un anti pro former vice deputy assistant ex acting pseudo semi sub super"
)
_LEFT_OUT = frozenset({"a", "an", "the"})
_FORMULA = re.compile(r"(?=.*\d)(?:\(?[A-Z][a-z]?\d*\)?\d*){2,12}")


def differ(answer: Sequence[str], reference: Sequence[str], question: Sequence[str]) -> bool:
    """Whether two short texts are the same but for a word that makes one of them another thing.

    A word that the question holds may be left out.
    """
    a, r = _bare(answer), _bare(reference)
    if not 0 < abs(len(a) - len(r)) <= 1 or max(len(a), len(r)) > 6:
        return False
    longer, shorter = (a, r) if len(a) > len(r) else (r, a)
    asked = {word.casefold() for word in question}
    return longer[1:] == shorter and longer[0] in _DISTINCT - asked


def are_other_formulas(answer: Sequence[str], reference: Sequence[str]) -> bool:
    """Whether two texts are formulas of chemistry, of different atoms or numbers of them."""
    one, other = "".join(answer), "".join(reference)
    if max(len(one), len(other)) > 40 or one.casefold() == other.casefold():
        return False
    return _FORMULA.fullmatch(one) is not None and _FORMULA.fullmatch(other) is not None


def _bare(words: Sequence[str]) -> list[str]:
    return [word for word in map(str.casefold, words) if word not in _LEFT_OUT]
