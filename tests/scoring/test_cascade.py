"""Cascades: what is settled, promised and saved."""

import random

import pytest

from plaudit.errors import Cause
from plaudit.scoring.cascade import GatePromise, Saved, Spent, promised, saved, settles
from plaudit.types import Failure, Usage, Verdict


def verdict(status="ok", cause=None, confidence=None) -> Verdict:
    error = Failure(Cause(cause), "why") if cause else None
    return Verdict(index=0, id="x", status=status, confidence=confidence, error=error)


@pytest.mark.parametrize(
    ("found", "stays"),
    [
        (verdict(confidence=0.9), True),
        (verdict("abstained", "topic_shift", 0.9), True),
        (verdict("abstained", "topic_shift"), True),
        (verdict("abstained", "topic_shift", 0.7), False),
        (verdict("abstained", "below_gate", 0.7), False),
        (verdict("abstained", "order_conflict", 0.9), False),
        (verdict("abstained", "undecided_votes", 0.9), False),
        (verdict("invalid", "unparseable"), False),
        (verdict("failed", "timeout"), False),
    ],
)
def test_only_what_a_step_decided_stays(found: Verdict, stays: bool) -> None:
    assert settles(found, 0.8) == stays


def test_promises_add_up_to_no_more_than_they_are() -> None:
    first, second = GatePromise(agreement=0.9, delta=0.05), GatePromise(agreement=0.8, delta=0.1)
    both = promised([(first, 300), (second, 100), (None, 600)])
    assert both is not None
    assert (both.agreement, both.probability, both.samples) == (0.875, 0.85, 400)
    assert promised([(None, 10), (None, 20)]) is None
    nothing = promised([(first, 0), (second, 0)])
    assert nothing is not None
    assert (nothing.agreement, nothing.samples) == (0.8, 0)
    many = promised([(GatePromise(agreement=0.9, delta=0.6), 1)] * 2)
    assert many is not None
    assert many.probability == 0


def test_savings_are_against_the_last_step_alone() -> None:
    cheap = Spent(samples=100, requests=100, usage=Usage(1000, 100), cost_usd=0.0)
    dear = Spent(samples=20, requests=40, usage=Usage(4000, 200), cost_usd=2.0)
    assert saved([cheap, dear], 100) == Saved(
        samples=80, requests=60, input_tokens=15000, output_tokens=700, cost_usd=8.0
    )


def test_a_cascade_that_settles_nothing_early_lost() -> None:
    step = Spent(samples=10, requests=10, usage=Usage(100, 10), cost_usd=1.0)
    lost = saved([step, step], 10)
    assert (lost.samples, lost.requests, lost.input_tokens, lost.cost_usd) == (0, -10, -100, -1.0)


def test_what_is_not_known_is_not_a_number() -> None:
    cheap = Spent(samples=10, requests=10, cost_usd=None)
    dear = Spent(samples=5, requests=5, cost_usd=1.0)
    assert saved([cheap, dear], 10).cost_usd is None
    assert saved([dear, cheap], 10).cost_usd is None
    assert saved([dear, Spent()], 10) == Saved(samples=10)


def test_most_of_a_good_judges_agreement_for_under_half_its_calls() -> None:
    """One judge is right in 70 % and knows where, the other in 95 %."""
    draw, gate, n = random.Random(11), 0.85, 50_000
    alone = first_right = asked = right = 0
    for _ in range(n):
        easy = draw.random() < 0.6
        confidence = draw.uniform(0.85, 1) if easy else draw.uniform(0.3, 0.9)
        first = draw.random() < (0.97 if easy else 0.295)
        second = draw.random() < 0.95
        first_right += first
        alone += second
        below = confidence < gate
        reached = verdict("abstained", "below_gate", confidence) if below else verdict()
        settled = settles(reached, gate)
        asked += not settled
        right += first if settled else second
    assert first_right / n == pytest.approx(0.70, abs=0.01)
    assert right / n > alone / n - 0.02
    assert asked < n / 2
