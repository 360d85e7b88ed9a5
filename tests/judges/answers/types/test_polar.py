"""Yes and no in other words and languages."""

import pytest

from plaudit.judges.answers.base import AnswerCase
from plaudit.judges.answers.types import polar

YES = [
    "yes",
    "Yes.",
    "Yep",
    "Yeah!",
    "Oui",
    "S\u00ed, es as\u00ed.",
    "Ja, das stimmt.",
    "Sim",
    "Absolutely.",
    "Of course",
    "They did.",
    "It is",
    "That's right.",
    "The statement is correct.",
    "True",
    "Correct, it is the largest one.",
    "\u306f\u3044",
]
NO = [
    "no",
    "Nope, there is no air.",
    "Nein, das geht nicht.",
    "Non",
    "N\u00e3o",
    "Certainly not.",
    "Not any more; it is a dwarf planet.",
    "It isn't.",
    "They did not",
    "That's false.",
    "never",
    "No, it is not.",
    "Not at all",
    "\u3044\u3044\u3048",
]
OPEN = [
    "",
    "Paris",
    "Yes and no",
    "Yes, but only in part.",
    "No doubt",
    "Nobody",
    "Yes, it is not.",
    "No. Wait, yes.",
    "Yes? No.",
    "It depends",
    "Note",
    "Yesterday",
    "Not Paris",
    "Maybe",
    "No, that is true.",
    "Yes " + "x" * 1000,
]


def equal(answer: str, reference: str) -> bool | None:
    case = AnswerCase(question="Is it so?", answer=answer, references=(reference,))
    assert polar.applies(reference, case)
    found = polar.compare(answer, reference, case)
    return None if found is None else found.equal


@pytest.mark.parametrize("answer", YES)
def test_the_first_word_says_yes(answer: str) -> None:
    assert equal(answer, "yes") is True and equal(answer, "false") is False


@pytest.mark.parametrize("answer", NO)
def test_the_first_word_says_no(answer: str) -> None:
    assert equal(answer, "no") is True and equal(answer, "True") is False


@pytest.mark.parametrize("answer", OPEN)
def test_what_says_neither_is_open(answer: str) -> None:
    assert equal(answer, "yes") is None


def test_other_references_are_not_of_this_type() -> None:
    case = AnswerCase(question="Who?", answer="yes", references=("Yes (band)",))
    assert not polar.applies("Yes (band)", case)
