"""An opinion of others is disowned where the answer turns away from it."""

import pytest

from plaudit.judges.answers.guards.opinion import is_disowned
from tests.judges.answers.making import mention


@pytest.mark.parametrize(
    ("answer", "disowned"),
    [
        ("Some say Paris, but it is Lyon.", True),
        ("Many people think it is Paris, but that is wrong.", True),
        ("My friend says Paris, but I disagree.", True),
        ("People mistakenly call it Paris.", True),
        ("Paris is what most people say, but it is Lyon.", True),
        ("Some say Lyon, but it is Paris.", False),
        ("Most people say Paris, and they are right.", False),
        ("It is often said that it is Paris.", False),
        ("Paris", False),
    ],
)
def test_an_opinion_needs_a_turn(answer: str, disowned: bool) -> None:
    assert is_disowned(mention(answer)) == disowned
