"""Intervals over questions, against scipy and simulation."""

import math
import random

import pytest
from scipy import stats as scipy_stats

from plaudit.scoring.intervals import (
    MeanOverQuestions,
    ShareOverQuestions,
    pass_at_k,
    student,
    wilson,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (1, 2), (470, 1000)])
def test_wilson_is_that_of_scipy(successes: int, trials: int) -> None:
    found = wilson(successes / trials, trials)
    wanted = scipy_stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert math.isclose(found.low, wanted.low, abs_tol=1e-12)
    assert math.isclose(found.high, wanted.high, abs_tol=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 20, 100, 10_000])
def test_student_is_that_of_scipy(freedom: int) -> None:
    assert math.isclose(student(0.975, freedom), scipy_stats.t.ppf(0.975, freedom), rel_tol=0.002)


def test_pass_at_k_is_the_share_of_draws_with_a_success() -> None:
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 1, 2) == 0.5
    assert pass_at_k(4, 1, 4) == 1.0
    assert pass_at_k(4, 0, 4) == 0.0
    draw = random.Random(0)
    tries = [True] * 3 + [False] * 7
    share = sum(any(draw.sample(tries, 4)) for _ in range(20_000)) / 20_000
    assert abs(share - pass_at_k(10, 3, 4)) < 0.01


def share_of(questions: list[tuple[int, int]]) -> ShareOverQuestions:
    share = ShareOverQuestions()
    for successes, tries in questions:
        share.add(successes, tries)
    return share


def test_tries_of_one_question_are_no_independent_ones() -> None:
    alike = share_of([(8, 8)] * 5 + [(0, 8)] * 5).estimate()
    single = share_of([(1, 1)] * 5 + [(0, 1)] * 5).estimate()
    mixed = share_of([(4, 8)] * 10).estimate()
    assert alike is not None
    assert single is not None
    assert mixed is not None
    assert alike.value == single.value == mixed.value == 0.5
    assert alike.high - alike.low > 0.9 * (single.high - single.low)
    assert mixed.high - mixed.low < 0.5 * (single.high - single.low)


@pytest.mark.parametrize("questions", [[(3, 3)], [(0, 2)] * 4, [(2, 2)] * 4])
def test_all_or_nothing_still_has_an_interval(questions: list[tuple[int, int]]) -> None:
    found = share_of(questions).estimate()
    assert found is not None
    assert found.high - found.low > 0.3
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_nothing_has_no_estimate() -> None:
    assert share_of([]).estimate() is None
    assert share_of([(0, 0)]).estimate() is None
    assert MeanOverQuestions().estimate() is None


def test_a_mean_has_students_interval() -> None:
    values = [0.2, 0.5, 0.9, 0.4]
    means = MeanOverQuestions()
    for value in values:
        means.add(value)
    found = means.estimate()
    wanted = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found is not None
    assert math.isclose(found.value, 0.5)
    assert math.isclose(found.low, wanted.low, rel_tol=0.02)
    assert math.isclose(found.high, wanted.high, rel_tol=0.02)
    cut = means.estimate(0.4, 0.6)
    assert cut is not None
    assert (cut.low, cut.high) == (0.4, 0.6)


def test_one_question_says_nothing_of_others() -> None:
    means = MeanOverQuestions()
    means.add(0.5)
    found = means.estimate(0, 1)
    assert found is not None
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_of_nothing_or_all_is_not_certain(value: float) -> None:
    means = MeanOverQuestions()
    for _ in range(10):
        means.add(value)
    assert means.share() == wilson(value, 10)
    assert MeanOverQuestions().share() is None


def test_a_share_of_whole_numbers_is_wilsons_and_of_parts_is_narrower() -> None:
    whole, parts = MeanOverQuestions(), MeanOverQuestions()
    for number in range(40):
        whole.add(number % 2)
        parts.add(0.4 + 0.2 * (number % 2))
    plain, found, narrow = wilson(0.5, 40), whole.share(), parts.share()
    assert found is not None
    assert narrow is not None
    assert abs(found.low - plain.low) < 0.01
    assert narrow.high - narrow.low < 0.3 * (plain.high - plain.low)


def test_the_intervals_hold_as_often_as_they_say() -> None:
    """Questions differ in how hard they are; each has four tries."""
    draw, held = random.Random(1), 0
    for _ in range(400):
        share = ShareOverQuestions()
        for _ in range(60):
            chance = draw.betavariate(1, 2)
            share.add(sum(draw.random() < chance for _ in range(4)), 4)
        found = share.estimate()
        assert found is not None
        held += found.low <= 1 / 3 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_a_mean_is_the_same_to_the_last_bit_in_every_order() -> None:
    values = [0.1, 0.2, 0.3, 1 / 3, 2 / 3, 0.7, 1.0, 0.0]
    found = set()
    for shift in range(len(values)):
        means = MeanOverQuestions()
        for value in values[shift:] + values[:shift]:
            means.add(value)
        found.add((means.estimate(), means.share()))
    assert len(found) == 1
