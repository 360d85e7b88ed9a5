"""What a set of rollouts came to."""

import random

import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.evaluation import Evaluation, Evaluator, compare
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.trace import (
    CallRecord,
    CallStatus,
    Score,
    StopReason,
    Tokens,
    Trace,
    Turn,
    Unscored,
)
from plaudit.types import Failure, Usage

REWARDS = load_rewards({"rewards": {"correctness": {"by": "rules"}}})


def trace(question: int, right: bool | None, **fields) -> Trace:
    cause = Unscored.BROKEN_OFF if right is None else None
    value = None if right is None else float(right)
    score = Score(value=value, cause=cause)
    given = {
        "stop_reason": StopReason.FAILED if right is None else StopReason.ANSWERED,
        "final_answer": None if right is None else "x",
        "turns": [Turn(text="x")],
        **fields,
    }
    return Trace(
        id=f"q{question}", group=f"q{question}", messages=[], usage=Usage(100, 7),
        rewards={"correctness": score, "total": score}, **given,
    )  # fmt: skip


def call(name: str, status: CallStatus) -> CallRecord:
    return CallRecord(id="c", turn=0, name=name, arguments={}, status=status)


def evaluated(outcomes: list[list[bool | None]], samples: int, seed: int = 0) -> Evaluation:
    """Evaluate questions with these outcomes, in a random order of arrival."""
    arrivals = [(n, right) for n, group in enumerate(outcomes) for right in group]
    random.Random(seed).shuffle(arrivals)
    evaluator = Evaluator(samples, REWARDS)
    for number, right in arrivals:
        evaluator.add(number, trace(number, right))
    return evaluator.result()


def test_a_failed_rollout_is_out_of_every_average_and_counted() -> None:
    found = evaluated([[True], [False], [None], [None]], 1)
    assert found.accuracy is not None
    assert found.accuracy.value == 0.5
    assert (found.rollouts, found.broken_off, found.answered) == (4, 2, 2)
    assert found.rewards["correctness"].unscored == {"broken_off": 2}
    assert found.rewards["correctness"].scored == 2


def test_no_accuracy_where_nothing_was_graded() -> None:
    found = evaluated([[None], [None]], 1)
    assert found.accuracy is None
    assert found.pass_at == {}
    ungraded = Evaluator()
    ungraded.add(0, trace(0, True))
    assert ungraded.result().accuracy is None
    assert Evaluator().result() == Evaluation()


def test_pass_at_k_is_over_the_questions_with_as_many_graded_rollouts() -> None:
    found = evaluated([[True, False, False, False], [True, None, None, None]], 4)
    assert {k: estimate.value for k, estimate in found.pass_at.items()} == {1: 0.625, 2: 0.5, 4: 1}


def test_the_order_of_arrival_changes_nothing() -> None:
    draw = random.Random(5)
    outcomes = [[draw.choice([True, False, None]) for _ in range(4)] for _ in range(30)]
    first = evaluated(outcomes, 4, seed=0)
    for seed in range(1, 5):
        assert evaluated(outcomes, 4, seed=seed) == first, "to the last bit"


def test_questions_without_all_their_rollouts_count_too() -> None:
    evaluator = Evaluator(4, REWARDS)
    evaluator.add(0, trace(0, True))
    assert evaluator.result().questions == 1
    assert evaluator.result().accuracy is not None


def test_calls_turns_tokens_and_causes_are_counted() -> None:
    tokens = Tokens(
        ids=[1], mask=[1], logprobs=[None], exactness="exact", prompt_length=0, forks=2, truncated=3
    )
    evaluator = Evaluator()
    calls = [call("search", "ok"), call("search", "ok"), call("seek", "unknown_tool")]
    evaluator.add(0, trace(0, True, tool_calls=calls, tokens=tokens))
    approximate = Tokens(
        ids=[1], mask=[1], logprobs=[None], exactness="approximate", prompt_length=0
    )
    evaluator.add(1, trace(1, True, tokens=approximate))
    evaluator.add(2, trace(2, None, error=Failure("timeout", "late")))
    found = evaluator.result()
    assert found.calls == {"search": 0.666667}
    assert found.bad_calls == {"unknown_tool": 1}
    assert (found.exact, found.approximate, found.forks, found.truncated) == (1, 1, 1, 1)
    assert found.causes == {"timeout": 1}
    assert (found.input_tokens, found.output_tokens, found.turns) == (300, 21, 1.0)


def run_trace(question: int, value: float | None, draw: int = 0, **fields) -> Trace:
    given = {"stop_reason": StopReason.ANSWERED, "final_answer": "x", **fields}
    return Trace(
        id=f"q{question}/{draw}", question_id=f"q{question}", draw=draw, messages=[],
        rewards={"correctness": Score(value=value)}, usage=Usage(10, 5), **given,
    )  # fmt: skip


def test_what_is_hard_for_both_cancels() -> None:
    hard = [0.0, 0.1, 0.2, 0.5, 0.8, 0.9]
    before = [run_trace(n, value) for n, value in enumerate(hard)]
    after = [run_trace(n, value + 0.1) for n, value in enumerate(hard)]
    found = compare(before, after).measures["correctness"]
    assert found.questions == 6
    assert round(found.difference.value, 9) == 0.1
    assert found.difference.low > 0.09
    assert found.difference.high < 0.11
    assert (found.better, found.worse) == (6, 0)


def test_a_question_counts_once_however_often_it_was_rolled_out() -> None:
    before = [run_trace(0, 0.0, draw) for draw in range(8)] + [run_trace(1, 1.0)]
    after = [run_trace(0, 1.0), run_trace(1, 1.0)]
    found = compare(before, after).measures["correctness"]
    assert (found.first, found.second) == (0.5, 1.0)


def test_what_is_unscored_and_what_was_broken_off_is_in_no_mean() -> None:
    before = [run_trace(0, 0.0), run_trace(1, None), run_trace(2, 0.0)]
    late = {"stop_reason": StopReason.DEADLINE, "final_answer": None}
    after = [
        run_trace(0, 1.0),
        run_trace(1, 1.0),
        run_trace(2, 0.0, **late),
    ]
    found = compare(before, after)
    assert found.questions == 3
    assert found.measures["correctness"].questions == 1
    assert found.measures["answered"].questions == 2
    assert found.measures["output_tokens"].first == 5


def test_questions_of_one_run_alone_are_counted() -> None:
    found = compare(
        [run_trace(0, 1.0), run_trace(1, 1.0)],
        [run_trace(1, 1.0), run_trace(2, 1.0), run_trace(3, 1.0)],
    )
    assert (found.questions, found.only_first, found.only_second) == (1, 1, 2)
    with pytest.raises(UsageError, match="no question in common"):
        compare([run_trace(0, 1.0)], [run_trace(1, 1.0)])
