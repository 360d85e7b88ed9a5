"""Stand-in."""

from plaudit.judges.answers.base import AnswerCase, Extracted

GATE_CORRECT, GATE_INCORRECT = 0.9, 0.1


def probability(case: AnswerCase, found: Extracted) -> float:
    """Return the chance that an answer is right."""
    del case, found
    return 0.5


def digest() -> str:
    """Identify the weights."""
    return "none"
