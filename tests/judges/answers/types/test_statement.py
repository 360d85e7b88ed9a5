"""Sentences that state one number, quantity, date or list, and those that only hold it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.base import AnswerCase, Comparer
from plaudit.judges.answers.types import dates, lists, numbers, quantities
from tests.support.examples import drawn

TYPES: dict[str, Comparer] = {
    "number": numbers,
    "quantity": quantities,
    "date": dates,
    "list": lists,
}

STATES = [
    ("number", "How many keys has it?", "88", "A full keyboard has 88 keys."),
    ("number", "How many keys has it?", "88", "Un piano compte 88."),
    ("number", "What was the turnout?", "62%", "Turnout stood at 62 percent."),
    ("number", "What does it cost?", "$25", "The ticket cost $25.00."),
    ("number", "What does it cost?", "\u20ac450,000", "450.000 \u20ac"),
    ("number", "Quantos jogadores tem um time?", "6", "seis"),
    ("number", "What is a half?", "0.5", "1/2 or 0.5"),
    ("number", "What is it?", "43", "forty-three, i.e. 43"),
    ("quantity", "At how much?", "100 \u00b0C", "212 \u00b0F, i.e. 100 \u00b0C"),
    ("quantity", "How tall is it?", "330 m", "It rises to 0.33 kilometres."),
    ("quantity", "How high is it?", "850 m", "It lies 850 m above sea level."),
    ("quantity", "What is the speed limit?", "50 km/h", "You may drive at most 50 km/h here."),
    ("quantity", "How much flour is needed?", "500 g", "You will need 500 grams of flour."),
    ("quantity", "How long was it?", "90 minutes", "an hour and a half"),
    ("quantity", "How cold was it?", "-5 \u00b0C", "5 degrees Celsius below zero"),
    ("quantity", "What is its resistance?", "4.7 k\u03a9", "4.7 kilohms"),
    ("quantity", "What is g?", "9.81 m/s^2", "$9.81\\,\\mathrm{m\\,s^{-2}}$"),
    ("date", "When was it opened?", "5 May 1932", "It was opened to traffic on 5 May 1932."),
    ("date", "When did it begin?", "28 July 1914", "It began on 28 July 1914 in Serbia."),
    (
        "list",
        "Which colours are on the flag?",
        "red, green, white",
        "They are green, white and red.",
    ),
    ("list", "Which colours make it?", "red, green, blue", "Red, blue and green make up light."),
]

HOLDS = [
    ("quantity", "How wide is it?", "120 m", "It is 120 metres deep."),
    ("quantity", "How long is it?", "2 hours", "It starts in two hours."),
    ("date", "When was it opened?", "5 May 1932", "It was closed on 5 May 1932."),
    ("number", "How many moons has it?", "2", "It has more than 2 moons."),
    ("number", "How many moons has it?", "2", "It does not have 2 moons."),
    ("number", "How many moons has it?", "2", "Two planets lie beyond it."),
    ("number", "How many moons has it?", "2", "It has 2 or 3 moons."),
    ("number", "How many moons has it?", "2", "It has 2 times as many as we have."),
    ("number", "What was the turnout?", "62%", "Turnout rose by 62%."),
    ("number", "How many people work there?", "1250", "The firm has 1,250 customers."),
    ("number", "How many moons has it?", "2", "2 or 3"),
    ("number", "", "3.1", "Python 3.1"),
    ("quantity", "How far is it?", "850 m", "It is 850 m further than the church."),
    ("quantity", "How far is it?", "850 m", "Some say it is 850 m."),
    ("quantity", "How heavy is it?", "3 kg", "It weighs under 3 kg."),
    ("quantity", "How heavy is it?", "3 kg", "It is 3 kg too heavy."),
    ("quantity", "What is the least height?", "120 cm", "It is at most 120 cm."),
    ("quantity", "How cold was it?", "5 \u00b0C", "5 degrees Celsius below zero"),
    ("date", "When was it opened?", "5 May 1932", "It was opened before 5 May 1932."),
    ("date", "When was it opened?", "5 May 1932", "It was opened a day after 5 May 1932."),
    (
        "list",
        "Which colours are on the flag?",
        "red, green, white",
        "They are not green, white and red.",
    ),
    (
        "list",
        "Which colours are on it?",
        "red, green, white",
        "They are red, white and light green.",
    ),
]


def equal(kind: str, question: str, reference: str, answer: str) -> bool | None:
    case = AnswerCase(question=question, answer=answer, references=(reference,))
    found = TYPES[kind].compare(answer, reference, case)
    return None if found is None else found.equal


@pytest.mark.parametrize(("kind", "question", "reference", "answer"), STATES)
def test_a_sentence_states_its_value(kind: str, question: str, reference: str, answer: str) -> None:
    assert equal(kind, question, reference, answer) is True


@pytest.mark.parametrize(("kind", "question", "reference", "answer"), HOLDS)
def test_a_value_that_is_turned_is_not_stated(
    kind: str, question: str, reference: str, answer: str
) -> None:
    assert equal(kind, question, reference, answer) is not True


def test_another_value_is_wrong_only_in_a_plain_sentence() -> None:
    assert equal("number", "How many keys has it?", "88", "It has 78 keys.") is False
    assert equal("number", "How many keys has it?", "88", "My old keyboard has 78 keys.") is None


def test_numbers_of_the_question_are_no_second_value() -> None:
    question = "How many goals fell in the final of 2014?"
    assert equal("number", question, "1", "In 2014 there was 1 goal.") is True


@pytest.mark.parametrize("kind", TYPES)
@settings(derandomize=True, max_examples=drawn(100), deadline=None)
@given(answer=st.text(max_size=60), question=st.text(max_size=30))
def test_any_text_is_compared_without_an_error(kind: str, answer: str, question: str) -> None:
    for reference in ("5 km", "12, 13", "May 1932"):
        equal(kind, question, reference, f"It is {answer} 5 km")
