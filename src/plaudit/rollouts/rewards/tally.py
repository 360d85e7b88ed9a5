"""What scoring many traces came to: means with intervals, and why some have no value."""

import math
from collections import Counter
from fractions import Fraction

import msgspec
from msgspec import UNSET, UnsetType

from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.scoring.intervals import MeanOverQuestions
from plaudit.scoring.stats import Estimate


class RewardSummary(msgspec.Struct, kw_only=True):
    """One reward over all traces."""

    scored: int = 0
    """Traces with a value."""
    mean: Estimate | None = None
    """The mean over questions, each the mean of its traces, with Student's interval (95 %)."""
    least: float | None = None
    most: float | None = None
    unscored: dict[str, int] = {}
    """Traces without a value, by cause."""
    decided_by: dict[str, int] | UnsetType = UNSET
    """`correctness`: how many answers were decided by what."""


class ScoreSummary(msgspec.Struct, kw_only=True):
    """What scoring a file came to."""

    traces: int = 0
    rejected: int = 0
    """Rows that are no trace."""
    spec: str = ""
    """Fingerprint of the specification."""
    scale: tuple[float | None, float | None] = (None, None)
    """The least and the greatest total that there can be; null where that is not known."""
    rewards: dict[str, RewardSummary] = {}
    """By name, `total` the last."""
    broken: int = 0
    """Traces of which a reward was not told because something went wrong: a judge or a function."""
    seconds: float = 0.0
    out: str | None = None
    rejects: str | None = None

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected or something went wrong."""
        return 1 if self.rejected or self.broken else 0


class Tally:
    """Counts scored traces; memory does not grow with them.

    Traces of one group that come one after the other are of one question. Where groups are
    interleaved, each run of one counts as a question, and the interval comes out too narrow.
    """

    def __init__(self, rewards: Composite) -> None:
        """Begin for the rewards of a specification."""
        self._rewards = rewards
        named: list[tuple[str, Reward]] = [(part.name, part.reward) for part in rewards.parts]
        named.append((TOTAL, rewards))
        self._columns = {name: _Column(one.low, one.high) for name, one in named}
        self._group: str | None = None
        self.traces = 0
        """Traces so far."""
        self._broken = 0

    def add(self, trace: Trace) -> None:
        """Count a scored trace."""
        group = trace.group or trace.id
        if group != self._group:
            self._end_group()
            self._group = group
        self.traces += 1
        scores = trace.rewards or {}
        for name, column in self._columns.items():
            column.add(scores[name])
        self._broken += any(s.cause is not None and s.cause.broken for s in scores.values())

    def summary(self) -> ScoreSummary:
        """Return what was counted so far."""
        self._end_group()
        bounds = (self._rewards.low, self._rewards.high)
        return ScoreSummary(
            traces=self.traces,
            spec=self._rewards.fingerprint,
            scale=(_finite(bounds[0]), _finite(bounds[1])),
            rewards={name: column.summary() for name, column in self._columns.items()},
            broken=self._broken,
        )

    def _end_group(self) -> None:
        for column in self._columns.values():
            column.end_group()


class _Column:
    """The scores of one reward."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._means = MeanOverQuestions()
        self._causes: Counter[Unscored] = Counter()
        self._deciders: Counter[str] = Counter()
        self._scored = self._in_group = 0
        self._sum = Fraction()  # Exact: the order of arrival changes no bit of a mean.
        self._least, self._most = math.inf, -math.inf

    def add(self, score: Score) -> None:
        if score.value is None:
            self._causes[score.cause or Unscored.NONE_RETURNED] += 1
            return
        if score.by:
            self._deciders[score.by] += 1
        self._scored += 1
        self._in_group += 1
        self._sum += Fraction(score.value)
        self._least = min(self._least, score.value)
        self._most = max(self._most, score.value)

    def end_group(self) -> None:
        if self._in_group:
            self._means.add(float(self._sum / self._in_group))
        self._sum, self._in_group = Fraction(), 0

    def summary(self) -> RewardSummary:
        return RewardSummary(
            scored=self._scored,
            mean=self._means.estimate(self._low, self._high),
            least=self._least if self._scored else None,
            most=self._most if self._scored else None,
            unscored={cause.value: count for cause, count in sorted(self._causes.items())},
            decided_by=dict(sorted(self._deciders.items())) or UNSET,
        )


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
