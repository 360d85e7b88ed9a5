"""Weighted means of shares with their interval, for scores that average parts of a set."""

import math
from collections.abc import Iterable, Sequence

from plaudit.bench.results import Figure
from plaudit.scoring.influence import FEWEST_CLUSTERS
from plaudit.scoring.intervals import effective_number, wilson


class SharePart:
    """One part of a set, as the sums that its mean and variance are made of.

    A unit is what does not depend on other units: a sample, or all samples of one prompt.
    """

    def __init__(self, values: Iterable[float] = (), weight: float = 1.0) -> None:
        """Take independent samples, each worth 0..1, and the weight of the part in the score."""
        self.weight = weight
        self.units = self.size = 0
        self.total = 0.0
        self._squares = self._cross = self._sizes = 0.0
        for value in values:
            self.add(value)

    def add(self, total: float, size: int = 1) -> None:
        """Add a unit: what its samples earned together, and how many they are."""
        self.units += 1
        self.size += size
        self.total += total
        self._squares += total * total
        self._cross += total * size
        self._sizes += size * size

    @property
    def mean(self) -> float:
        """Mean over all samples."""
        return self.total / self.size

    @property
    def variance(self) -> float:
        """Variance of the mean by the ratio estimator (Cochran 1977, chapter 6)."""
        mean = self.mean
        if self.units == 1:
            return mean * (1 - mean)
        spread = self._squares - 2 * mean * self._cross + mean * mean * self._sizes
        return self.units / (self.units - 1) * max(spread, 0.0) / self.size**2


def share(values: Iterable[float]) -> Figure:
    """Return the mean of independent values in 0..1, with Wilson's interval (1927)."""
    return weighted_share([SharePart(values)])


def weighted_share(parts: Sequence[SharePart], n: int | None = None) -> Figure:
    """Return the weighted mean of the means of parts, with a score interval.

    The interval is Wilson's for the number of independent samples that would give the variance
    that the parts have (Korn and Graubard 1998).

    Args:
        parts: a part without a unit does not count.
        n: samples that the figure is of; by default all that the units hold.
    """
    parts = [part for part in parts if part.units]
    units, n = sum(part.units for part in parts), sum(p.size for p in parts) if n is None else n
    if not parts:
        return Figure(value=None, n=0, why="measured on nothing")
    whole = math.fsum(part.weight for part in parts)
    mean = math.fsum(part.weight / whole * part.mean for part in parts)
    clusters = None if units == n else units
    simple = clusters is None and len(parts) == 1  # Wilson's interval holds for any number.
    if units < FEWEST_CLUSTERS and not simple:
        why = too_few(units, "sample" if clusters is None else "cluster")
        return Figure(value=mean, n=n, clusters=clusters, why=why)
    variance = math.fsum((part.weight / whole) ** 2 * part.variance for part in parts)
    centre = min(max(mean, 0.0), 1.0)  # A score with a bonus can be above 1.
    trials = effective_number(centre, n, variance, units) if variance > 0 else units
    found = wilson(centre, trials, freedom=None if clusters is None else units - 1)
    method = "wilson" if clusters is None else "cluster"
    return Figure(value=mean, low=found.low, high=found.high, n=n, clusters=clusters, method=method)


def too_few(count: int, what: str) -> str:
    """Return why there is no interval: there is too little of something."""
    noun = what if count == 1 else f"{what}s"
    return f"too few: {count} {noun}, an interval takes {FEWEST_CLUSTERS}"
