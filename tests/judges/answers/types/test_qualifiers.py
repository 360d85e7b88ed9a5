"""Words and signs that make one thing another."""

import pytest

from plaudit.judges.answers.base import AnswerCase
from plaudit.judges.answers.types import text

DIFFERENT = [
    ("Virginia", "West Virginia"), ("New London", "London"), ("guilty", "not guilty"),
    ("the Vice President", "the President"), ("H4SO2", "H2SO4"), ("US-5", "I-5"), ("A4", "A5"),
    ("Bill Gates Sr.", "Bill Gates"), ("n!", "n"), ("f'", "f"), ("Cl", "Cl-"), ("C", "C++"),
    ("vitamin", "vitamin A"), ("Apollo", "Apollo 13"),
]  # fmt: skip
OPEN = [
    ("Kant", "Immanuel Kant"), ("Paris", "London"), ("covalent bond", "bond"), ("A5 sheet", "A5"),
    ("vitamin D3", "vitamin D"), ("Martin Luther King", "Martin Luther King Jr."),
]  # fmt: skip


def equal(answer: str, reference: str, question: str = "") -> bool | None:
    case = AnswerCase(question=question, answer=answer, references=(reference,))
    found = text.compare(answer, reference, case)
    return None if found is None else found.equal


@pytest.mark.parametrize(("answer", "reference"), DIFFERENT)
def test_a_word_or_sign_makes_it_another_thing(answer: str, reference: str) -> None:
    assert equal(answer, reference) is False


@pytest.mark.parametrize(("answer", "reference"), OPEN)
def test_other_words_leave_it_open(answer: str, reference: str) -> None:
    assert equal(answer, reference) is not False


def test_case_counts_where_the_question_names_both() -> None:
    assert equal("AA", "aa", "AA, Aa or aa?") is False
    assert equal("Aa", "aa", "Which pair is recessive?") is not True
    assert equal("$H_2SO_4$", "H2SO4") and equal("$\\mathrm{Cl}^-$", "Cl-")
