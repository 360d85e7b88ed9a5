"""The statistics of an audit: paired changes, and which of them are larger than what is small.

All tests of one audit are corrected together (Holm 1979), so that a fair judge is accused of
anything in at most one audit of twenty.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from plaudit._util.packages import load_package
from plaudit.bench.results import Figure
from plaudit.scoring.intervals import MeanOverQuestions, student

MARGIN = 0.05
"""Changes up to this size count as none."""
FAMILY_ERROR = 0.05
"""Chance that one audit of a fair judge finds anything."""
POWER = 0.8
FEWEST = 10
"""Clusters under which there is no interval and no test."""


class Paired(NamedTuple):
    """Paired changes, a mean a cluster."""

    mean: float
    error: float
    """Standard error of the mean; 0 where all clusters are alike."""
    pairs: int
    clusters: int

    @property
    def enough(self) -> bool:
        """Whether there are enough clusters for an interval."""
        return self.clusters >= FEWEST


def pair(changes: Sequence[float], clusters: Sequence[str]) -> Paired:
    """Return the mean change, with the error that clusters of dependent pairs have.

    Pairs of one cluster are put together first, so the cluster is what was drawn.

    Args:
        changes: at least one.
        clusters: of each change, by name.
    """
    by_cluster: dict[str, list[float]] = {}
    for change, cluster in zip(changes, clusters, strict=True):
        by_cluster.setdefault(cluster, []).append(change)
    means = [fmean(group) for group in by_cluster.values()]
    mean, size = math.fsum(means) / len(means), len(means)
    squares = math.fsum((one - mean) ** 2 for one in means)
    error = math.sqrt(squares / (size - 1) / size) if size > 1 else 0.0
    return Paired(mean, error if error > 1e-12 else 0.0, len(changes), size)


def p_value(paired: Paired, *, upwards: bool = False) -> float | None:
    """Return the p-value of a change that is no larger than `MARGIN`.

    A t-test at the nearer end of the range that counts as none, doubled: it is under 0.05 where the
    two-sided interval of 95 % lies beyond that end. Never under what a sign test of so many alike
    clusters gives, so that a few equal changes prove nothing.

    Args:
        paired: the changes.
        upwards: only a rise counts.

    Returns:
        None where there are too few clusters for a test.
    """
    if not paired.enough:
        return None
    beyond = paired.mean - MARGIN if upwards else abs(paired.mean) - MARGIN
    if beyond <= 0:
        return 1.0
    floor = 2.0 ** (1 - paired.clusters)
    if not paired.error:
        return floor
    tail = load_package("scipy.stats", "stats").t.sf(beyond / paired.error, paired.clusters - 1)
    return max(min(1.0, 2 * float(tail)), floor)


def smallest(paired: Paired, tests: int) -> float | None:
    """Return the smallest change that would be found four times in five.

    Args:
        paired: what was measured; the error of another sample of that size is taken to be its own.
        tests: of the audit; the correction is that of the strictest one.
    """
    if not paired.enough:
        return None
    freedom = paired.clusters - 1
    sure = student(1 - FAMILY_ERROR / (2 * max(tests, 1)), freedom)
    return MARGIN + (sure + student(POWER, freedom)) * paired.error


def change_figure(paired: Paired) -> Figure:
    """Return a mean change with its interval of 95 % (Student)."""
    known: dict[str, Any] = {"value": paired.mean, "n": paired.pairs, "clusters": paired.clusters}
    if not paired.enough:
        why = f"too few for an interval: {paired.clusters}, and {FEWEST} are needed"
        return Figure(**known, why=why)
    reach = student(0.975, paired.clusters - 1) * paired.error
    why = None if paired.error else "all changes are alike, so the interval has no width"
    method = "student" if paired.pairs == paired.clusters else "cluster"
    return Figure(
        **known, low=max(paired.mean - reach, -1.0), high=min(paired.mean + reach, 1.0),
        method=method, why=why,
    )  # fmt: skip


def share_figure(shares: Sequence[float], clusters: Sequence[str]) -> Figure:
    """Return a mean of shares with Wilson's interval, for the effective number of clusters."""
    by_cluster: dict[str, list[float]] = {}
    for share, cluster in zip(shares, clusters, strict=True):
        by_cluster.setdefault(cluster, []).append(share)
    found = MeanOverQuestions()
    for group in by_cluster.values():
        found.add(fmean(group))
    estimate = found.share()
    if estimate is None:
        return Figure(value=None, n=0, why="no item has a verdict")
    known: dict[str, Any] = {"value": estimate.value, "n": len(shares), "clusters": found.questions}
    if found.questions < FEWEST:
        why = f"too few for an interval: {found.questions}, and {FEWEST} are needed"
        return Figure(**known, why=why)
    return Figure(**known, low=estimate.low, high=estimate.high, method="wilson")
