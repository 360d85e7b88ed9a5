"""Statistics of judges: how good, how sure, and how far that is known.

Pure functions over arrays or lists of equal length. `confidence` is in 0..1, `right` is 0 or 1.
The packages of the extra `stats` are loaded when a function is called, not with this module.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from plaudit._util.packages import load_package

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BINS = 10
"""Bins of a reliability diagram and of the expected calibration error."""

RESAMPLES = 1_000
LEVEL = 0.95

_LEAST_CHANCE = 1e-15


class Estimate(msgspec.Struct, frozen=True):
    """A measured number with the interval that it may be in."""

    value: float
    low: float
    high: float


def accuracy(right: "ArrayLike") -> float:
    """Return the share that is right."""
    return float(load_package("numpy", "stats").mean(right))


def brier(confidence: "ArrayLike", right: "ArrayLike") -> float:
    """Return the mean squared distance of the confidence from being right (Brier 1950)."""
    np = load_package("numpy", "stats")
    return float(np.mean(np.square(np.subtract(confidence, right))))


def log_loss(confidence: "ArrayLike", right: "ArrayLike") -> float:
    """Return the mean negative logarithm of the chance given to what happened, in nats."""
    np = load_package("numpy", "stats")
    said = np.where(np.asarray(right, bool), confidence, np.subtract(1, confidence))
    return float(-np.log(np.clip(said, _LEAST_CHANCE, 1)).mean())


def reliability(
    confidence: "ArrayLike", right: "ArrayLike", bins: int = BINS
) -> list[tuple[int, float, float]]:
    """Put samples into bins of equal width; return those that are not empty, lowest first.

    Returns:
        For each bin how many samples it has, their mean confidence, and the share that is right.
    """
    np = load_package("numpy", "stats")
    counts, sure, good = _binned(np, confidence, right, bins)
    return [
        (int(n), float(c / n), float(r / n))
        for n, c, r in zip(counts, sure, good, strict=True)
        if n
    ]


def ece(confidence: "ArrayLike", right: "ArrayLike", bins: int = BINS) -> float:
    """Return the expected calibration error (Naeini et al. 2015, Guo et al. 2017), in 0..1.

    The distance of confidence from accuracy in bins of equal width, weighted by their sizes. Above
    0 for a perfect judge too, the more so the fewer the samples.
    """
    np = load_package("numpy", "stats")
    counts, sure, good = _binned(np, confidence, right, bins)
    return float(np.abs(sure - good).sum() / counts.sum())


def _binned(
    np: Any, confidence: "ArrayLike", right: "ArrayLike", bins: int
) -> tuple[Any, Any, Any]:
    """Return count, sum of confidences and number right of each bin."""
    sure = np.asarray(confidence, float)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    good = np.asarray(right, float)
    return (
        np.bincount(place, minlength=bins),
        np.bincount(place, sure, minlength=bins),
        np.bincount(place, good, minlength=bins),
    )


def auroc(score: "ArrayLike", positive: "ArrayLike") -> float:
    """Return the chance that a positive has a higher score than a negative; ties count half.

    NaN where all or none are positive. From the ranks (Mann and Whitney 1947), a tenth of what
    scikit-learn's curve takes, which counts in a thousand resamples.
    """
    np = load_package("numpy", "stats")
    truth = np.asarray(positive, bool)
    positives = int(truth.sum())
    pairs = positives * (len(truth) - positives)
    if not pairs:
        return float("nan")
    ranks = load_package("scipy.stats", "stats").rankdata(score)[truth].sum()
    return float((ranks - positives * (positives + 1) / 2) / pairs)


def bootstrap(
    measure: Callable[..., Mapping[str, float]],
    *columns: "ArrayLike",
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> dict[str, Estimate]:
    """Measure samples, with bootstrap intervals (Efron 1979).

    The columns stay together in every resample, so the difference of two things that were measured
    on the same samples is a paired one::

        def gain(one, other):
            return {"one": one.mean(), "other": other.mean(), "gain": other.mean() - one.mean()}

        bootstrap(gain, right_of_one, right_of_other)["gain"]

    The intervals are "basic" ones, `2 * value - quantile`: they undo the bias that the expected
    calibration error has. They may reach beyond the range that a number has; see `within`.

    Args:
        measure: gives numbers by name for columns; NaN in a resample is left out.
        columns: arrays of the same length, one entry a sample.
        seed: of the resamples.
        resamples: how many.
        level: probability that an interval holds the true value.
    """
    np = load_package("numpy", "stats")
    arrays = [np.asarray(column) for column in columns]
    random, size = np.random.default_rng(seed), len(arrays[0])
    drawn: list[Mapping[str, float]] = []
    for _ in range(resamples):
        picked = random.integers(0, size, size)
        drawn.append(measure(*(array[picked] for array in arrays)))
    return {
        name: basic_interval(float(value), [found[name] for found in drawn], level)
        for name, value in measure(*arrays).items()
    }


def basic_interval(value: float, drawn: "ArrayLike", level: float = LEVEL) -> Estimate:
    """Return a statistic with its "basic" bootstrap interval, twice the value less a quantile.

    NaN among the drawn ones is left out; without a number the interval is the value alone.
    """
    np = load_package("numpy", "stats")
    tails = [(1 + level) / 2, (1 - level) / 2]
    upper, lower = np.nanquantile(drawn, tails) if np.isfinite(drawn).any() else (value, value)
    return Estimate(value, float(2 * value - upper), float(2 * value - lower))


def within(estimate: Estimate, least: float = 0.0, most: float = 1.0) -> Estimate:
    """Return an estimate whose interval is cut to the range that the statistic has."""
    low, high = (min(max(bound, least), most) for bound in (estimate.low, estimate.high))
    return Estimate(estimate.value, low, high)


def proportion(successes: int, trials: int, level: float = LEVEL) -> Estimate:
    """Return a share with its exact interval (Clopper and Pearson 1934).

    Args:
        successes: how many of the trials.
        trials: at least 1.
        level: probability that the interval holds the true share.
    """
    beta, tail = load_package("scipy.stats", "stats").beta, (1 - level) / 2
    low = beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return Estimate(successes / trials, float(low), float(high))


def exact_p_values(wrong: "ArrayLike", trials: "ArrayLike", error_rate: float) -> Any:
    """Return, for each pair, the chance of so few wrong ones if the true rate were `error_rate`.

    The exact p-value (binomial) of the hypothesis that the rate is `error_rate` or more. 1 where
    there are no trials.
    """
    return load_package("scipy.stats", "stats").binom.cdf(wrong, trials, error_rate)
