"""Statistics with influences: against other implementations, the jackknife, and simulation."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import roc_auc_score

from plaudit.scoring import influence, stats
from plaudit.scoring.agreement import Agreement
from plaudit.scoring.influence import Influence, Spread, holm, spread, two_sided_p

SEEDS = range(300)
HELD = scipy_stats.binom(len(SEEDS), 0.95).interval(0.9999)
"""How many of 300 intervals of 95 % hold the truth, but for one time in 10,000."""

Columns = dict[str, Any]


def sample(seed: int, groups: int = 40, size: int = 5, share: float = 0.5) -> Columns:
    """Samples of which those of a group are alike by `share`, as columns."""
    draw = np.random.default_rng(seed)
    count = groups * size
    group = np.repeat(np.arange(groups), size)
    common = draw.normal(size=groups)[group]
    own = draw.normal(size=count)
    alike = math.sqrt(share) * common + math.sqrt(1 - share) * own
    positive = draw.random(count) < 0.5
    score = alike + positive
    confidence = scipy_stats.norm.cdf(draw.normal(size=count))
    right = (scipy_stats.norm.cdf(alike) < 0.2 + 0.5 * confidence).astype(float)
    return {
        "group": group,
        "positive": positive,
        "score": np.round(score, 1),
        "confidence": confidence,
        "right": right,
        "label": draw.integers(0, 3, count).astype(float),
        "used": draw.random(count) < 0.8,
    }


def said(of: Columns) -> Any:
    """Values that are the label for those that are right."""
    return np.where(of["right"] == 1, of["label"], 2 - of["label"])


STATISTICS: dict[str, Callable[[Columns], Influence]] = {
    "mean": lambda of: influence.mean_where(of["right"], of["used"]),
    "ratio": lambda of: influence.ratio(of["right"] * of["used"], 1.0 * of["used"]),
    "area": lambda of: influence.area(of["score"], of["positive"], of["used"]),
    "ece": lambda of: influence.calibration_gap(of["confidence"], of["right"], of["used"]),
    "labels": lambda of: influence.chance_corrected(said(of), of["label"], of["used"], True),
    "numbers": lambda of: influence.chance_corrected(said(of), of["label"], of["used"], False),
}


def without(of: Columns, group: int) -> Columns:
    return {name: column[of["group"] != group] for name, column in of.items()}


@pytest.mark.parametrize("name", STATISTICS)
def test_the_error_is_that_of_the_jackknife_over_clusters(name: str) -> None:
    of, groups = sample(0, groups=80), 80
    found = STATISTICS[name](of)
    left = np.array([STATISTICS[name](without(of, group)).value for group in range(groups)])
    jackknife = math.sqrt((groups - 1) / groups * ((left - left.mean()) ** 2).sum())
    assert spread(found, of["group"]).error == pytest.approx(jackknife, rel=0.08)
    assert spread(found, of["group"]).clusters == groups
    assert found.parts.sum() == pytest.approx(0, abs=1e-9)
    assert not found.parts[~of["used"]].any()
    assert found.size == of["used"].sum()


def test_independent_samples_have_the_standard_error_of_a_mean() -> None:
    of = sample(1)
    used = of["used"]
    found = influence.mean_where(of["confidence"], used)
    assert spread(found).error == pytest.approx(scipy_stats.sem(of["confidence"][used]))
    assert spread(found).clusters == used.sum()


def test_one_cluster_shows_no_error() -> None:
    found = influence.mean_where(np.array([0.0, 1.0]), np.array([True, True]))
    assert spread(found, np.zeros(2, dtype=int)) == Spread(math.inf, 1)


def placements(of: Columns) -> tuple[Any, Any]:
    """DeLong's components by comparing each positive with each negative."""
    used = of["used"]
    above, below = of["score"][used & of["positive"]], of["score"][used & ~of["positive"]]
    wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    return wins.mean(axis=1), wins.mean(axis=0)


def test_the_area_is_that_of_scikit_learn_and_its_variance_delongs() -> None:
    of = sample(2)
    found = STATISTICS["area"](of)
    used = of["used"]
    assert found.value == pytest.approx(roc_auc_score(of["positive"][used], of["score"][used]))
    assert found.value == pytest.approx(stats.auroc(of["score"][used], of["positive"][used]))
    first, second = placements(of)
    variance = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    assert influence.area_spread(found, of["positive"]).error == pytest.approx(math.sqrt(variance))


def test_the_difference_of_two_areas_has_delongs_covariance() -> None:
    """Against the formula of DeLong et al. for two scores of the same samples."""
    one = sample(3)
    other = one | {"score": one["score"] + np.random.default_rng(0).normal(size=200)}
    pair = STATISTICS["area"](one), STATISTICS["area"](other)
    change = pair[1]._replace(parts=pair[1].parts - pair[0].parts)
    columns = zip(placements(one), placements(other), strict=True)
    variance = sum(np.var(b - a, ddof=1) / len(a) for a, b in columns)
    assert spread(change).error == pytest.approx(math.sqrt(variance), rel=0.01)


def test_the_gap_is_the_expected_calibration_error() -> None:
    of = sample(4)
    used = of["used"]
    wanted = stats.ece(of["confidence"][used], of["right"][used])
    assert STATISTICS["ece"](of).value == pytest.approx(wanted)


@pytest.mark.parametrize(("name", "level"), [("labels", "nominal"), ("numbers", "interval")])
def test_alpha_is_that_of_many_raters(name: str, level: Any) -> None:
    of, agreement = sample(5), Agreement(level)
    for value, label, used in zip(said(of), of["label"], of["used"], strict=True):
        if used:
            agreement.add([value, label])
    assert STATISTICS[name](of).value == pytest.approx(agreement.alpha, abs=1e-6)


def test_alpha_of_one_value_is_not_defined() -> None:
    same = np.ones(5)
    assert math.isnan(influence.chance_corrected(same, same, same > 0, True).value)


# Intervals hold the truth as often as they say.


def test_shares_of_few_clusters_hold_the_truth() -> None:
    held = 0
    for seed in SEEDS:
        of = sample(seed, groups=12, size=6, share=0.6)
        right = (of["score"] - of["positive"] < 0.5).astype(float)
        found = influence.mean_where(right, of["used"])
        interval = influence.share_interval(found, spread(found, of["group"]), False)
        held += interval.low <= TRUE_SHARE <= interval.high
    assert HELD[0] <= held


TRUE_SHARE = float(scipy_stats.norm.cdf(0.45))  # Scores are rounded to tenths, halves to even.


@pytest.mark.parametrize("clustered", [False, True])
def test_areas_hold_the_truth(clustered: bool) -> None:
    truth, held = scipy_stats.norm.cdf(1 / math.sqrt(2)), 0
    for seed in SEEDS:
        of = sample(seed, groups=40, size=4, share=0.5 if clustered else 0)
        found = STATISTICS["area"](of)
        own = spread(found, of["group"])
        own = own if clustered else influence.area_spread(found, of["positive"])
        interval = influence.area_interval(found, own)
        held += interval.low <= truth <= interval.high
    assert HELD[0] <= held <= HELD[1]


def test_means_hold_the_truth() -> None:
    held = 0
    for seed in SEEDS:
        of = sample(seed, groups=15, size=5)
        found = influence.mean_where(of["score"] - of["positive"], of["used"])
        own = spread(found, of["group"])
        interval = influence.mean_interval(found, own, -9, 9)
        held += interval.low <= 0 <= interval.high
    assert HELD[0] <= held <= HELD[1]


@pytest.mark.parametrize("name", ["labels", "numbers"])
def test_alphas_hold_the_truth(name: str) -> None:
    truth = STATISTICS[name](sample(0, groups=60_000)).value
    held = 0
    for seed in SEEDS:
        of = sample(seed + 1)
        found = STATISTICS[name](of)
        interval = influence.mean_interval(found, spread(found, of["group"]), -1, 1)
        held += interval.low <= truth <= interval.high
    assert HELD[0] <= held <= HELD[1]


def gap(of: Columns, seed: int) -> tuple[Influence, Any]:
    found, column = STATISTICS["ece"](of), (of["confidence"], of["right"], of["used"])
    gaps, noise = influence.gap_noise([column], of["group"], seed=seed)
    own = spread(found, of["group"])
    return found, influence.gap_interval(found, own, gaps[0], noise[:, 0])


def test_calibration_errors_hold_the_truth() -> None:
    truth, held = STATISTICS["ece"](sample(0, groups=60_000)).value, 0
    for seed in SEEDS:
        _, interval = gap(sample(seed + 1, groups=60, size=4), seed)
        held += interval.low <= truth <= interval.high
    assert HELD[0] <= held


def test_a_calibrated_judge_is_not_found_to_be_off() -> None:
    """Its calibration error is 0, and the measured one is above for every sample."""
    held, measured = 0, []
    for seed in SEEDS:
        of = sample(seed, groups=100, size=2)
        draw = np.random.default_rng(seed)
        sure = draw.beta(6, 3, 200)
        of |= {"confidence": sure, "right": (draw.random(200) < sure).astype(float)}
        found, interval = gap(of, seed)
        held += interval.low == 0
        measured.append(found.value)
    assert HELD[0] <= held
    assert min(measured) > 0


def test_noise_of_gaps_is_that_of_drawn_clusters() -> None:
    """Its covariance, within an arm and between two, against a bootstrap of whole clusters."""
    one = sample(7, groups=60)
    other = one | {"right": sample(8, groups=60)["right"], "used": sample(9, groups=60)["used"]}
    columns = [(of["confidence"], of["right"], of["used"]) for of in (one, other)]
    gaps, noise = influence.gap_noise(columns, one["group"], seed=0, bins=3)

    def shares(rows: Any) -> Any:
        found = []
        for sure, right, used in columns:
            bins = np.minimum(sure[rows] * 3, 2).astype(int)
            signed = (sure - right)[rows] * used[rows]
            found.append(np.bincount(bins, signed, 3) / used[rows].sum())
        return np.concatenate(found)

    draw, members = np.random.default_rng(0), np.arange(300).reshape(60, 5)
    drawn = np.array([shares(members[draw.integers(0, 60, 60)].ravel()) for _ in range(2000)])
    assert gaps.ravel() == pytest.approx(shares(np.arange(300)))
    assert np.abs(gaps).sum(axis=1)[0] == pytest.approx(
        stats.ece(one["confidence"][one["used"]], one["right"][one["used"]], bins=3)
    )
    found, wanted = np.cov(noise.reshape(len(noise), 6).T), np.cov(drawn.T)
    assert found == pytest.approx(wanted, abs=0.2 * wanted.diagonal().max())
    error = (np.abs(drawn[:, 3:]).sum(axis=1) - np.abs(drawn[:, :3]).sum(axis=1)).std()
    assert influence.gap_change_error(gaps, noise) == pytest.approx(error, rel=0.1)


# Tests.


def test_a_paired_p_is_that_of_the_t_test() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=30), draw.normal(size=30) + 0.4
    found = influence.mean_where(second - first, np.ones(30, dtype=bool))
    wanted = scipy_stats.ttest_rel(second, first)
    assert two_sided_p(found.value, spread(found)) == pytest.approx(wanted.pvalue)


def test_p_values_of_no_difference_are_even() -> None:
    """Pairs of clusters without an effect: one in twenty is below 0.05."""
    found = []
    for seed in SEEDS:
        of = sample(seed, groups=20)
        change = influence.mean_where(of["score"] - of["positive"], of["used"])
        found.append(two_sided_p(change.value, spread(change, of["group"])))
    assert scipy_stats.kstest(found, "uniform").pvalue > 1e-4


def test_where_nothing_varies_the_sign_decides() -> None:
    assert two_sided_p(0.0, Spread(0.0, 12)) == 1.0
    assert two_sided_p(0.3, Spread(0.0, 12)) == scipy_stats.binomtest(12, 12).pvalue


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    p_values = [0.01, 0.04, 0.03, 0.005, 0.6, 0.03]
    places = range(len(p_values))
    subsets = [s for n in places for s in itertools.combinations(places, n + 1)]
    closed = [
        max(min(1, len(s) * min(p_values[j] for j in s)) for s in subsets if place in s)
        for place in places
    ]
    assert holm(p_values) == pytest.approx(closed)
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
