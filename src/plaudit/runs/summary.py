"""What a judge's run did, counted as verdicts come in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from plaudit.engines.http.errors import shorten
from plaudit.runs.judging import Judged
from plaudit.runs.record import BatchBill, Summary
from plaudit.scoring.cascade import GatePromise, Promised, Saved
from plaudit.scoring.jury import Combine
from plaudit.types import Failure, Json, Value, Verdict


class MemberSummary(msgspec.Struct, kw_only=True):
    """What one member of a panel did. Counts are of samples."""

    name: str
    engine: str
    judge: str
    readout: str
    mode: str
    weight: float | UnsetType = UNSET
    """In a jury that weighs its votes."""
    gate: float | UnsetType | None = UNSET
    """In a cascade."""
    promise: GatePromise | UnsetType | None = UNSET
    """In a cascade: what the calibrated gate promises about what it settles."""
    samples: int = 0
    """Samples that it was asked about."""
    settled: int | UnsetType = UNSET
    """In a cascade: those whose verdict stayed."""
    ok: int = 0
    abstained: int = 0
    invalid: int = 0
    failed: int = 0
    engine_calls: int = 0
    input_tokens: int = 0
    """Tokens of the replies asked for in this run."""
    output_tokens: int = 0
    cost_usd: float | None = None
    """Of those tokens; None: unknown."""


class Alpha(msgspec.Struct, frozen=True, kw_only=True):
    """How much the members of a jury agree."""

    alpha: float | None
    """Krippendorff's alpha: 1 full agreement, 0 chance; None where it is not defined."""
    level: Literal["nominal", "interval"]
    samples: int
    """Samples with at least two votes, on which it rests."""


class PanelSummary(msgspec.Struct, kw_only=True):
    """What a panel did."""

    form: Literal["jury", "cascade"]
    members: list[MemberSummary]
    combine: Combine | UnsetType = UNSET
    quorum: int | UnsetType = UNSET
    agreement: Alpha | UnsetType = UNSET
    promised: Promised | UnsetType | None = UNSET
    saved: Saved | UnsetType = UNSET


class JudgeSummary(Summary, kw_only=True):
    """What a judge's run did. Counts are of samples."""

    run: str = ""
    judge: str = ""
    readout: str = ""
    mode: str = ""
    """How the judge asked and read, as it was settled for this engine."""
    samples: int = 0
    ok: int = 0
    abstained: int = 0
    invalid: int = 0
    failed: int = 0
    rejected: int = 0
    """Rows of the input that no sample could be taken from."""
    cached: int = 0
    """Samples answered from the store alone."""
    engine_calls: int = 0
    """Requests sent, retries and the prior's included."""
    input_tokens: int = 0
    """Tokens of the replies asked for in this run."""
    output_tokens: int = 0
    cost_usd: float | None = None
    """What those tokens cost; None: unknown, where a price is."""
    seconds: float = 0.0
    mean_reward: float | None = None
    """Over the `ok` samples; None where there are none."""
    values: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """Counts by value and status; a verdict without a value counts under `-`, a raw score under the
    nearest whole number, as `~3`."""
    causes: dict[str, int] = msgspec.field(default_factory=dict)
    """Counts by cause of what is not `ok`."""
    examples: dict[str, str] | UnsetType = UNSET
    """By cause, what the first sample says that failed or is invalid; only there where one is."""
    labelled: int = 0
    """`ok` samples whose row has a `label`; without those whose value is a raw score."""
    agree: int = 0
    """Those whose value equals it."""
    decided_by: dict[str, int] | UnsetType = UNSET
    """verify: how many answers were decided by what; what nothing decided is among the causes."""
    mean_votes: float | UnsetType = UNSET
    """Votes a sample, over the samples that were voted on; only there with votes."""
    out: str | None = None
    rejects: str | None = None
    notes: list[str] = msgspec.field(default_factory=list)
    """What was given up, and which shots were withheld."""
    panel: PanelSummary | UnsetType = UNSET
    """What each member of a jury or a cascade did; not there for a single judge."""
    batch: BatchBill | UnsetType = UNSET
    """What went through batches; only there with `--batch`."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected or samples failed or are invalid."""
        return 1 if self.rejected or self.failed or self.invalid else 0


_REWARD_UNIT = 2**40
"""Rewards are summed as whole multiples of its inverse, so that order cannot change the sum."""


class JudgeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a tally counted of some samples, as plain data."""

    values: list[tuple[str, str, int]]
    """Value, status and number of samples."""
    causes: dict[str, int]
    examples: dict[str, tuple[int, str]]
    """By cause: index of the first sample, and what it says."""
    deciders: dict[str, int]
    rewards: int
    """Sum of the rewards in multiples of 2**-40."""
    cached: int
    labelled: int
    agree: int
    votes: int
    voted: int

    @property
    def samples(self) -> int:
        """Samples that were counted."""
        return sum(number for _, _, number in self.values)

    @property
    def statuses(self) -> Counter[str]:
        """Samples by status."""
        found = Counter[str]()
        for _, status, number in self.values:
            found[status] += number
        return found


_SUMS = ("rewards", "cached", "labelled", "agree", "votes", "voted")


class JudgeTally:
    """Counts as verdicts come in; the same for every order of arrival."""

    def __init__(self) -> None:
        self.values: Counter[tuple[str, str]] = Counter()
        self.causes: Counter[str] = Counter()
        self.examples: dict[str, tuple[int, str]] = {}
        self.rewards = 0
        self.cached = self.labelled = self.agree = 0
        self.votes = self.voted = 0
        self.deciders: Counter[str] = Counter()

    def add(self, judged: Sequence[Judged]) -> None:
        """Count verdicts."""
        verdicts = [verdict for verdict, _ in judged]
        self.values.update(
            [
                (v.value if isinstance(v.value, str) else _counted_as(v.value), v.status)
                for v in verdicts
            ]
        )
        self.cached += sum([asked.from_store for _, asked in judged])
        for verdict in verdicts:
            if verdict.reward is not None:
                self.rewards += round(verdict.reward * _REWARD_UNIT)
        self._add_fields([verdict.fields for verdict in verdicts])
        self._add_labelled([v for v in verdicts if v.status == "ok" and "label" in v.metadata])
        self._add_causes([v for v in verdicts if v.error is not None])

    def _add_fields(self, fields: Sequence[Mapping[str, Json]]) -> None:
        votes = [one["votes"] for one in fields if "votes" in one]
        self.votes += sum(votes)
        self.voted += len(votes)
        self.deciders.update([one["decided_by"] for one in fields if "decided_by" in one])

    def _add_labelled(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            label = verdict.metadata["label"]
            if label is not None and not isinstance(verdict.value, float):
                self.labelled += 1
                self.agree += str(label) == str(verdict.value)

    def _add_causes(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            error = cast("Failure", verdict.error)
            self.causes[error.cause] += 1
            known = self.examples.get(error.cause)
            if verdict.status in ("failed", "invalid") and (
                known is None or verdict.index < known[0]
            ):
                message = " ".join(error.message.split())
                self.examples[error.cause] = verdict.index, shorten(message)

    def counts(self) -> "JudgeCounts":
        """Return what was counted, as plain data."""
        return JudgeCounts(
            values=[(value, status, n) for (value, status), n in sorted(self.values.items())],
            causes=dict(self.causes),
            examples=dict(self.examples),
            deciders=dict(self.deciders),
            **{name: getattr(self, name) for name in _SUMS},
        )

    def take(self, counts: "JudgeCounts") -> None:
        """Add what another tally counted of other samples."""
        for value, status, number in counts.values:
            self.values[value, status] += number
        self.causes.update(counts.causes)
        self.deciders.update(counts.deciders)
        for cause, example in counts.examples.items():
            self.examples[cause] = min(example, self.examples.get(cause, example))
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(counts, name))

    def fill(self, summary: JudgeSummary) -> None:
        """Write the counts into a summary."""
        for (value, status), count in sorted(self.values.items()):
            summary.values.setdefault(value, {})[status] = count
            setattr(summary, status, getattr(summary, status) + count)
        if summary.ok:
            summary.mean_reward = round(self.rewards / _REWARD_UNIT / summary.ok, 9)
        if self.voted:
            summary.mean_votes = round(self.votes / self.voted, 3)
        if self.deciders:
            summary.decided_by = dict(sorted(self.deciders.items()))
        summary.causes = dict(sorted(self.causes.items()))
        if self.examples:
            summary.examples = {c: text for c, (_, text) in sorted(self.examples.items())}
        summary.samples = self.values.total()
        summary.cached, summary.labelled, summary.agree = self.cached, self.labelled, self.agree


def _counted_as(value: Value | None) -> str:
    """Return what a value is counted as; raw scores by the nearest whole number."""
    if isinstance(value, float):
        return f"~{round(value)}"
    return "-" if value is None else str(value)
