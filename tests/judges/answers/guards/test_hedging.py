"""A hedge is another candidate of the same kind beside the mention."""

import pytest

from plaudit.judges.answers.guards.hedging import is_alternative, is_aside, is_equated, is_unsure
from tests.judges.answers.making import mention


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("Paris or Lyon", "Paris"),
        ("Lyon or Paris", "Paris"),
        ("Lyon, Nice, or Paris", "Paris"),
        ("Paris, or maybe Lyon", "Paris"),
        ("5 or 6", "5"),
        ("two or three", "two"),
        ("either a cat or a dog", "cat"),
        ("I think it is cotton or wool", "wool"),
        ("A or B", "A"),
    ],
)
def test_or_joins_alternatives(answer: str, reference: str) -> None:
    assert is_alternative(mention(answer, reference))


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("puma or mountain lion", "puma"),
        ("carbon dioxide or CO2", "carbon dioxide"),
        ("42.195 km or 26.2 miles", "42.195 km"),
        ("1/2 or 0.5", "0.5"),
        ("0.5 or 50%", "0.5"),
        ("8 or so", "8"),
        ("also called Zuchon or Shichon", "Zuchon"),
        ("Hellenism or Hellenismos", "Hellenism"),
    ],
)
def test_or_joins_names_and_values_of_one_thing(answer: str, reference: str) -> None:
    assert not is_alternative(mention(answer, reference))


@pytest.mark.parametrize(
    ("answer", "unsure"),
    [
        ("Maybe Lyon, maybe Paris", True),
        ("It could be Lyon. It could be Paris.", True),
        ("Lyon? Paris?", True),
        ("maybe Paris", False),
        ("It might be Paris, I think.", False),
        ("Maybe it was Lyon, but it is Paris.", False),
    ],
)
def test_several_possibilities_are_a_hedge(answer: str, unsure: bool) -> None:
    assert is_unsure(mention(answer)) == unsure


@pytest.mark.parametrize(
    ("answer", "equated"),
    [("Lyon = Paris", True), ("Paris == Lyon", True), ("x = Paris", False), ("2 = Paris", False)],
)
def test_names_are_equated(answer: str, equated: bool) -> None:
    assert is_equated(mention(answer)) == equated


@pytest.mark.parametrize(
    ("answer", "aside"),
    [
        ("Lyon (or Paris)", True),
        ("Lyon (correct answer: Paris)", True),
        ("Lyon (some say Paris)", True),
        ("the capital (Paris)", False),
    ],
)
def test_a_second_thought_in_brackets(answer: str, aside: bool) -> None:
    assert is_aside(mention(answer)) == aside
