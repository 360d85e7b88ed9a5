"""Two runs over the same questions, compared question by question."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from plaudit.errors import UsageError
from plaudit.rollouts.trace import Trace
from plaudit.rollouts.traces import read_traces
from plaudit.scoring.intervals import MeanOverQuestions
from plaudit.scoring.stats import Estimate

Traces = str | Path | Iterable[Trace]
"""A trace file, or traces."""

ANSWERED, TURNS, CALLS, TOKENS = "answered", "turns", "calls", "output_tokens"
_COUNTS = (TURNS, CALLS, TOKENS)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of two runs, over the questions for which both have it."""

    questions: int
    first: float
    """Mean over these questions, each the mean of its rollouts."""
    second: float
    difference: Estimate
    """Of the second run less the first, paired by question, with Student's interval (95 %), which
    is cut to -1..1 where all values lie in 0..1."""
    better: int
    """Questions whose value is greater in the second run."""
    worse: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs side by side."""

    questions: int
    """Questions that both runs have."""
    only_first: int
    only_second: int
    measures: dict[str, Difference]
    """Rewards by name, then `answered` (share of rollouts with an answer), `turns`, `calls` and
    `output_tokens`. A rollout that was broken off, and a reward that could not be told, counts in
    none of them."""


def compare(first: Traces, second: Traces) -> Comparison:
    """Compare two runs question by question: what is hard for both cancels.

    ::

        found = compare("before.jsonl", "after.jsonl").measures["correctness"].difference
        print(found.value, found.low, found.high)

    Args:
        first: traces; questions are told apart by their ids.
        second: traces of other rollouts of these questions, or some of them.

    Raises:
        InputError: a row is no trace.
        UsageError: no question is in both.
    """
    before, after = _by_question(first), _by_question(second)
    shared = [name for name in before if name in after]
    if not shared:
        raise UsageError("the two runs have no question in common, going by their ids")
    names = dict.fromkeys(name for question in shared for name in before[question])
    found = {name: _difference([(before[q], after[q]) for q in shared], name) for name in names}
    return Comparison(
        questions=len(shared),
        only_first=len(before) - len(shared),
        only_second=len(after) - len(shared),
        measures={name: one for name, one in found.items() if one is not None},
    )


class _Means(msgspec.Struct):
    """Sums of the measures of one question."""

    sums: dict[str, float] = {}
    counts: dict[str, int] = {}

    def add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: total / self.counts[name] for name, total in self.sums.items()}


def _by_question(traces: Traces) -> dict[str, dict[str, float]]:
    """Return the mean of each measure, by question and name."""
    found: dict[str, _Means] = {}
    for trace in read_traces(traces) if isinstance(traces, str | Path) else traces:
        question = found.setdefault(trace.question_id or trace.group or trace.id, _Means())
        if trace.stop_reason is not None and trace.stop_reason.broken_off:
            continue
        for name, score in (trace.rewards or {}).items():
            if score.value is not None:
                question.add(name, score.value)
        question.add(ANSWERED, float(trace.final_answer is not None))
        question.add(TURNS, len(trace.turns))
        question.add(CALLS, len(trace.tool_calls))
        question.add(TOKENS, trace.usage.output_tokens)
    return {name: question.means() for name, question in found.items()}


def _difference(
    pairs: Iterable[tuple[Mapping[str, float], Mapping[str, float]]], name: str
) -> Difference | None:
    values = [(one[name], other[name]) for one, other in pairs if name in one and name in other]
    gains = MeanOverQuestions()
    for one, other in values:
        gains.add(other - one)
    shares = name not in _COUNTS and all(0 <= value <= 1 for pair in values for value in pair)
    most = 1.0 if shares else math.inf
    estimate = gains.estimate(-most, most)
    if estimate is None:
        return None
    count = len(values)
    return Difference(
        questions=count,
        first=sum(one for one, _ in values) / count,
        second=sum(other for _, other in values) / count,
        difference=estimate,
        better=sum(other > one for one, other in values),
        worse=sum(other < one for one, other in values),
    )
