"""What a set of rollouts came to."""

import random

from plaudit.rollouts.evaluation import Evaluation, Evaluator
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
