"""Weighted shares: the value, and an interval that is Wilson's where samples are independent."""

import random

import pytest
from scipy.stats import binomtest

from plaudit.bench.shares import SharePart, share, weighted_share


@pytest.mark.parametrize(("right", "n"), [(0, 12), (3, 12), (12, 12), (50, 117)])
def test_independent_samples_have_the_interval_of_wilson(right: int, n: int) -> None:
    figure = share([1.0] * right + [0.0] * (n - right))
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert (figure.value, figure.n, figure.clusters) == (right / n, n, None)
    assert figure.method == "wilson"
    if 0 < right < n:  # The variance of a sample is n / (n - 1) times that of its share.
        assert (figure.low, figure.high) == pytest.approx(tuple(expected), abs=0.02)
    else:
        assert (figure.low, figure.high) == pytest.approx(tuple(expected))


def test_few_units_have_no_interval_and_say_why() -> None:
    figure = weighted_share([SharePart([1, 0, 1]), SharePart([1, 0])])
    assert (figure.low, figure.method) == (None, "none")
    assert figure.why == "too few: 5 samples, an interval takes 10"
    assert share([1, 0, 1]).method == "wilson"  # independent: it holds for any number
    clustered = SharePart()
    for _ in range(9):
        clustered.add(2, 4)
    assert weighted_share([clustered]).why == "too few: 9 clusters, an interval takes 10"


def test_nothing_has_no_value() -> None:
    assert (weighted_share([SharePart()]).value, share([]).why) == (None, "measured on nothing")


def test_parts_count_by_their_weight_and_empty_ones_not_at_all() -> None:
    parts = [SharePart([1.0] * 30, 3.0), SharePart([0.0] * 60, 1.0), SharePart([], 5.0)]
    figure = weighted_share(parts)
    assert figure.value == pytest.approx(0.75)
    assert figure.n == 90


def test_samples_of_a_cluster_are_no_evidence_of_their_own() -> None:
    whole = SharePart()
    for n in range(40):
        whole.add(5.0 * (n % 2), 5)
    figure = weighted_share([whole])
    alone = share([float(n % 2) for n in range(40)])
    assert (figure.n, figure.clusters, figure.method) == (200, 40, "cluster")
    assert figure.low is not None and alone.low is not None
    assert figure.low == pytest.approx(alone.low, abs=0.01)


def test_the_interval_of_a_weighted_mean_holds_the_truth() -> None:
    draw = random.Random(5)
    truth, weights, sizes = (0.9, 0.6, 0.3), (1.0, 1.0, 2.0), (40, 90, 60)
    mean = sum(w * p for w, p in zip(weights, truth, strict=True)) / sum(weights)
    held = 0
    for _ in range(400):
        parts = [
            SharePart([float(draw.random() < p) for _ in range(size)], weight)
            for p, weight, size in zip(truth, weights, sizes, strict=True)
        ]
        figure = weighted_share(parts)
        assert figure.low is not None and figure.high is not None
        held += figure.low <= mean <= figure.high
    assert 0.92 <= held / 400 <= 0.985
