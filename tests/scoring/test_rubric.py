import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.scoring.rubric import Step, accuracy, choose, is_right, mean_margins, split


@pytest.mark.parametrize(
    ("margin", "label", "right"),
    [(0.1, "A", True), (0.1, "B", False), (-2, "B", True), (0.0, "A", False), (None, "A", False)],
)
def test_only_a_score_on_the_labelled_side_is_right(margin, label, right):
    assert is_right(margin, label) is right


def test_rounding_is_no_preference():
    assert not is_right(1e-12, "A") and not is_right(-1e-12, "B")


def test_a_pair_that_one_criterion_could_not_score_has_no_mean():
    assert mean_margins([[1.0, None, 3.0], [3.0, 1.0, -1.0]]) == [2.0, None, 1.0]


def test_criteria_are_added_while_they_help():
    labels = ["A", "A", "B", "B"]
    margins = {
        "overall": [1.0, -1.0, 1.0, -1.0],
        "second": [0.0, 0.5, 0.0, 0.0],
        "best": [0.0, 3.0, 0.0, 0.0],
        "last": [0.0, 0.0, -9.0, 0.0],
        "none": [0.0, 0.0, 0.0, 0.0],
    }
    assert choose("overall", margins, labels) == [
        Step("overall", 0.5, 0.5),
        Step("best", 0.75, 0.25),
        Step("last", 1.0, 0.25),
    ]


def test_what_does_not_raise_agreement_is_not_added():
    margins = {"overall": [1.0, 1.0], "same": [2.0, 2.0], "worse": [-9.0, 1.0]}
    assert choose("overall", margins, ["A", "B"]) == [Step("overall", 0.5, 0.5)]


def test_a_failed_score_is_never_right():
    assert accuracy([None, 1.0, None], ["A", "A", "B"]) == pytest.approx(1 / 3)


@given(st.integers(3, 200), st.integers())
def test_the_thirds_share_nothing_and_miss_nothing(count, seed):
    parts = split(count, seed)
    assert sorted(n for part in parts for n in part) == list(range(count))
    assert parts == split(count, seed)
    assert len(parts[0]) == len(parts[1]) == count // 3
