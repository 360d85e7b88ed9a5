"""Weighted means of shares with their interval, for scores that average parts of a set."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from plaudit.bench.results import Figure
from plaudit.scoring.intervals import wilson

FEWEST_CLUSTERS = 10
"""Independent units under which there is no interval."""


class Unit(NamedTuple):
    """Samples that depend on each other, such as all pairs of one prompt, or a single one."""

    total: float
    """Sum of what they earned, each in 0..1."""
    size: int = 1


class Part(NamedTuple):
    """One part of a set, with its weight in the mean."""

    units: Sequence[Unit]
    weight: float = 1.0

    @property
    def mean(self) -> float:
        """Mean over all samples."""
        return math.fsum(u.total for u in self.units) / sum(u.size for u in self.units)

    @property
    def variance(self) -> float:
        """Variance of the mean by the ratio estimator (Cochran 1977, 11.8)."""
        mean, size = self.mean, sum(u.size for u in self.units)
        if len(self.units) == 1:
            return mean * (1 - mean)
        spread = math.fsum((u.total - mean * u.size) ** 2 for u in self.units)
        return len(self.units) / (len(self.units) - 1) * spread / size**2


def share(values: Iterable[float]) -> Figure:
    """Return the mean of independent values in 0..1."""
    return weighted_share([Part([Unit(value) for value in values])])


def weighted_share(parts: Sequence[Part], n: int | None = None) -> Figure:
    """Return the weighted mean of the means of parts, with a score interval (Wilson 1927).

    The interval takes the effective number of independent samples: what would give the variance
    that the parts have (Korn and Graubard 1998). Where no part varies this is the number of units.

    Args:
        parts: parts without a unit do not count.
        n: how many samples the figure is of; by default all that the units hold.
    """
    parts = [part for part in parts if part.units]
    units = sum(len(part.units) for part in parts)
    n = sum(u.size for part in parts for u in part.units) if n is None else n
    if not parts:
        return Figure(value=None, n=0, why="measured on nothing")
    weights = [part.weight / sum(p.weight for p in parts) for part in parts]
    mean = math.fsum(w * part.mean for w, part in zip(weights, parts, strict=True))
    clusters = None if units == n else units
    if units < FEWEST_CLUSTERS:
        why = f"too few for an interval: {units} of at least {FEWEST_CLUSTERS}"
        return Figure(value=mean, n=n, clusters=clusters, why=why)
    variance = math.fsum(w * w * p.variance for w, p in zip(weights, parts, strict=True))
    centre = min(max(mean, 0.0), 1.0)
    independent = centre * (1 - centre)
    trials = units if min(variance, independent) <= 0 else max(independent / variance, 1.0)
    found = wilson(centre, trials)
    method = "wilson" if clusters is None else "cluster"
    return Figure(value=mean, low=found.low, high=found.high, n=n, clusters=clusters, method=method)
