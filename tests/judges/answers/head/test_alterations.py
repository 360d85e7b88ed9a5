"""Qualifiers that a short answer drops, adds or moves."""

import pytest

from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.head.features import NAMES, measure

WHO = "who was it"


def requalified(answer: str, reference: str, question: str) -> bool:
    case = AnswerCase(question=question, answer=answer, references=(reference,))
    found = Extracted(text=answer, marked=False, by="whole")
    return bool(measure(case, found).values[NAMES.index("requalified")])


@pytest.mark.parametrize(
    ("answer", "reference", "question"),
    [
        ("George W. Bush", "George H. W. Bush", "Which Bush was president in 1991?"),
        ("Martin Luther", "Martin Luther King Jr.", "Who gave the speech?"),
        ("It is Korea.", "North Korea", "Which country is it?"),
        ("Virginia", "West Virginia", "Which state is it?"),
        ("guilty", "not guilty", "What was the verdict?"),
        ("New London", "London", "In which city was it?"),
        ("the Vice President", "the President", "Who may veto a bill?"),
        ("the President of the Senate", "the President", "Who may veto a bill?"),
        ("John Adams", "John Quincy Adams", "Who was the sixth president?"),
        ("John, Paul, George Martin, Ringo", "John, Paul, George Harrison, Ringo", "Who played?"),
        ("It is legal.", "illegal", "May one do so?"),
        ("his stepmother", "his mother", "Who raised him?"),
        ("Bill Gates Sr.", "Bill Gates", "Who founded Microsoft?"),
        ("from north to south", "north", "Where does it flow?"),
        ("2 to 3", "3 to 2", "What was the score?"),
        ("methionine, cysteine, lysine", "methionine, cysteine", "Which ones hold sulfur?"),
    ],
)
def test_another_thing_of_nearly_the_same_name_is_noticed(
    answer: str, reference: str, question: str
) -> None:
    assert requalified(answer, reference, question)


@pytest.mark.parametrize(
    ("answer", "reference", "question"),
    [
        ("Lincoln", "Abraham Lincoln", "who was the president in 1863"),
        ("It was Abraham Lincoln.", "Abraham Lincoln", "who was the president in 1863"),
        ("Mississippi", "the Mississippi River", "what is the longest river"),
        ("southern, not northern", "southern", "Is it the northern or southern one?"),
        ("Chinese wall", "the Chineze wall", "what is it"),
        ("Paris, France", "Paris", "where is it"),
        ("the wall", "the great wall", "what great thing is it"),
    ],
)
def test_what_names_the_same_thing_is_not(answer: str, reference: str, question: str) -> None:
    assert not requalified(answer, reference, question)
