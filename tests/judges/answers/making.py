"""Mentions of a reference in an answer, for the tests of what is said of them."""

from plaudit.judges.answers.guards.mentions import Mention, Mentions


def mention(answer: str, reference: str = "Paris", question: str = "Which capital?") -> Mention:
    """Return the last mention of a reference in an answer."""
    return Mentions(answer, question, [reference]).all()[-1]
