"""Stand-in."""

from plaudit.judges.answers import text
from plaudit.judges.answers.base import AnswerCase, Comparison


def applies(reference: str, case: AnswerCase) -> bool:
    """Whether a reference is a number."""
    del case
    return text.number(reference) is not None


def compare(answer: str, reference: str, case: AnswerCase) -> Comparison | None:
    """Compare as numbers."""
    del case
    if text.equal(answer, reference) == "number":
        return Comparison(True, "equal to the reference (number)")
    if text.differ_as_numbers(answer, reference):
        return Comparison(False, "a number other than the reference")
    return None
