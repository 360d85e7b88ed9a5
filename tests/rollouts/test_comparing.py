"""Two runs compared question by question."""

import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.evaluation import compare
from plaudit.rollouts.trace import Score, StopReason, Trace
from plaudit.types import Usage


def trace(question: int, value: float | None, draw: int = 0, **fields) -> Trace:
    given = {"stop_reason": StopReason.ANSWERED, "final_answer": "x", **fields}
    return Trace(
        id=f"q{question}/{draw}", question_id=f"q{question}", draw=draw, messages=[],
        rewards={"correctness": Score(value=value)}, usage=Usage(10, 5), **given,
    )  # fmt: skip


def test_what_is_hard_for_both_cancels() -> None:
    hard = [0.0, 0.1, 0.2, 0.5, 0.8, 0.9]
    before = [trace(n, value) for n, value in enumerate(hard)]
    after = [trace(n, value + 0.1) for n, value in enumerate(hard)]
    found = compare(before, after).measures["correctness"]
    assert found.questions == 6
    assert round(found.difference.value, 9) == 0.1
    assert found.difference.low > 0.09
    assert found.difference.high < 0.11
    assert (found.better, found.worse) == (6, 0)


def test_a_question_counts_once_however_often_it_was_rolled_out() -> None:
    before = [trace(0, 0.0, draw) for draw in range(8)] + [trace(1, 1.0)]
    after = [trace(0, 1.0), trace(1, 1.0)]
    found = compare(before, after).measures["correctness"]
    assert (found.first, found.second) == (0.5, 1.0)


def test_what_could_not_be_told_and_what_was_broken_off_is_in_no_mean() -> None:
    before = [trace(0, 0.0), trace(1, None), trace(2, 0.0)]
    late = {"stop_reason": StopReason.DEADLINE, "final_answer": None}
    after = [trace(0, 1.0), trace(1, 1.0), trace(2, 0.0, **late)]
    found = compare(before, after)
    assert found.questions == 3
    assert found.measures["correctness"].questions == 1
    assert found.measures["answered"].questions == 2
    assert found.measures["output_tokens"].first == 5


def test_questions_of_one_run_alone_are_counted() -> None:
    found = compare([trace(0, 1.0), trace(1, 1.0)], [trace(1, 1.0), trace(2, 1.0), trace(3, 1.0)])
    assert (found.questions, found.only_first, found.only_second) == (1, 1, 2)
    with pytest.raises(UsageError, match="no question in common"):
        compare([trace(0, 1.0)], [trace(1, 1.0)])
