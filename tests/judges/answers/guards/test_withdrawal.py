"""A withdrawal follows the last mention."""

import pytest

from plaudit.judges.answers.guards.withdrawal import takes_back
from tests.judges.answers.making import mention


@pytest.mark.parametrize(
    "answer",
    [
        "Paris. I take that back.",
        "Paris. That is wrong.",
        "Paris. No, Lyon.",
        "Paris, or rather Lyon",
        "Paris... sorry, I mean the other one.",
        "Paris. Actually, no, it is in Spain.",
        "Paris. Actually, it's Lyon.",
    ],
)
def test_an_answer_is_taken_back(answer: str) -> None:
    assert takes_back(mention(answer))


@pytest.mark.parametrize(
    "answer",
    [
        "Lyon. No, Paris.",
        "Paris. Many say Lyon, but that is wrong.",
        "Paris. Actually, it has been so for centuries.",
        "Paris. No other city is as large.",
        "Paris. Lyon? No, that is wrong.",
        "Paris. Sorry for the delay.",
        "Paris, see no. 12",
    ],
)
def test_a_remark_takes_nothing_back(answer: str) -> None:
    assert takes_back(mention(answer)) is None


def test_a_no_is_not_taken_back_by_a_no() -> None:
    assert takes_back(mention("No. That is wrong.", "no")) is None
