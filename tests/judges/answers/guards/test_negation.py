"""A negated mention is known by the words around it."""

import pytest

from plaudit.judges.answers.guards.negation import is_negated
from tests.judges.answers.making import mention


@pytest.mark.parametrize(
    "answer",
    [
        "It is not Paris.",
        "anything but Paris",
        "I don't think it is Paris.",
        "Lyon instead of Paris",
        "neither Lyon nor Paris",
        "Paris is wrong.",
        "Paris is not the capital.",
        "Paris? No.",
        "It is false that Paris is one.",
        "nicht Paris",
        "pas Paris",
    ],
)
def test_a_negated_mention(answer: str) -> None:
    assert is_negated(mention(answer))


@pytest.mark.parametrize(
    "answer",
    ["Not Lyon but Paris", "not only Paris", "Paris, not Lyon", "Isn't it Paris?", "It is Paris."],
)
def test_a_mention_beside_a_negation(answer: str) -> None:
    assert not is_negated(mention(answer))


def test_what_is_not_so_may_be_asked_for() -> None:
    assert not is_negated(mention("Paris is wrong.", question="Which city is wrong?"))
