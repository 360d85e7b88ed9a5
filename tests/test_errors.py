import pickle

import pytest

from plaudit import errors
from plaudit.errors import (
    CallError,
    Cause,
    EngineUnusableError,
    InputError,
    MissingDependencyError,
    PlauditError,
    ReplyError,
    StoreError,
    TemplateError,
    UsageError,
)

ALL = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


@pytest.mark.parametrize("error", ALL)
def test_everything_raised_has_one_base_and_is_in_the_tree(error: type[Exception]) -> None:
    assert issubclass(error, PlauditError)
    assert error.__name__ in (errors.__doc__ or "")
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError, 2),
        (InputError, 2),
        (TemplateError, 2),
        (StoreError, 2),
        (EngineUnusableError, 3),
    ],
)
def test_exit_statuses(error: type[PlauditError], status: int) -> None:
    assert error("x").exit_status == status


def test_a_missing_package_says_how_to_install_it() -> None:
    error = MissingDependencyError("pyarrow", "parquet")
    assert (str(error), error.exit_status) == (
        "pyarrow is not installed. Install it with: pip install 'plaudit[parquet]'", 2
    )  # fmt: skip


def test_an_error_of_a_call_carries_its_cause() -> None:
    error = CallError(Cause.RATE_LIMITED, "slow", retryable=True, retry_after=2.5, attempts=3)
    assert (error.cause, error.retryable, error.retry_after, error.attempts) == (
        Cause.RATE_LIMITED, True, 2.5, 3
    )  # fmt: skip
    plain = CallError(Cause.TIMEOUT, "late")
    assert (plain.retryable, plain.retry_after, plain.attempts) == (False, None, 1)


@pytest.mark.parametrize(
    "error",
    [
        UsageError("x"),
        CallError(Cause.TIMEOUT, "late", retryable=True, retry_after=1.0, attempts=2),
        ReplyError(Cause.CUT_OFF, "short"),
        MissingDependencyError("pyarrow", "parquet"),
    ],
)
def test_errors_cross_processes(error: PlauditError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_the_names_of_the_causes_are_stable() -> None:
    assert {str(cause) for cause in Cause} == {
        "timeout", "connection", "rate_limited", "server_error", "bad_response", "bad_request",
        "context_overflow", "refused", "cut_off", "unparseable", "out_of_range", "unknown_option",
        "options_not_visible", "low_option_mass", "below_gate", "topic_shift", "order_conflict",
        "undecided_votes", "jury_tie", "undecided", "ambiguous", "expired", "canceled",
    }  # fmt: skip
