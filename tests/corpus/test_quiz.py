"""The quiz: what is right, what is wrong, and what nobody could tell."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plaudit.corpus.questions import Question
from plaudit.corpus.quiz import Marks, hold_quiz, mark
from plaudit.judge import Judge
from plaudit.judges.answers.head import model as head
from tests.support.questions import line, script

WHY = Question(id="a", question="Why did Stroh not sail?", answer="his brother had scarlet fever")
DEPTH = Question(id="b", question="How deep was it, in fathoms?", answer=["640", "640 fathoms"])
COUNT = Question(id="d", question="How many soundings?", answer="412")
YEAR = Question(id="e", question="When?", answer=["1911", "in 1911"])
OPEN = Question(id="c", question="What is the sea?")


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head decides nothing."""
    monkeypatch.setattr(head, "decide", lambda p: None)


@pytest.mark.parametrize(
    ("question", "answer", "outcome"),
    [
        (DEPTH, "640\n", "right"),
        (DEPTH, "640 Fathoms.", "right"),
        (YEAR, "1912", "wrong"),
        (COUNT, "12", "wrong"),
        (DEPTH, "Thought process:", "wrong"),
        (DEPTH, "How deep was it, in fathoms?", "wrong"),
        (WHY, "His brother had scarlet fever!", "right"),
        (WHY, "he was afraid to catch a fever", "undecided"),
        (WHY, " \n", "skipped"),
    ],
)
@pytest.mark.usefixtures("unsure")
def test_what_needs_no_model_is_decided(question: Question, answer: str, outcome: str) -> None:
    assert mark(question, answer).outcome == outcome


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ({"reasoning": "The same.", "verdict": "correct", "confidence": 0.9}, "right"),
        ({"reasoning": "Not so.", "verdict": "incorrect", "confidence": 0.9}, "wrong"),
        ({"reasoning": "?", "verdict": "perhaps", "confidence": 0.9}, "undecided"),
        (None, "undecided"),
    ],
)
@pytest.mark.usefixtures("unsure")
def test_a_judge_decides_the_rest_and_a_failed_one_is_no_mark(
    tmp_path: Path, reply: dict[str, object] | None, outcome: str
) -> None:
    said = {"error": "bad_request"} if reply is None else {"text": json.dumps(reply)}
    judge = Judge("verify", engine=script(tmp_path, [line({}, said)]), cache=False)
    marked = mark(WHY, "he was afraid to catch a fever", judge)
    assert (marked.outcome, bool(marked.reason)) == (outcome, True)
    assert mark(WHY, "his brother had scarlet fever", judge).outcome == "right"
    judge.close()


def test_a_quiz_leaves_out_what_has_no_answer_and_ends_with_the_answers() -> None:
    answers = iter(["640", "  "])

    def ask(question: Question) -> str:
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    marks = Marks()
    for marked in hold_quiz([OPEN, DEPTH, WHY, DEPTH, DEPTH], ask):
        marks.add(marked)
    assert marks == Marks(asked=2, right=1, skipped=1)


def test_an_interrupt_is_not_swallowed() -> None:
    def ask(question: Question) -> str:
        raise KeyboardInterrupt

    quiz: Iterator[object] = hold_quiz([DEPTH], ask)
    with pytest.raises(KeyboardInterrupt):
        next(quiz)
