"""Labels of people in other spellings: mapped by a table, or refused by name."""

from typing import Any

import pytest

from plaudit.bench.labels import LABELS, read_label
from plaudit.bench.outcomes import outcome_of
from plaudit.errors import InputError, UsageError
from plaudit.types import Verdict


@pytest.mark.parametrize(
    ("kind", "spelling", "label"),
    [
        ("pairwise", "A", "A"),
        ("pairwise", "A>B", "A"),
        ("pairwise", "[[A]]", "A"),
        ("pairwise", "[[B>>A]]", "B"),
        ("pairwise", " b ", "B"),
        ("pairwise", 1, "A"),
        ("pairwise", 2.0, "B"),
        ("pairwise", "2", "B"),
        ("pairwise", "model_b", "B"),
        ("pairwise", "tie", "A=B"),
        ("pairwise", "Tie (bothbad)", "A=B"),
        ("verify", True, "correct"),
        ("verify", "yes", "correct"),
        ("verify", "Correct", "correct"),
        ("verify", 1, "correct"),
        ("verify", 0, "incorrect"),
        ("verify", "False", "incorrect"),
        ("verify", False, "incorrect"),
        ("feedback", "POS_PRAISE", "pos_praise"),
        ("feedback", "positive", "positive"),
        ("feedback", "-1", "negative"),
        ("pointwise", 4, 4.0),
        ("pointwise", "3.5", 3.5),
        ("pointwise", True, "correct"),
        ("pointwise", "negative", "negative"),
        ("pairwise", None, None),
        ("verify", " ", None),
    ],
)
def test_spellings_are_mapped(kind: str, spelling: Any, label: str | float | None) -> None:
    assert read_label(kind, spelling) == label


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [
        ("pairwise", 0),
        ("pairwise", 3),
        ("pairwise", True),
        ("pairwise", "the first one"),
        ("pairwise", ["A"]),
        ("verify", 0.5),
        ("verify", "maybe"),
        ("feedback", 4),
        ("pointwise", "good"),
        ("pointwise", float("nan")),
    ],
)
def test_other_spellings_are_refused_by_name(kind: str, spelling: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_label(kind, spelling)
    assert str(spelling) in str(caught.value)
    assert all(str(label) in str(caught.value) for label in set(LABELS[kind].values()))


def test_a_kind_without_labels_is_named() -> None:
    with pytest.raises(UsageError, match="not for the criteria judge"):
        read_label("criteria", "A")


@pytest.mark.parametrize("kind", LABELS)
def test_the_judge_of_the_kind_knows_each_label(kind: str) -> None:
    for label in {*LABELS[kind].values(), *([3.0] if kind == "pointwise" else [])}:
        verdict = Verdict(index=0, id="s", status="failed", metadata={"label": label})
        assert outcome_of(kind, verdict).status == "failed"
