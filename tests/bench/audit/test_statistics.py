"""Paired changes, their tests, and 200 fair judges that must not be accused."""

import math

import numpy as np
import pytest
from numpy.random import Generator
from scipy import stats

from plaudit.bench.audit.effects import SeenVerdict, measure_plan
from plaudit.bench.audit.items import probes, shipped_base
from plaudit.bench.audit.plan import AuditChoice, AuditPlan, make_plan
from plaudit.bench.audit.statistics import (
    MARGIN,
    change_figure,
    p_value,
    pair,
    share_figure,
    smallest,
)


def changes(seed: int, mean: float, size: int = 60) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.2, size))


def alone(size: int) -> list[str]:
    return [str(number) for number in range(size)]


@pytest.mark.parametrize("mean", [0.0, 0.12, -0.2])
def test_the_test_is_that_of_scipy_at_the_margin(mean: float) -> None:
    drawn = changes(3, mean)
    found = p_value(pair(drawn, alone(60)))
    end = math.copysign(MARGIN, np.mean(drawn))
    side = "greater" if end > 0 else "less"
    expected = min(1.0, 2 * stats.ttest_1samp(drawn, end, alternative=side).pvalue)
    if abs(np.mean(drawn)) <= MARGIN:
        expected = 1.0
    assert found == pytest.approx(expected)


def test_the_interval_lies_beyond_the_margin_exactly_where_the_p_value_is_small() -> None:
    for seed in range(60):
        paired = pair(changes(seed, 0.1), alone(60))
        figure, p = change_figure(paired), p_value(paired)
        assert figure.low is not None and p is not None
        if abs(figure.low - MARGIN) > 1e-4:  # the quantile is an expansion
            assert (figure.low > MARGIN) == (p < 0.05)


def test_pairs_of_one_cluster_count_as_one() -> None:
    drawn = changes(5, 0.3)
    thrice = pair(drawn * 3, alone(60) * 3)
    assert (thrice.clusters, thrice.pairs) == (60, 180)
    assert thrice.error == pytest.approx(pair(drawn, alone(60)).error)
    assert change_figure(thrice).method == "cluster"


def test_changes_that_are_all_alike_prove_what_their_number_can() -> None:
    many, few = pair([0.4] * 12, alone(12)), pair([0.4] * 9, alone(9))
    assert p_value(many) == 2.0**-11
    assert p_value(few) is None
    assert "too few" in str(change_figure(few).why)
    assert p_value(pair([0.04] * 40, alone(40))) == 1.0
    assert p_value(pair([-0.4] * 40, alone(40)), upwards=True) == 1.0


def test_the_smallest_effect_is_found_four_times_in_five() -> None:
    random, found = np.random.default_rng(1), 0
    size = smallest(pair(list(random.normal(0, 0.2, 2000)), alone(2000)), 1)
    assert size is not None
    effect = MARGIN + (size - MARGIN) * math.sqrt(2000 / 60)
    for _ in range(400):
        p = p_value(pair(list(random.normal(effect, 0.2, 60)), alone(60)))
        found += p is not None and p < 0.05
    assert 0.75 < found / 400 < 0.87


def test_a_share_has_an_interval_from_ten_clusters() -> None:
    assert share_figure([], []).value is None
    assert share_figure([1.0] * 9, alone(9)).low is None
    sure = share_figure([0.0] * 60, alone(60))
    assert sure.low == 0.0
    assert sure.high == pytest.approx(stats.binomtest(0, 60).proportion_ci(method="wilson").high)


# 200 fair judges

_RIGHT = [
    (one.right or "")[:12]
    for one in (
        *shipped_base("pairwise").items,
        *(version for probe in probes() for version in probe.versions.values()),
    )
]


def sides_of(plan: AuditPlan) -> tuple[list[int], "np.ndarray"]:
    """Return a number of the question of each row, and whether A (1) or B (-1) is right."""
    questions: dict[str, int] = {}
    numbers, right = [], []
    for row in plan.rows:
        numbers.append(questions.setdefault(str(row["prompt"]).split("\n")[0], len(questions)))
        in_a, in_b = (any(t in str(row[s]) for t in _RIGHT) for s in ("response_a", "response_b"))
        right.append(int(in_a) - int(in_b))
    return numbers, np.array(right)


def simulate(numbers: list[int], right: "np.ndarray", random: Generator) -> list[SeenVerdict]:
    """Return what a fair but noisy judge says: it sees what is right, and noise."""
    skill, noise = random.uniform(0, 3), random.uniform(0.2, 2.5)
    ease = random.normal(skill, 1.0, max(numbers) + 1)[numbers]
    lean = 1 / (1 + np.exp(-(ease * right + random.normal(0, noise, len(right)))))
    if random.random() < 0.5:  # of the json readout: one of five choices
        lean = np.array([0.05, 0.25, 0.5, 0.75, 0.95])[np.minimum((lean * 5).astype(int), 4)]
    place = np.clip(random.normal(0, noise / 8, len(right)), -0.5, 0.5)
    abstains, fails = random.uniform(0, 0.3), random.uniform(0, 0.1)
    fate = random.random(len(right))
    return [
        SeenVerdict("failed", cause="timeout")
        if one < fails
        else SeenVerdict(
            "abstained" if one < fails + abstains else "ok",
            float(p),
            "A" if p > 0.5 else "B" if p < 0.5 else "A=B",
            float(shift),
        )
        for one, p, shift in zip(fate, lean, place, strict=True)
    ]


def accused(seeds: range) -> int:
    plan = make_plan(shipped_base("pairwise"), AuditChoice(skip=("noise",)), orders=2)
    numbers, right = sides_of(plan)
    guilty = 0
    for seed in seeds:
        seen = simulate(numbers, right, np.random.default_rng(seed))
        done = measure_plan(plan, seen)
        guilty += any(one.found for one in (*done.effects, *done.attacks))
    return guilty


def test_of_200_fair_but_noisy_judges_at_most_18_are_accused() -> None:
    assert accused(range(200)) <= 18
