"""Formulas are found in sentences, and words that stand for one are read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.judges.answers.types.symbolic.sentences import (
    formula_of,
    in_formulas,
    same_words,
    without_letter,
)
from tests.support.examples import drawn


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("x+1", "x+1"),
        ("The solution is $x=3$.", "$x=3$"),
        (r"The length is \[2\sqrt3.\]", r"\[2\sqrt3.\]"),
        ("The roots are $x=1$ and $x=2$.", "$x=1$ and $x=2$"),
        ("Since $a=2$, the sum is $2+2 = 4$", "$2+2 = 4$"),
        ("$x=3$ is the only solution.", "$x=3$"),
        ("The area is $9$ square units.", r"$9$ \text{ square units}"),
        ("The number of ways is $10$.", "$10$"),
    ],
)
def test_the_formula_of_a_sentence_is_what_it_ends_with(text: str, formula: str) -> None:
    assert formula_of(text) == (formula, True)


def test_a_formula_that_no_word_marks_decides_no_difference() -> None:
    assert formula_of("Therefore, $x = 3$.") == ("$x = 3$", False)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is not $5$.",
        "We note that $x$ cannot be $5$.",
        "Let $x = 5$.",
        "It is greater than $5$.",
        "The answer lies between $4$ and $5$.",
        "It is the derivative of $x^2$.",
        "It holds where $n$ is even, so for $n = 4$.",
        "The value of $5$ is wrong.",
        "The value is $5$ no more.",
    ],
)
def test_a_formula_that_is_denied_or_said_in_passing_is_none(text: str) -> None:
    assert formula_of(text) == ("", False)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (r"\text{All real numbers}", r"\mathbb{R}"),
        ("no solution", r"\emptyset"),
        (r"\text{There are no real roots}", r"\emptyset"),
        ("negative infinity", r"-\infty"),
        (r"$\textbf{Answer: } 17$", "17$"),
        ("all real numbers except 0", "all real numbers except 0"),
        ("no solutions other than 0", "no solutions other than 0"),
    ],
)
def test_words_that_stand_for_a_formula_become_one(text: str, formula: str) -> None:
    assert in_formulas(text) == formula


@pytest.mark.parametrize(
    ("answer", "reference", "alike"),
    [
        (r"\text{Even}", "even", True),
        (r"\text{odd}", r"\text{even}", False),
        (r"\text{hyperbola}", r"\text{ellipse}", None),
        ("A, C", r"\text{A and C}", True),
        ("A, B", r"\text{A and C}", False),
        ("A, C", "A, C", None),
        (r"\sqrt{2}", r"\text{even}", None),
    ],
)
def test_words_are_the_same_opposite_or_open(
    answer: str, reference: str, alike: bool | None
) -> None:
    assert same_words(answer, reference) is alike


def test_a_letter_before_a_value_is_left_out_unless_it_is_asked_for() -> None:
    assert without_letter(r"\textbf{(C)}\ 12", "12") == "12"
    assert without_letter(r"\textbf{(C)}\ 12", r"\text{(C)}") == r"\textbf{(C)}"
    assert without_letter(r"\text{ab}", "12") == r"\text{ab}"


@settings(derandomize=True, deadline=None, max_examples=drawn(50))
@given(st.text(max_size=200) | st.text("x1$\\()[]{} .,isnotand", max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    formula_of(text)
    in_formulas(text)
    same_words(text, text)
    without_letter(text, text)
