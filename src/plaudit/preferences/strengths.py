"""Strengths of things that were compared two at a time: the Bradley-Terry model."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from plaudit.preferences.margins import scale_of

Contest = tuple[int, int, float]
"""Two different things by number, and the share of the win that goes to the first, 0 to 1."""

PRIOR = 0.1
"""Wins, and as many losses, that each thing has against one of strength 1: so the strength of what
never lost or never won stays finite."""

_PRECISION = 1e-9
_MOST_STEPS = 200
_MOST_INNER_STEPS = 200


def bradley_terry(count: int, contests: Sequence[Contest]) -> list[float | None]:
    """Return the logarithm of each thing's strength.

    The model (R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs",
    Biometrika 39, 1952) is that i wins against j with the chance ``s_i / (s_i + s_j)``. Strengths
    are the most probable ones given the contests and `PRIOR`; a share of a win counts as that much
    of a contest won. The logarithm of that probability is concave in those of the strengths, so
    there is one maximum, which Newton's method finds.

    Args:
        count: how many things there are, numbered from 0.
        contests: those of a thing with itself say nothing, and are left out.

    Returns:
        One each. Strengths can be compared only where a chain of contests leads from one thing to
        the other: there are only those of the largest group so connected (of several, that of the
        lowest number); None for things outside of it, and for all where there are no contests.
        They have nine decimals, so that things that are equally strong are equal.
    """
    reported = [contest for contest in contests if contest[0] != contest[1]]
    members = _connected(count, reported)
    fitted = _fit(count, [contest for contest in reported if contest[0] in members])
    rounded = scale_of().rounded
    return [rounded(fitted[one]) if one in members else None for one in range(count)]


def _connected(count: int, contests: Sequence[Contest]) -> set[int]:
    """Return the largest group that contests connect; nothing where there are none."""
    parents = list(range(count))

    def root(one: int) -> int:
        while parents[one] != one:
            parents[one] = parents[parents[one]]
            one = parents[one]
        return one

    for first, second, _ in contests:
        low, high = sorted((root(first), root(second)))
        parents[high] = low
    sizes = Counter(map(root, range(count)))
    largest = max(sizes, key=lambda one: (sizes[one], -one), default=0)
    return {one for one in range(count) if root(one) == largest} if contests else set()


class _Curve(NamedTuple):
    """How the logarithm of the probability changes with the strengths."""

    slopes: list[float]
    bends: list[float]
    """Second derivatives by each strength, negative."""
    mixed: list[tuple[int, int, float]]
    """Second derivatives by the strengths of two that met."""

    def bent(self, step: Sequence[float]) -> list[float]:
        """Return the product of the matrix of second derivatives, negative, with a step."""
        product = _times(self.bends, step)
        for first, second, bend in self.mixed:
            product[first] -= bend * step[second]
            product[second] -= bend * step[first]
        return product


def _fit(count: int, contests: Sequence[Contest]) -> list[float]:
    """Return the logarithms of the strengths; 0 for things without contests."""
    wins = [0.0] * count
    met: Counter[tuple[int, int]] = Counter()
    for first, second, share in contests:
        wins[first] += share
        wins[second] += 1 - share
        met[min(first, second), max(first, second)] += 1
    strengths = [0.0] * count
    for _ in range(_MOST_STEPS):
        curve = _curve(strengths, wins, met)
        if max(map(abs, curve.slopes), default=0.0) < _PRECISION:
            break
        step = _newton_step(curve)
        # A whole step could overshoot; so much of it never does (T. Sun and Q. Tran-Dinh,
        # "Generalized self-concordant functions", Mathematical Programming 178, 2019).
        reach = 2 * max(map(abs, step))
        part = math.log1p(reach) / reach
        strengths = [strength + part * move for strength, move in zip(strengths, step, strict=True)]
    return strengths


def _curve(
    strengths: Sequence[float], wins: Sequence[float], met: "Counter[tuple[int, int]]"
) -> _Curve:
    chances = list(map(_chance, strengths))
    slopes = [won + PRIOR * (1 - 2 * p) for won, p in zip(wins, chances, strict=True)]
    bends = [2 * PRIOR * p * (1 - p) for p in chances]
    mixed: list[tuple[int, int, float]] = []
    for (first, second), times in met.items():
        p = _chance(strengths[first] - strengths[second])
        bend = times * p * (1 - p)
        slopes[first] -= times * p
        slopes[second] -= times * (1 - p)
        bends[first] += bend
        bends[second] += bend
        mixed.append((first, second, bend))
    return _Curve(slopes, bends, mixed)


def _newton_step(curve: _Curve) -> list[float]:
    """Solve for the step to where the slopes would be 0, by conjugate gradients."""
    left = curve.slopes
    step = [0.0] * len(left)
    inverse = [1 / bend for bend in curve.bends]
    direction = _times(left, inverse)
    size = _dot(left, direction)
    enough = size * 1e-4
    for _ in range(_MOST_INNER_STEPS):
        bent = curve.bent(direction)
        far = size / _dot(direction, bent)
        step = [a + far * b for a, b in zip(step, direction, strict=True)]
        left = [a - far * b for a, b in zip(left, bent, strict=True)]
        scaled = _times(left, inverse)
        before, size = size, _dot(left, scaled)
        if size <= enough:
            break
        kept = size / before
        direction = [a + kept * b for a, b in zip(scaled, direction, strict=True)]
    return step


def _times(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    return [one * other for one, other in zip(ones, others, strict=True)]


def _dot(ones: Sequence[float], others: Sequence[float]) -> float:
    return math.fsum(_times(ones, others))


def _chance(lead: float) -> float:
    """Return the chance to win with such a lead, the difference of two strengths' logarithms."""
    return 1 / (1 + math.exp(-lead)) if lead > 0 else (odds := math.exp(lead)) / (1 + odds)
