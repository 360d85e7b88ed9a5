"""Statistics with the influence of each sample, from which robust variances follow.

The influence of a sample is how far it moves the statistic, to first order (Hampel 1974). Summed
within clusters and squared, influences give the cluster-robust variance of any of these statistics
and, subtracted, of the difference of two that were measured on the same samples.

Arrays have one entry a sample. They are numpy's; the extra `stats` has what is loaded here.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

from plaudit._util.packages import load_package
from plaudit.scoring.intervals import effective_number, student, wilson
from plaudit.scoring.stats import BINS, LEVEL, Estimate, within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Codes = NDArray[np.intp]

FEWEST_CLUSTERS = 10
"""From fewer clusters no interval is computed: their spread is hardly known."""

_ROUNDING = 1e-12


class Influence(NamedTuple):
    """A statistic, and the influence of each sample on it."""

    value: float
    parts: "Floats"
    """Sum to 0; samples that do not count have 0."""
    used: "Flags"
    """Samples that count."""
    size: int
    """How many observations the statistic is of; a sample may hold several."""


def ratio(numerator: "Floats", denominator: "Floats") -> Influence:
    """Return a sum by another, such as successes by tries; at least one denominator is above 0.

    Linearised as the ratio estimator of survey sampling (Cochran 1977, chapter 6).
    """
    total = float(denominator.sum())
    value = float(numerator.sum()) / total
    parts = (numerator - value * denominator) / total
    return Influence(value, parts, denominator > 0, round(total))


def mean_where(values: "Floats", used: "Flags") -> Influence:
    """Return the mean of some values, at least one."""
    np = load_package("numpy", "stats")
    return ratio(np.where(used, values, 0.0), used.astype(float))


def area(score: "Floats", positive: "Flags", used: "Flags") -> Influence:
    """Return the area under the ROC curve, with DeLong's components as influences.

    By midranks in O(n log n) (Sun and Xu 2014, after DeLong et al. 1988). Summed within clusters
    they give the variance of Obuchowski (1997). Both classes must be among what is used.
    """
    np = load_package("numpy", "stats")
    rank = load_package("scipy.stats", "stats").rankdata
    above, below = np.flatnonzero(used & positive), np.flatnonzero(used & ~positive)
    m, n = len(above), len(below)
    ranks = rank(np.concatenate([score[above], score[below]]))
    wins_of_positive = (ranks[:m] - rank(score[above])) / n
    wins_over_negative = 1 - (ranks[m:] - rank(score[below])) / m
    value = float(wins_of_positive.mean())
    parts = np.zeros(len(score))
    parts[above] = (wins_of_positive - value) / m
    parts[below] = (wins_over_negative - value) / n
    return Influence(value, parts, used, m + n)


def calibration_gap(
    confidence: "Floats", right: "Floats", used: "Flags", bins: int = BINS
) -> Influence:
    """Return the expected calibration error; see `stats.ece`.

    The influences take as given which side of the diagonal each bin is on (the delta method).
    """
    np = load_package("numpy", "stats")
    gaps, places = _gaps(confidence, right, used, bins)
    sums = np.bincount(places, gaps, bins)
    size = int(used.sum())
    value = float(np.abs(sums).sum() / size)
    parts = (np.sign(sums)[places] * gaps - value * used) / size
    return Influence(value, parts, used, size)


def chance_corrected(first: "Floats", second: "Floats", used: "Flags", nominal: bool) -> Influence:
    """Return Krippendorff's alpha of two raters; see `agreement.Agreement` for many.

    NaN where all values are the same one. `nominal`: values are codes of labels, else numbers.
    """
    np = load_package("numpy", "stats")
    a, b, size = first[used], second[used], int(used.sum())
    apart, spread = _codes_apart(np, a, b) if nominal else _numbers_apart(a, b)
    expected = float(spread.mean()) * 2 * size / (2 * size - 1)
    observed = float(apart.mean())
    parts = np.zeros(len(first))
    if expected <= 0:
        return Influence(math.nan, parts, used, size)
    share = observed / expected
    parts[used] = (share * (spread / spread.mean() - 1) - (apart - observed) / expected) / size
    return Influence(1 - share, parts, used, size)


def _codes_apart(np: Any, a: "Floats", b: "Floats") -> "tuple[Floats, Floats]":
    """Return whether raters differ, and terms whose mean is the chance that any two differ."""
    codes = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
    shares = np.bincount(codes) / len(codes)
    own = (shares[codes[: len(a)]] + shares[codes[len(a) :]]) / 2
    expected = 1 - float((shares**2).sum())
    return (a != b).astype(float), expected - 2 * (own - own.mean())


def _numbers_apart(a: "Floats", b: "Floats") -> "tuple[Floats, Floats]":
    centre = float((a.mean() + b.mean()) / 2)
    return (a - b) ** 2, (a - centre) ** 2 + (b - centre) ** 2


def _gaps(
    confidence: "Floats", right: "Floats", used: "Flags", bins: int
) -> "tuple[Floats, Codes]":
    """Return confidence less right, 0 where it does not count, and the bin of each sample."""
    np = load_package("numpy", "stats")
    gaps = np.where(used, confidence - right, 0.0)
    places = np.where(used, np.minimum(np.nan_to_num(confidence) * bins, bins - 1), 0)
    return gaps, places.astype(int)


# Variances and intervals.


class Spread(NamedTuple):
    """How far a statistic may be from what it estimates."""

    error: float
    """Standard error, robust to what samples of a cluster share."""
    clusters: int
    """Groups of dependent samples that count."""

    @property
    def few(self) -> bool:
        """Whether there are too few clusters for an interval."""
        return self.clusters < FEWEST_CLUSTERS

    @property
    def flat(self) -> bool:
        """Whether no cluster deviates from the others, so that nothing shows the error."""
        return self.error < _ROUNDING

    def reach(self, level: float = LEVEL) -> float:
        """Return half the width of Student's interval, with one degree less than clusters."""
        return student((1 + level) / 2, self.clusters - 1) * self.error


def spread(found: Influence, clusters: "Codes | None" = None) -> Spread:
    """Return the standard error of a statistic from the sums of influences within clusters.

    Args:
        found: the statistic.
        clusters: a number from 0 for each sample; the same for samples that depend on each other.
            None: all are independent.
    """
    np = load_package("numpy", "stats")
    sums, count = found.parts, int(found.used.sum())
    if clusters is not None:
        sums = np.bincount(clusters, found.parts)
        count = int((np.bincount(clusters, found.used) > 0).sum())
    if count < 2:
        return Spread(math.inf, count)
    return Spread(math.sqrt(count / (count - 1) * float(sums @ sums)), count)


def area_spread(found: Influence, positive: "Flags") -> Spread:
    """Return DeLong's standard error of an area whose samples are independent."""
    error = 0.0
    for some in (found.used & positive, found.used & ~positive):
        count, parts = int(some.sum()), found.parts[some]
        error += float(parts @ parts) * count / max(count - 1, 1)
    return Spread(math.sqrt(error), int(found.used.sum()))


def share_interval(found: Influence, spread: Spread, independent: bool) -> Estimate:
    """Return a share with Wilson's interval for its effective number of observations.

    With clusters the quantile is Student's (Korn and Graubard 1998), at least two of them.
    """
    effective = effective_number(found.value, found.size, spread.error**2, spread.clusters)
    return wilson(found.value, effective, freedom=None if independent else spread.clusters - 1)


def area_interval(found: Influence, spread: Spread) -> Estimate:
    """Return an area above 0 and below 1 with an interval on the scale of its log-odds.

    So it stays within 0..1 (Pepe 2003, The Statistical Evaluation of Medical Tests, chapter 5).
    """
    odds = math.log(found.value / (1 - found.value))
    reach = spread.reach() / (found.value * (1 - found.value))
    low, high = (1 / (1 + math.exp(-max(x, -700))) for x in (odds - reach, odds + reach))
    return Estimate(found.value, low, high)


def mean_interval(found: Influence, spread: Spread, least: float, most: float) -> Estimate:
    """Return a statistic with Student's interval, cut to the range that it has."""
    reach = spread.reach()
    return within(Estimate(found.value, found.value - reach, found.value + reach), least, most)


def drawn_gaps(
    columns: "Sequence[tuple[Floats, Floats, Flags]]",
    clusters: "Codes",
    *,
    seed: int,
    resamples: int,
    bins: int = BINS,
) -> "Floats":
    """Return expected calibration errors of bootstrap samples, shape (resamples, columns).

    Whole clusters are drawn, alike for all columns, which are arms on the same samples.

    Args:
        columns: confidence, right and which samples count, of each arm.
        clusters: a number from 0 for each sample, without gaps.
        seed: of the draws.
        resamples: how many.
        bins: of the diagram.
    """
    np = load_package("numpy", "stats")
    size = int(clusters.max()) + 1
    tables = [_by_cluster(np, column, clusters, size, bins) for column in columns]
    random = np.random.default_rng(seed)
    drawn = np.empty((resamples, len(tables)))
    for row in drawn:
        times = np.bincount(random.integers(0, size, size), minlength=size)
        sums = [times @ table for table in tables]
        row[:] = [np.abs(s[:-1]).sum() / s[-1] if s[-1] else math.nan for s in sums]
    return drawn


def _by_cluster(
    np: Any, column: "tuple[Floats, Floats, Flags]", clusters: "Codes", size: int, bins: int
) -> "Floats":
    """Return for each cluster the gap in each bin, and last how many samples count."""
    gaps, places = _gaps(*column, bins)
    sums = np.bincount(clusters * bins + places, gaps, size * bins).reshape(size, bins)
    counts = np.bincount(clusters, column[2], size)
    return np.column_stack([sums, counts])


# Tests.


def two_sided_p(value: float, spread: Spread) -> float:
    """Return the chance of a value so far from 0, if 0 were true, by Student's t.

    Where no sample deviates from the others, by the sign test: 2 * 0.5 ** clusters.
    """
    if abs(value) < _ROUNDING:
        return 1.0
    if spread.flat:
        return 2.0 ** (1 - spread.clusters)
    t = load_package("scipy.stats", "stats").t
    return float(2 * t.sf(abs(value) / spread.error, spread.clusters - 1))


def normal_p(value: float, error: float) -> float:
    """Return the two-sided chance of a value so far from 0 under a normal distribution."""
    return 2 * NormalDist().cdf(-abs(value) / error) if error > 0 else float(value == 0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are (Holm 1979), in their order.

    The chance of any false finding stays below a level, whatever the tests share, when only
    corrected values below the level are called findings.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, least = [0.0] * len(p_values), 0.0
    for place, number in enumerate(order):
        least = max(least, min(1.0, (len(order) - place) * p_values[number]))
        corrected[number] = least
    return corrected
