"""Candidates differ where they are of one kind and stand for different things."""

import pytest

from plaudit.judges.answers.guards.candidates import differ


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        ("Paris", "Lyon", True),
        ("cat", "dog", True),
        ("5", "6", True),
        ("two", "3", True),
        ("two", "2", False),
        ("0.5", "1/2", False),
        ("1,000", "1000", False),
        ("0.5", "50", False),
        ("Hellenism", "Hellenismos", False),
        ("Paris", "5", False),
        ("dioxide", "CO2", False),
        ("1/0", "2", True),
    ],
)
def test_rivals(one: str, other: str, different: bool) -> None:
    assert differ(one, other) == different
