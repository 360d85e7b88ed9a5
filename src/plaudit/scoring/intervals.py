"""Means and shares over questions, with intervals, from sums alone and without further packages.

Rollouts of one question are alike, so the question and not the rollout is what was drawn: every
interval here is over questions. Sums are all that is kept, so that memory does not grow with them.
"""

import math
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

from plaudit.scoring.stats import LEVEL, Estimate


class ShareOverQuestions:
    """The share of tries that succeeded, where each question has one or more tries."""

    def __init__(self) -> None:
        self.questions = self.tries = self.successes = 0
        self._squares = self._cross = self._sizes = 0

    def add(self, successes: int, tries: int) -> None:
        """Add one question; without tries it does not count."""
        if tries:
            self.questions += 1
            self.tries += tries
            self.successes += successes
            self._squares += successes * successes
            self._cross += successes * tries
            self._sizes += tries * tries

    def estimate(self, level: float = LEVEL) -> Estimate | None:
        """Return the share with Wilson's interval (1927); None without tries.

        The tries count as their effective number (Korn and Graubard 1998): what independent tries
        would give the variance that the questions have, by the ratio estimator. Where all or none
        succeeded, and for a single question, the effective number is that of the questions.
        """
        if not self.tries:
            return None
        share = self.successes / self.tries
        return wilson(share, self.effective_tries, level)

    @property
    def effective_tries(self) -> float:
        """How many independent tries would be as informative; 0 without tries."""
        if not self.tries:
            return 0.0
        share = self.successes / self.tries
        spread = self._squares - 2 * share * self._cross + share * share * self._sizes
        factor = self.questions / max(self.questions - 1, 1)
        variance = factor * spread / (self.tries * self.tries)
        return effective_number(share, self.tries, variance, self.questions)


class ExactSums(NamedTuple):
    """The sums behind a mean over questions, exact, as fractions in text."""

    questions: int
    total: str
    """Sum of the numbers."""
    squares: str
    """Sum of their squares."""


class MeanOverQuestions:
    """The mean of one number a question; the same to the last bit in every order of questions."""

    def __init__(self) -> None:
        self.questions = 0
        self._sum = self._sum_of_squares = Fraction()

    def add(self, value: float) -> None:
        """Add one question's number, a finite one."""
        exact = Fraction(value)
        self.questions += 1
        self._sum += exact
        self._sum_of_squares += exact * exact

    def sums(self) -> "ExactSums":
        """Return all that was added, to be merged elsewhere."""
        return ExactSums(self.questions, str(self._sum), str(self._sum_of_squares))

    def merge(self, sums: "ExactSums") -> None:
        """Add what was added elsewhere."""
        self.questions += sums.questions
        self._sum += Fraction(sums.total)
        self._sum_of_squares += Fraction(sums.squares)

    @property
    def _mean(self) -> float:
        return float(self._sum / self.questions)

    @property
    def _squares(self) -> float:
        """The sum of squared distances from the mean."""
        return float(self._sum_of_squares - self._sum * self._sum / self.questions)

    def estimate(
        self, least: float = -math.inf, most: float = math.inf, level: float = LEVEL
    ) -> Estimate | None:
        """Return the mean with Student's interval, cut to the range that it has.

        None without questions; with a single one the interval is the whole range.
        """
        if not self.questions:
            return None
        if self.questions == 1:
            return Estimate(self._mean, least, most)
        error = math.sqrt(self._squares / (self.questions - 1) / self.questions)
        reach = student((1 + level) / 2, self.questions - 1) * error
        return Estimate(self._mean, max(self._mean - reach, least), min(self._mean + reach, most))

    def share(self, level: float = LEVEL) -> Estimate | None:
        """Return the mean of numbers in 0..1 with Wilson's interval, for their effective number.

        Unlike Student's it is not empty where all of them are 0, or all are 1.
        """
        if not self.questions:
            return None
        mean = min(max(self._mean, 0.0), 1.0)
        spread = self._squares / max(self.questions - 1, 1)
        independent = mean * (1 - mean)
        alike = independent <= 0 or spread <= 0
        return wilson(mean, self.questions * (1.0 if alike else independent / spread), level)


def effective_number(share: float, tries: int, variance: float, clusters: int) -> float:
    """Return how many independent tries would give a share the variance that it has.

    At most the tries (Korn and Graubard 1998). Where all or none succeeded, and for a single
    cluster, it is the number of clusters.
    """
    if clusters < 2 or not 0 < share < 1:
        return clusters
    independent = share * (1 - share)
    if variance * tries <= independent:
        return tries
    return max(independent / variance, 1.0)


def wilson(
    share: float, trials: float, level: float = LEVEL, freedom: int | None = None
) -> Estimate:
    """Return a share with its score interval (Wilson 1927), which stays within 0..1.

    Args:
        share: successes by trials.
        trials: how many; may be an effective number that is not whole, above 0.
        level: probability that the interval holds the true share.
        freedom: degrees of freedom of the variance that an effective number comes from, so that
            the quantile is Student's; None: the variance is known.
    """
    tail = (1 + level) / 2
    z = NormalDist().inv_cdf(tail) if freedom is None else student(tail, freedom)
    weight = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / weight
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / weight
    low, high = max(0.0, centre - reach), min(1.0, centre + reach)
    return Estimate(share, min(low, share), max(high, share))


def student(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t distribution.

    Exact for 1 and 2 degrees of freedom; else by the expansion of Abramowitz and Stegun (26.7.5),
    which at 0.975 is off by 0.2 % for 3 degrees of freedom and less for more.
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        a = 2 * probability - 1
        return a * math.sqrt(2 / (1 - a * a))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def pass_at_k(tries: int, successes: int, k: int) -> float:
    """Return the chance that at least one of `k` tries succeeds, drawn from those that were made.

    The unbiased estimator of Chen et al. (2021): 1 - C(n - c, k) / C(n, k).

    Args:
        tries: n, at least k.
        successes: c, of the tries.
        k: how many are drawn, without replacement.
    """
    return 1 - math.comb(tries - successes, k) / math.comb(tries, k)
