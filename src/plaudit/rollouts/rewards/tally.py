"""What many scores come to: counts, means over questions, and how blocks of them are joined."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.scoring.intervals import ExactSums, MeanOverQuestions
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
    """Traces of which a reward has no value because a judge or a function failed."""
    seconds: float = 0.0
    out: str | None = None
    rejects: str | None = None

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected or something went wrong."""
        return 1 if self.rejected or self.broken else 0


class RewardCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of one reward in a block."""

    scored: int
    least: float | None
    most: float | None
    unscored: dict[Unscored, int]
    decided_by: dict[str, int]
    means: ExactSums
    """Over the groups that lie within the block, both ends left out."""


class GroupValues(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a group that may go on in the next block, or began in the one before."""

    group: str
    values: dict[str, list[float | None]]
    """By reward, in the order of the traces."""


class BlockCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of a block of traces. Blocks in their order give the whole."""

    traces: int
    broken: int
    rewards: dict[str, RewardCounts]
    first: GroupValues | None
    last: GroupValues | None
    """None: the block has one group only."""


class ScoreTally:
    """Counts scored traces; memory does not grow with them.

    Traces of one group that come one after the other are of one question. Where groups are
    interleaved, each run of one counts as a question, and the interval comes out too narrow.
    """

    def __init__(self, rewards: Composite) -> None:
        """Begin with no trace."""
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
        self._begin_group(group_of(trace))
        self._count(trace)
        for name, score in self._scores(trace):
            self._columns[name].add(score.value)

    def take_block(self, counts: "BlockCounts") -> None:
        """Count a block, which comes after all that was counted before; the same as its traces."""
        self.traces += counts.traces
        self._broken += counts.broken
        self._add_edge(counts.first)
        if counts.last is not None:
            self._end_group()
            self._group = None
        for name, column in self._columns.items():
            column.merge(counts.rewards[name])
        self._add_edge(counts.last)

    def block(self, traces: Sequence[Trace]) -> "BlockCounts":
        """Count scored traces that are some of all, in a tally of their own.

        The groups at both ends may go on in other blocks, so their values are kept one by one.
        """
        runs = [(group, list(run)) for group, run in itertools.groupby(traces, group_of)]
        for trace in traces:
            self._count(trace)
        for group, run in runs[1:-1]:
            self._begin_group(group)
            for trace in run:
                for name, score in self._scores(trace):
                    self._columns[name].add(score.value)
        self._end_group()
        return BlockCounts(
            traces=self.traces,
            broken=self._broken,
            rewards={name: column.counts() for name, column in self._columns.items()},
            first=self._edge(runs[0]) if runs else None,
            last=self._edge(runs[-1]) if len(runs) > 1 else None,
        )

    def _count(self, trace: Trace) -> None:
        self.traces += 1
        for name, score in self._scores(trace):
            self._columns[name].count(score)
        scores = (trace.rewards or {}).values()
        self._broken += any(s.cause is not None and s.cause.broken for s in scores)

    def _scores(self, trace: Trace) -> Iterator[tuple[str, Score]]:
        scores = trace.rewards or {}
        return ((name, scores[name]) for name in self._columns)

    def _begin_group(self, group: str) -> None:
        if group != self._group:
            self._end_group()
            self._group = group

    def _edge(self, run: tuple[str, Sequence[Trace]]) -> "GroupValues":
        found = {name: list[float | None]() for name in self._columns}
        for trace in run[1]:
            for name, score in self._scores(trace):
                found[name].append(score.value)
        return GroupValues(group=run[0], values=found)

    def _add_edge(self, edge: "GroupValues | None") -> None:
        if edge is None:
            return
        self._begin_group(edge.group)
        for name, values in edge.values.items():
            for value in values:
                self._columns[name].add(value)

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
        self._sum = 0.0
        self._least, self._most = math.inf, -math.inf

    def count(self, score: Score) -> None:
        """Count one score."""
        if score.value is None:
            self._causes[score.cause or Unscored.NONE_RETURNED] += 1
            return
        if score.by:
            self._deciders[score.by] += 1
        self._scored += 1
        self._least = min(self._least, score.value)
        self._most = max(self._most, score.value)

    def add(self, value: float | None) -> None:
        """Add a value to those of the group; None: there is none."""
        if value is not None:
            self._in_group += 1
            self._sum += value

    def counts(self) -> "RewardCounts":
        """Return what was counted, without the group that goes on."""
        return RewardCounts(
            scored=self._scored,
            least=self._least if self._scored else None,
            most=self._most if self._scored else None,
            unscored=dict(self._causes),
            decided_by=dict(self._deciders),
            means=self._means.sums(),
        )

    def merge(self, counts: "RewardCounts") -> None:
        """Count what another tally counted."""
        self._scored += counts.scored
        self._causes.update(counts.unscored)
        self._deciders.update(counts.decided_by)
        if counts.least is not None and counts.most is not None:
            self._least = min(self._least, counts.least)
            self._most = max(self._most, counts.most)
        self._means.merge(counts.means)

    def end_group(self) -> None:
        if self._in_group:
            self._means.add(self._sum / self._in_group)
        self._sum, self._in_group = 0.0, 0

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


def group_of(trace: Trace) -> str:
    """Return the group of a trace; one without a group is a group of its own."""
    return trace.group or trace.id


def status_of(trace: Trace) -> str:
    """Return how the progress display counts a scored trace."""
    total = (trace.rewards or {})[TOTAL]
    if total.cause is None:
        return "ok"
    return "failed" if total.cause.broken else "abstained"
