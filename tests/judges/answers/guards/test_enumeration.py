"""A list of candidates is an enumeration where one thing is asked for."""

from fractions import Fraction

import pytest

from plaudit.judges.answers.guards.enumeration import enumerates, plain_value


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Paris, Lyon, Nice, Lille", "Paris"),
        ("1. Lyon\n2. Paris\n3. Nice\n4. Lille", "Paris"),
        ("It is one of Paris, Lyon, Nice, Lille.", "Paris"),
        ("oxygen, helium, carbon dioxide and argon", "carbon dioxide"),
        ("42, 43, 44", "43"),
        ("1 2 3 4 5", "3"),
        ("A, B, C, D", "B"),
    ],
)
def test_a_list_of_candidates(answer: str, reference: str) -> None:
    assert enumerates("Which one?", answer, [reference])


@pytest.mark.parametrize(
    ("question", "answer", "reference"),
    [
        ("Which one?", "Paris, Lyon", "Paris"),
        ("Where is it?", "Versailles, Yvelines, Ile-de-France, France", "Versailles"),
        ("Which one?", "Jupiter, followed by Saturn, Uranus and Neptune", "Jupiter"),
        ("Which one?", "Queen, with Mercury, May, Deacon and Taylor", "Queen"),
        ("Which one?", "Paris, Lyon, Nice, Lille", "Metz"),
        ("Which one?", "1,234,567", "1,234,567"),
    ],
)
def test_no_list_of_candidates(question: str, answer: str, reference: str) -> None:
    assert not enumerates(question, answer, [reference])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,000", Fraction(1000)),
        ("-0.5", Fraction(-1, 2)),
        (r"\frac{1}{2}", Fraction(1, 2)),
        ("x = 3", Fraction(3)),
        ("1/0", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_plain_values(text: str, value: Fraction | None) -> None:
    assert plain_value(text) == value
