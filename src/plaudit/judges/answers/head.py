"""Stand-in."""

from typing import Literal

from plaudit.judges.answers.base import AnswerCase, Extracted


def decide(chance: float) -> Literal["correct", "incorrect"] | None:
    """Return what a P(correct) decides; None between the gates."""
    return "correct" if chance >= 0.9 else "incorrect" if chance <= 0.1 else None


def probability(case: AnswerCase, found: Extracted) -> float:
    """Return the chance that an answer is right."""
    del case, found
    return 0.5


def digest() -> str:
    """Identify the weights."""
    return "none"
