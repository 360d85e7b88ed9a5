"""Whether a share or a mean changed between two spans of time, looked at again and again.

Exact tests, so that few tries and shares near 0 or 1 need no approximation, and no further package.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple

from plaudit.scoring.intervals import student

_NOTHING = 1e-25
"""Probabilities below it are left out of a distribution."""


class Tried(NamedTuple):
    """How many of some tries succeeded."""

    successes: int
    tries: int


def level_of_look(level: float, look: int) -> float:
    """Return the level at which the k-th look is tested: `level / (k (k + 1))`.

    These sum to `level`, so the chance that any look of a stable process alarms is at most `level`,
    however many looks there are (the union bound; alpha spending, Lan and DeMets 1983).

    Args:
        level: of all looks together.
        look: its number, from 1.
    """
    return level / (look * (look + 1))


def chance_of_more(found: Tried, rate: float) -> float:
    """Return the chance of so many successes or more, each with this rate (exact binomial)."""
    if found.successes <= 0:
        return 1.0
    if not 0 < rate < 1:
        return float(rate >= 1)
    terms = (
        math.exp(
            _log_choose(found.tries, k) + k * math.log(rate) + (found.tries - k) * math.log1p(-rate)
        )
        for k in range(found.successes, found.tries + 1)
    )
    return min(math.fsum(terms), 1.0)


def chance_of_fall(before: Sequence[Tried], after: Sequence[Tried]) -> float:
    """Return the chance of so few successes after, or fewer, if no stratum's share changed.

    The exact conditional test of several 2 x 2 tables (Fisher 1935; for several tables Gart 1970):
    given the sums of each table its successes after are hypergeometric, and their sum over tables
    is tested. A table without tries on one side says nothing. Tries of unlike chances within a
    table make the test stricter, not looser, where both sides mix them alike (Hoeffding 1956).

    Args:
        before: the successes of each stratum.
        after: those of the same strata, in the same order.
    """
    seen, first, weights = 0, 0, [1.0]
    for one, other in zip(before, after, strict=True):
        if not one.tries or not other.tries:
            continue
        seen += other.successes
        least, chances = _hypergeometric(one, other)
        first, weights = _sum_of((first, weights), (least, chances))
    return min(math.fsum(weights[: max(seen - first + 1, 0)]), 1.0)


def has_risen(before: Sequence[float], after: Sequence[float], level: float = 0.975) -> bool:
    """Whether the mean after is above the mean before, by Welch's test (1947), one-sided.

    What is given are means of whole intervals (batch means, Schmeiser 1982), so that rows of one
    group or one step, which are alike, do not count as independent. False with fewer than two
    intervals on a side.

    Args:
        before: a mean for each interval.
        after: the same, later.
        level: probability with which no rise is found where there is none.
    """
    if min(len(before), len(after)) < 2:
        return False
    parts = [variance(before) / len(before), variance(after) / len(after)]
    rise, error = fmean(after) - fmean(before), math.fsum(parts)
    if error <= 0:
        return rise > 0
    freedom = error**2 / (
        parts[0] ** 2 / (len(before) - 1) + parts[1] ** 2 / (len(after) - 1)
    )  # Satterthwaite 1946
    return rise > student(level, max(int(freedom), 1)) * math.sqrt(error)


def _hypergeometric(one: Tried, other: Tried) -> tuple[int, list[float]]:
    """Return the least number of successes after, and the chances from it on."""
    hits, tries = one.successes + other.successes, one.tries + other.tries
    least, most = max(0, hits - one.tries), min(hits, other.tries)
    whole = _log_choose(tries, hits)
    chances = [
        math.exp(_log_choose(other.tries, k) + _log_choose(one.tries, hits - k) - whole)
        for k in range(least, most + 1)
    ]
    return _trimmed(least, chances)


def _sum_of(
    one: tuple[int, list[float]], other: tuple[int, list[float]]
) -> tuple[int, list[float]]:
    """Return the distribution of the sum of two independent numbers."""
    found = [0.0] * (len(one[1]) + len(other[1]) - 1)
    for n, chance in enumerate(one[1]):
        for k, factor in enumerate(other[1]):
            found[n + k] += chance * factor
    return _trimmed(one[0] + other[0], found)


def _trimmed(least: int, chances: list[float]) -> tuple[int, list[float]]:
    kept = [n for n, chance in enumerate(chances) if chance > _NOTHING]
    return least + kept[0], chances[kept[0] : kept[-1] + 1]


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
