"""How margins are compared: at nine decimals, so that no noise of floating point decides.

0.3 - 0.2 is 0.09999999999999998 to a computer, and two strengths that are equal differ by 1e-16.
What is compared is the difference at nine decimals; of scores beyond a thousand, whose own noise is
larger, at twelve digits of the largest. Differences themselves are kept as they are.
"""

import math

DECIMALS = 9

_DIGITS = 12
_LARGE = 1e3


class Scale:
    """How the differences of some scores are compared.

    ::

        scale = scale_of(0.0, 1.0)
        scale.is_tie(0.1 + 0.2 - 0.3)  # True
        scale.reaches(0.3 - 0.2, 0.1)  # True
    """

    def __init__(self, decimals: int = DECIMALS) -> None:
        """Take the decimals; negative where scores are so large that whole numbers are rounded."""
        self.decimals = decimals
        self.unit = 10.0**-decimals
        self.half = self.unit / 2
        """A difference up to it is none."""

    def is_tie(self, margin: float) -> bool:
        """Whether two scores with this difference are equal."""
        return abs(margin) <= self.half

    def reaches(self, margin: float, least: float) -> bool:
        """Whether a difference is above 0, at least `least`, and a number."""
        return self.half < margin < math.inf and margin >= least - self.half

    def units(self, margin: float) -> int:
        """Return a difference, which is a number, as it is sorted."""
        return round(margin / self.unit)

    def rounded(self, margin: float) -> float:
        """Return a difference, or a score, at the decimals."""
        return round(margin, self.decimals) + 0.0  # No -0.0.


_USUAL = Scale()


def scale_of(lowest: float = 0.0, highest: float = 1.0) -> Scale:
    """Return how the differences of scores in a range are compared."""
    if lowest >= -_LARGE and highest <= _LARGE:
        return _USUAL
    largest = max(abs(lowest), abs(highest))
    return Scale(_DIGITS - 1 - math.floor(math.log10(largest)))
