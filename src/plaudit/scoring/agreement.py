"""Agreement among judges: Krippendorff's alpha, one sample after the other.

Computed here and not by a package, because a run has more samples than a matrix of votes should
hold: a few sums are kept, whatever the number of samples.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from plaudit.types import Value

Level = Literal["nominal", "interval"]
"""How far two values are from each other: 1 where they differ, or the square of the difference."""


class Agreement:
    """Krippendorff's alpha (Krippendorff 2004, Content Analysis, chapter 11) of many votes.

    1 is full agreement, 0 what chance would give, less than 0 systematic disagreement. Samples
    with fewer than two values do not count, so missing values are no problem.
    """

    def __init__(self, level: Level) -> None:
        """Start with no sample."""
        self.level: Level = level
        self.samples = 0
        """Samples with at least two values."""
        # By the number of values of a sample, so that every sum is exact in any order.
        self._within: defaultdict[int, Fraction | int] = defaultdict(int)
        self._counts: Counter[Value] = Counter()
        self._total: Fraction | int = 0
        self._squares: Fraction | int = 0

    def add(self, values: Sequence[Value]) -> None:
        """Count one sample: the values of those who voted. Numbers at the interval level."""
        if len(values) < 2:
            return
        self.samples += 1
        if self.level == "nominal":
            self._within[len(values)] += _pairs_that_differ(Counter(values))
        else:
            numbers = [n if isinstance(n, int) else Fraction(n) for n in values]
            total, squares = sum(numbers), sum(n * n for n in numbers)
            self._within[len(values)] += 2 * (len(values) * squares - total * total)
            self._total += total
            self._squares += squares
        self._counts.update(values)

    @property
    def alpha(self) -> float | None:
        """Krippendorff's alpha; None where it is not defined: no pair, or one value only."""
        observed = sum(Fraction(sum_, count - 1) for count, sum_ in self._within.items())
        expected = self._differences()
        if not expected:
            return None
        return round(float(1 - (self._counts.total() - 1) * observed / expected), 6)

    def _differences(self) -> Fraction | int:
        """Return the sum of distances over all ordered pairs of values, of whichever samples."""
        if self.level == "nominal":
            return _pairs_that_differ(self._counts)
        return 2 * (self._counts.total() * self._squares - self._total * self._total)


def _pairs_that_differ(counts: Counter[Value]) -> int:
    return counts.total() ** 2 - sum(count * count for count in counts.values())
