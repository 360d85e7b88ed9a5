"""What a set of rollouts came to, and two runs compared question by question."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from plaudit.errors import UsageError
from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.correctness import Correctness
from plaudit.rollouts.rewards.tally import RewardSummary, ScoreTally
from plaudit.rollouts.trace import Trace
from plaudit.rollouts.traces import read_traces
from plaudit.scoring.intervals import MeanOverQuestions, ShareOverQuestions, pass_at_k
from plaudit.scoring.stats import Estimate


class Evaluation(msgspec.Struct, kw_only=True):
    """Counts, means and shares of rollouts. Intervals hold with a probability of 95 %.

    What could not be scored is in no average: `rewards[name].unscored` counts it.
    """

    questions: int = 0
    rollouts: int = 0
    answered: int = 0
    """Rollouts with a final answer, right or wrong."""
    broken_off: int = 0
    """Rollouts that an engine, a filter or a deadline ended; they are asked again."""
    tool_failed: int = 0
    """Other rollouts in which a tool failed; they are asked again too."""
    stop_reasons: dict[str, int] = {}
    causes: dict[str, int] = {}
    """Why engines gave no reply, by cause."""
    accuracy: Estimate | None = None
    """Share of right answers among those graded; None: none was."""
    pass_at: dict[int, Estimate] = {}
    """By k: the chance that one of k rollouts of a question is right (Chen et al. 2021), over the
    questions with at least k graded rollouts."""
    rewards: dict[str, RewardSummary] = {}
    """By name, `total` the last; empty where nothing was scored."""
    turns: float | None = None
    """Mean number of the model's turns a rollout."""
    calls: dict[str, float] = {}
    """Mean number of calls a rollout that a tool answered, by the tool's name: of the search tool,
    the searches per question."""
    bad_calls: dict[str, int] = {}
    """Calls that were answered with an error, by their status."""
    input_tokens: int = 0
    """Of the prompts, those of every turn counted in full."""
    output_tokens: int = 0
    """What the models wrote."""
    exact: int = 0
    """Rollouts whose token ids are those that the engine read and sampled."""
    approximate: int = 0
    """Rollouts whose token ids come from tokenising the text."""
    forks: int = 0
    """Rollouts in which the engine read what was said otherwise than it was sampled."""
    truncated: int = 0
    """Rollouts whose tokens were cut off at the end."""


class Evaluator:
    """Sums rollouts up, in whatever order they come; memory does not grow with their number."""

    def __init__(self, samples: int = 1, rewards: Composite | None = None) -> None:
        """Begin.

        Args:
            samples: rollouts of each question.
            rewards: what they were scored by, if they were.
        """
        self._samples = samples
        self._tally = None if rewards is None else ScoreTally(rewards)
        self._correct = None if rewards is None else _correctness(rewards)
        self._waiting: dict[int, list[Trace]] = {}
        self._done = Evaluation()
        self._stops: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()
        self._turns = 0
        self._right = ShareOverQuestions()
        self._passes: dict[int, MeanOverQuestions] = {}

    @property
    def graded_by(self) -> str | None:
        """Name of the reward that grades answers as right or wrong; None: none does."""
        return None if self._correct is None else self._correct[0]

    def add(self, question: int, trace: Trace) -> None:
        """Add a rollout of question number `question`."""
        self._count(trace)
        group = self._waiting.setdefault(question, [])
        group.append(_scores_of(trace))
        if len(group) == self._samples:
            self._end_question(self._waiting.pop(question))

    def result(self) -> Evaluation:
        """Return what was added, summed up; questions without all their rollouts count as well."""
        while self._waiting:
            self._end_question(self._waiting.popitem()[1])
        done, number = self._done, self._done.rollouts
        passed = {k: means.share() for k, means in sorted(self._passes.items())}
        return msgspec.structs.replace(
            done,
            stop_reasons=dict(sorted(self._stops.items())),
            causes=dict(sorted(self._causes.items())),
            accuracy=self._right.estimate(),
            pass_at={k: estimate for k, estimate in passed.items() if estimate is not None},
            rewards={} if self._tally is None else self._tally.summary().rewards,
            turns=round(self._turns / number, 6) if number else None,
            calls={name: round(n / number, 6) for name, n in sorted(self._calls.items())},
            bad_calls=dict(sorted(self._bad.items())),
        )

    def _end_question(self, traces: Sequence[Trace]) -> None:
        self._done.questions += 1
        if self._tally is not None:
            for trace in traces:
                self._tally.add(trace)
        graded = [grade for grade in map(self._grade, traces) if grade is not None]
        self._right.add(sum(graded), len(graded))
        for k in _ks(self._samples):
            if k <= len(graded):
                passes = self._passes.setdefault(k, MeanOverQuestions())
                passes.add(pass_at_k(len(graded), sum(graded), k))

    def _count(self, trace: Trace) -> None:
        done = self._done
        done.rollouts += 1
        done.answered += trace.final_answer is not None
        done.input_tokens += trace.usage.input_tokens
        done.output_tokens += trace.usage.output_tokens
        self._turns += len(trace.turns)
        if trace.stop_reason is not None:
            self._stops[trace.stop_reason] += 1
        done.broken_off += trace.broken_off
        done.tool_failed += trace.tool_failed and not trace.broken_off
        if trace.error is not None:
            self._causes[trace.error.cause] += 1
        for call in trace.tool_calls:
            if call.status == "ok":
                self._calls[call.name] += 1
            else:
                self._bad[call.status] += 1
        tokens = trace.tokens
        if tokens is not None:
            done.exact += tokens.exactness == "exact"
            done.approximate += tokens.exactness == "approximate"
            done.forks += tokens.forks > 0
            done.truncated += tokens.truncated > 0

    def _grade(self, trace: Trace) -> bool | None:
        if self._correct is None or trace.rewards is None:
            return None
        name, reward = self._correct
        value = trace.rewards[name].value
        return None if value is None else value >= reward.high


def _correctness(rewards: Composite) -> tuple[str, Reward] | None:
    found = ((p.name, p.reward) for p in rewards.parts if isinstance(p.reward, Correctness))
    return next(found, None)


def _ks(samples: int) -> Iterable[int]:
    """Return powers of two up to the number of samples, and that number."""
    return sorted({2**power for power in range(samples.bit_length())} | {samples})


def _scores_of(trace: Trace) -> Trace:
    """Return a trace with its scores, and without what makes it large."""
    return msgspec.structs.replace(
        trace, question=None, messages=[], turns=[], tool_calls=[], tokens=None
    )


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


class RunComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs side by side."""

    questions: int
    """Questions that both runs have."""
    only_first: int
    only_second: int
    measures: dict[str, Difference]
    """Rewards by name, then `answered` (share of rollouts with an answer), `turns`, `calls` and
    `output_tokens`. A rollout that was broken off, and a reward without a value, counts in
    none of them."""


def compare(first: Traces, second: Traces) -> RunComparison:
    """Compare two runs question by question: what is hard for both cancels.

    ::

        found = compare("before.jsonl", "after.jsonl").measures["correctness"].difference
        print(found.value, found.low, found.high)

    Args:
        first: traces; their ids identify questions.
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
    return RunComparison(
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
