"""A quiz: a person answers, and is told what is right, by the rules of the verify judge."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from plaudit.judges import rules
from plaudit.rollouts.question import Question
from plaudit.runs.api import Judge

Outcome = Literal["right", "wrong", "undecided", "skipped"]


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was put, and what became of it."""

    question: Question
    answer: str
    outcome: Outcome
    """`undecided`: no rule could tell, and the judge, if there is one, could not either."""
    reason: str
    """Why, in a few words."""


class Marks(msgspec.Struct):
    """How a quiz went."""

    asked: int = 0
    right: int = 0
    wrong: int = 0
    undecided: int = 0
    skipped: int = 0

    def add(self, marked: Marked) -> None:
        """Count one question."""
        self.asked += 1
        setattr(self, marked.outcome, getattr(self, marked.outcome) + 1)


def hold_quiz(
    questions: Iterable[Question], ask: Callable[[Question], str], judge: Judge | None = None
) -> Iterator[Marked]:
    """Put questions one after the other.

    Args:
        questions: with references; those without cannot be marked and are left out.
        ask: puts a question and returns the answer; `EOFError` ends the quiz. White space is no
            answer: the question is skipped.
        judge: a verify judge, for what the rules leave open; None: that stays undecided.

    Raises:
        EngineUnusableError: the judge's engine can answer nothing.
    """
    for question in questions:
        if not question.references:
            continue
        try:
            answer = ask(question)
        except EOFError:
            return
        yield mark(question, answer, judge)


def mark(question: Question, answer: str, judge: Judge | None = None) -> Marked:
    """Say whether an answer is right; see `hold_quiz`."""
    outcome, reason = _decide(question, answer, judge)
    return Marked(question=question, answer=answer, outcome=outcome, reason=reason)


def _decide(question: Question, answer: str, judge: Judge | None) -> tuple[Outcome, str]:
    if not answer.strip():
        return "skipped", "no answer"
    decision = rules.decide(question.question, answer, question.references)
    if decision is not None:
        return ("right" if decision.value == "correct" else "wrong"), decision.reason
    if judge is None:
        return "undecided", "no rule can tell; compare it yourself, or give an --engine"
    row = {"question": question.question, "answer": answer, "reference": list(question.references)}
    verdict = judge.judge(row)
    if verdict.status != "ok":
        why = f": {verdict.error.message}" if verdict.error else ""
        return "undecided", f"the judge could not tell{why}"
    return (
        "right" if verdict.value == "correct" else "wrong"
    ), f"says the judge, {judge.engine.uri}"
