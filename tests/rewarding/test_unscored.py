"""What stands for a value that does not exist: chosen, checked, applied."""

import pytest

from plaudit.errors import UsageError
from plaudit.rewarding.rows import ScoredRow
from plaudit.rewarding.unscored import (
    UnscoredChoice,
    UnscoredError,
    check_choice,
    read_choice,
    values,
)

ROWS = [
    ScoredRow(value=1.0, status="ok"),
    ScoredRow(value=None, status="abstained", cause="below_gate"),
    ScoredRow(value=0.5, status="ok"),
]


def test_choices_are_read() -> None:
    assert read_choice("null") == UnscoredChoice("null")
    assert read_choice("-0.5") == read_choice(-0.5) == UnscoredChoice("number", -0.5)
    assert str(read_choice("0.25")) == "0.25"


@pytest.mark.parametrize("given", ["nan", "inf", "number", "nul", "", "mean", True])
def test_what_is_no_choice_is_refused(given: str) -> None:
    with pytest.raises(UsageError):
        read_choice(given)


def test_a_typo_is_answered_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'group-mean'"):
        read_choice("groupmean")


def test_a_dialect_without_null_needs_a_choice_that_it_can_carry() -> None:
    with pytest.raises(UsageError, match="--when-unscored slime=HOW, where HOW is error, a number"):
        check_choice("slime", ("error", "number"), None)
    with pytest.raises(UsageError, match="slime cannot carry drop"):
        check_choice("slime", ("error", "number"), UnscoredChoice("drop"))
    assert check_choice("native", ("null", "error"), None) == UnscoredChoice("null")


@pytest.mark.parametrize(
    ("choice", "group", "found"),
    [
        ("null", True, [1.0, None, 0.5]),
        ("drop", False, [1.0, None, 0.5]),
        ("-1", False, [1.0, -1.0, 0.5]),
        ("group-mean", True, [1.0, 0.75, 0.5]),
        ("group-mean", False, [1.0, None, 0.5]),
    ],
)
def test_choices_are_applied(choice: str, group: bool, found: list[float | None]) -> None:
    assert values(ROWS, read_choice(choice), whole_group=group) == found


def test_a_request_with_rows_without_a_value_is_refused() -> None:
    with pytest.raises(UnscoredError, match="1 of 3 rows have no value: below_gate") as refusal:
        values(ROWS, UnscoredChoice("error"), whole_group=False)
    assert not refusal.value.may_pass
    assert values(ROWS[:1], UnscoredChoice("error"), whole_group=False) == [1.0]


def test_a_wholly_unscored_group_has_no_mean() -> None:
    rows = [ScoredRow(value=None, status="failed", cause="timeout")] * 2
    with pytest.raises(UnscoredError) as refusal:
        values(rows, UnscoredChoice("group-mean"), whole_group=True)
    assert refusal.value.may_pass
