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
_DRAWS = 1_000
_LARGEST_FACTOR = 4.0
_HALVINGS = 24


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
    above, below = np.flatnonzero(used & positive), np.flatnonzero(used & ~positive)
    m, n = len(above), len(below)
    ranks = _midranks(np, np.concatenate([score[above], score[below]]))
    wins_of_positive = (ranks[:m] - _midranks(np, score[above])) / n
    wins_over_negative = 1 - (ranks[m:] - _midranks(np, score[below])) / m
    value = float(wins_of_positive.mean())
    parts = np.zeros(len(score))
    parts[above] = (wins_of_positive - value) / m
    parts[below] = (wins_over_negative - value) / n
    return Influence(value, parts, used, m + n)


def _midranks(np: Any, values: "Floats") -> "Floats":
    """Return ranks from 1, equal values sharing their mean one; `scipy.stats` is slow to load."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


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


def change_of_shares(change: Influence, spread: Spread) -> Spread:
    """Return a standard error of a difference of two shares that also holds where few change.

    As if two more samples had changed as much as the one that changed most, one in each direction,
    which is in the spirit of Agresti and Min (2005): where samples change by 0 or 1, the p-value is
    near the exact one of McNemar's test.
    """
    np = load_package("numpy", "stats")
    own = change.parts + change.value * change.used / change.used.sum()
    return spread._replace(error=math.hypot(spread.error, math.sqrt(2) * float(np.abs(own).max())))


def share_interval(found: Influence, spread: Spread, independent: bool) -> Estimate:
    """Return a share with Wilson's interval for its effective number of observations.

    With clusters the quantile is Student's (Korn and Graubard 1998), at least two of them.
    """
    freedom, variance = spread.clusters - 1, spread.error**2
    if independent:  # As in Wilson's own, the variance is that of the share, and not estimated.
        variance *= freedom / spread.clusters if freedom else 1
    effective = effective_number(found.value, found.size, variance, spread.clusters)
    return wilson(found.value, effective, freedom=None if independent else freedom)


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


# The calibration error: a sum of absolute values, which noise makes larger.


def gap_noise(
    columns: "Sequence[tuple[Floats, Floats, Flags]]",
    clusters: "Codes",
    *,
    seed: int,
    bins: int = BINS,
) -> "tuple[Floats, Floats]":
    """Return the share that each bin has of a calibration gap, and draws of the noise in it.

    The expected calibration error is the sum of their absolute values. The noise is normal, with
    the cluster-robust covariance of bins and arms, so that no draw takes more time for more rows.

    Args:
        columns: confidence, right and which samples count, of each arm on the same samples.
        clusters: a number from 0 for each sample, without gaps.
        seed: of the draws.
        bins: of the diagram.

    Returns:
        Signed gaps, shape (arms, bins), and noise, shape (draws, arms, bins).
    """
    np = load_package("numpy", "stats")
    sparse = load_package("scipy.sparse", "stats")
    size, arms = int(clusters.max()) + 1, len(columns)
    blocks: list[Any] = []
    gaps = np.zeros((arms, arms * bins))
    for arm, column in enumerate(columns):
        own, places = _gaps(*column, bins)
        total = column[2].sum()
        for values, where, width in ((own, places, bins), (column[2], places * 0, 1)):
            entries = (values / total, (clusters, where))
            blocks.append(sparse.csr_array(entries, shape=(size, width)))
        gaps[arm, arm * bins : (arm + 1) * bins] = blocks[-2].sum(axis=0)
    parts = sparse.hstack(blocks[::2] + blocks[1::2])
    products = (parts.T @ parts).toarray()
    centred = np.hstack([np.eye(arms * bins), -gaps.T])
    covariance = centred @ products @ centred.T * size / max(size - 1, 1)
    random = np.random.default_rng(seed)
    noise = random.multivariate_normal(
        np.zeros(arms * bins), covariance, _DRAWS, check_valid="ignore", method="eigh"
    )
    return gaps.sum(axis=0).reshape(arms, bins), noise.reshape(_DRAWS, arms, bins)


def gap_interval(found: Influence, spread: Spread, gaps: "Floats", noise: "Floats") -> Estimate:
    """Return a calibration error with an interval that noise does not move upwards.

    By inverting tests. True gaps are taken to be the observed ones times a factor; noise is added,
    which makes errors larger. The interval has the factors for which the observed error is between
    the quantiles of such errors. Its upper end is at least that of Student's interval.

    Args:
        found: the calibration error, with the influences of `calibration_gap`.
        spread: of `found`.
        gaps: of one arm, see `gap_noise`.
        noise: likewise.
    """
    np = load_package("numpy", "stats")
    tail = (1 + LEVEL) / 2
    wider = noise * student(tail, spread.clusters - 1) / NormalDist().inv_cdf(tail)

    def factor(quantile: float) -> float:
        """Return the factor with which the observed error is at a quantile; 0 where none is."""
        low, high = 0.0, _LARGEST_FACTOR
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            drawn = np.abs(middle * gaps + wider).sum(axis=1)
            below = float(np.quantile(drawn, quantile)) < found.value
            low, high = (middle, high) if below else (low, middle)
        return low

    value = found.value
    high = max(factor(1 - tail) * value, value + spread.reach())
    return within(Estimate(value, min(factor(tail), 1.0) * value, high))


def gap_change_error(gaps: "Floats", noise: "Floats") -> float:
    """Return the standard error of the difference of two arms' calibration errors."""
    np = load_package("numpy", "stats")
    errors = np.abs(gaps + noise).sum(axis=2)
    return float((errors[:, 1] - errors[:, 0]).std())


# Tests.


def two_sided_p(value: float, spread: Spread) -> float:
    """Return the chance of a value so far from 0, if 0 were true, by Student's t.

    Where no sample deviates from the others, by the sign test: 2 * 0.5 ** clusters.
    """
    if abs(value) < _ROUNDING:
        return 1.0
    if spread.flat:
        return 2.0 ** (1 - spread.clusters)
    student_below = load_package("scipy.special", "stats").stdtr
    return float(2 * student_below(spread.clusters - 1, -abs(value) / spread.error))


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
