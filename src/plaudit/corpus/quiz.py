"""A quiz: a person answers, and the verify judge says what is right."""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit._util.ranges import COUNT, check_ranges
from plaudit.corpus.questions import Question, Split, pick_questions, read_questions
from plaudit.errors import Cause, UsageError
from plaudit.judge import Judge
from plaudit.types import Verdict

Outcome = Literal["right", "wrong", "undecided", "skipped"]


class QuizOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which questions a quiz picks."""

    count: Annotated[int, COUNT, Help("How many questions.", flags=("--count", "-n"))] = 10
    seed: Annotated[int, Help("Seed of the choice.")] = 42
    split: Annotated[Split | None, Help("Only from `train` or `test`.", metavar="SIDE")] = None

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ArgumentError: one is out of range, or none of its choices.
        """
        check_ranges(self)
        check_choices(self)


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was put, and what became of it."""

    question: Question
    answer: str
    outcome: Outcome
    """`undecided`: the judge could not decide."""
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


def read_quiz(source: str, options: QuizOptions) -> list[Question]:
    """Pick questions of a file that can be marked.

    Raises:
        InputError: the file cannot be read.
        UsageError: no question of the file has an answer to compare with.
    """
    found = read_questions(source, split=options.split)
    answerable = [question for question in found if question.references]
    if not answerable:
        raise UsageError(f"no question of {source} has an answer to compare with")
    return pick_questions(answerable, options.count, seed=options.seed)


def hold_quiz(
    questions: Iterable[Question], ask: Callable[[Question], str], judge: Judge | None = None
) -> Iterator[Marked]:
    """Put questions one after the other.

    Args:
        questions: with references; those without cannot be marked and are left out.
        ask: puts a question and returns the answer; `EOFError` ends the quiz. White space is no
            answer: the question is skipped.
        judge: a verify judge; None: one without a model.

    Raises:
        EngineUnusableError: the judge's engine can answer nothing.
    """
    judge = judge or Judge("verify")
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
    outcome, reason = _decide(question, answer, judge or Judge("verify"))
    return Marked(question=question, answer=answer, outcome=outcome, reason=reason)


def _decide(question: Question, answer: str, judge: Judge) -> tuple[Outcome, str]:
    if not answer.strip():
        return "skipped", "no answer"
    row = {"question": question.question, "answer": answer, "reference": list(question.references)}
    verdict = judge.judge(row)
    if verdict.status != "ok":
        return "undecided", _why_not(verdict)
    by = verdict.fields["decided_by"]
    reason = f"says the judge, {judge.engine.uri}" if by == "model" else _reason(verdict)
    return ("right" if verdict.value == "correct" else "wrong"), reason


def _why_not(verdict: Verdict) -> str:
    error = verdict.error
    if error is None or error.cause == Cause.UNDECIDED:
        return "nothing decides it; compare it yourself, or name an engine"
    return f"the judge could not decide: {error.message}"


def _reason(verdict: Verdict) -> str:
    return f"{verdict.fields['reasoning']} ({verdict.fields['decided_by']})"
