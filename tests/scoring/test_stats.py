"""Statistics of judges, against the definitions and against scikit-learn and scipy."""

import importlib
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from plaudit import MissingDependencyError
from plaudit._util.packages import load_package
from plaudit.scoring import stats

judged = st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=2, max_size=40)


@settings(deadline=None)
@given(judged)
def test_losses_are_those_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    sure, right = map(list, zip(*pairs, strict=True))
    assert stats.accuracy(right) == pytest.approx(sum(right) / len(right))
    assert stats.brier(sure, right) == pytest.approx(
        np.mean([(c - r) ** 2 for c, r in zip(sure, right, strict=True)])
    )
    if len(set(right)) == 2:
        assert stats.brier(sure, right) == pytest.approx(brier_score_loss(right, sure))
        assert stats.log_loss(sure, right) == pytest.approx(sklearn_log_loss(right, sure))
        assert stats.auroc(sure, right) == pytest.approx(roc_auc_score(right, sure))
    else:
        assert math.isnan(stats.auroc(sure, right))


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    sure, right = [0.05, 0.15, 0.12, 0.95, 1.0], [0, 1, 0, 1, 1]
    assert stats.reliability(sure, right) == [
        (1, 0.05, 0.0), (2, pytest.approx(0.135), 0.5), (2, pytest.approx(0.975), 1.0)
    ]  # fmt: skip
    assert stats.ece(sure, right) == pytest.approx((0.05 + 2 * 0.365 + 2 * 0.025) / 5)
    assert stats.ece([0.7] * 10, [1] * 7 + [0] * 3) == pytest.approx(0)


@pytest.mark.parametrize(("wins", "trials"), [(0, 10), (10, 10), (3, 10), (450, 500)])
def test_a_share_has_its_exact_interval(wins: int, trials: int) -> None:
    wanted = binomtest(wins, trials).proportion_ci(method="exact")
    found = stats.proportion(wins, trials)
    assert (found.value, found.low, found.high) == pytest.approx(
        (wins / trials, wanted.low, wanted.high)
    )


def test_exact_p_values_are_those_of_a_one_sided_binomial_test() -> None:
    found = stats.exact_p_values([0, 3, 20, 0], [14, 40, 60, 0], 0.2)
    wanted = [
        binomtest(k, n, 0.2, alternative="less").pvalue for k, n in ((0, 14), (3, 40), (20, 60))
    ]
    assert found.tolist() == pytest.approx([*wanted, 1.0])


def test_bootstrap_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, held, trials = np.random.default_rng(0), 0, 200
    for seed in range(trials):
        sample = random.normal(3, 2, 60)
        (found,) = stats.bootstrap(
            lambda x: {"m": x.mean()}, sample, seed=seed, resamples=200
        ).values()
        held += found.low <= 3 <= found.high
    assert 0.88 <= held / trials <= 0.98


def test_a_difference_on_the_same_samples_is_paired() -> None:
    random = np.random.default_rng(0)
    hard = random.random(400)
    one, other = hard < 0.6, hard < 0.65  # the second is right wherever the first is
    found = stats.bootstrap(
        lambda a, b: {"one": a.mean(), "other": b.mean(), "gain": b.mean() - a.mean()}, one, other
    )
    assert found["gain"].low > 0
    assert found["one"].high > found["other"].low  # which two intervals could not show
    again = stats.bootstrap(lambda a, b: {"gain": b.mean() - a.mean()}, one, other)
    assert again["gain"] == found["gain"]


def test_what_is_not_a_number_in_some_resamples_is_left_out() -> None:
    found = stats.bootstrap(
        lambda s, r: {"a": stats.auroc(s, r)}, [0.1, 0.2, 0.9], [0, 0, 1], resamples=50
    )
    assert found["a"].value == found["a"].low == found["a"].high == 1


def test_an_interval_is_cut_to_what_can_be() -> None:
    assert stats.within(stats.Estimate(0.9, 0.8, 1.2)) == stats.Estimate(0.9, 0.8, 1.0)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.isotonic", raising=False)
    with pytest.raises(MissingDependencyError, match=r"scikit-learn.*'plaudit\[stats\]'"):
        load_package("sklearn.isotonic", "stats")
    monkeypatch.undo()
    importlib.import_module("sklearn.isotonic")
