"""Scoring many traces, in order: a list, a stream, or a file, and what the scores came to."""

import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from contextlib import aclosing
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from plaudit._util.aio import map_ordered
from plaudit._util.loops import run_sync
from plaudit._util.options import Help
from plaudit._util.ranges import COUNT
from plaudit.engines.base import Engine
from plaudit.errors import InputError
from plaudit.io.output import Output
from plaudit.io.places import check_lines_output
from plaudit.io.progress import Progress
from plaudit.io.sources import Intake, RowReader
from plaudit.rollouts.rewards.base import Reward
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.spec import Spec, load_rewards
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.rollouts.traces import read_trace
from plaudit.scoring.intervals import MeanOverQuestions
from plaudit.scoring.stats import Estimate
from plaudit.sending.pool import SendPolicy
from plaudit.types import Usage


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


class ScoreTally:
    """Counts scored traces; memory does not grow with them.

    Traces of one group that come one after the other are of one question. Where groups are
    interleaved, each run of one counts as a question, and the interval comes out too narrow.
    """

    def __init__(self, rewards: Composite) -> None:
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
        self._sum = 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, score: Score) -> None:
        if score.value is None:
            self._causes[score.cause or Unscored.NONE_RETURNED] += 1
            return
        if score.by:
            self._deciders[score.by] += 1
        self._scored += 1
        self._in_group += 1
        self._sum += score.value
        self._least = min(self._least, score.value)
        self._most = max(self._most, score.value)

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


WINDOW = 200
"""Traces that are scored at once, which is what a judge of an endpoint has under way."""


def score_traces(
    traces: Iterable[Trace],
    spec: Spec | None = None,
    *,
    engine: str | Engine | None = None,
    cache: bool | str = True,
    send: SendPolicy | None = None,
) -> list[Trace]:
    """Score traces; nothing is rolled out again.

    ::

        for trace in score_traces(traces, "rewards.toml", engine="vllm:my-model"):
            total = trace.rewards["total"]
            print(trace.id, total.value, total.reason)

    Args:
        traces: of any length; an empty one gives an empty list.
        spec: the path of a specification, or a dict of the same form; None: the default one.
        engine: asked by `correctness` about what is undecided, as a URI or an engine; None: no
            model is asked.
        cache: whether the judge's replies are kept in the store, or the path of another store.
        send: concurrency, time-out and retries.

    Returns:
        The traces in their order, with `rewards`: a score for each reward by name, and `total`.

    Raises:
        UsageError: the specification cannot be used.
        EngineUnusableError: a judge is asked, and its engine can answer nothing.
    """
    return run_sync(ascore_traces(traces, spec, engine=engine, cache=cache, send=send))


async def ascore_traces(
    traces: Iterable[Trace] | AsyncIterable[Trace],
    spec: Spec | None = None,
    *,
    engine: str | Engine | None = None,
    cache: bool | str = True,
    send: SendPolicy | None = None,
) -> list[Trace]:
    """Score traces, of an async iterable too; see `score_traces`."""
    rewards = load_rewards(spec, Grader(engine=engine, cache=cache, send=send))
    try:
        async with aclosing(scored(traces, rewards)) as stream:
            return [trace async for trace in stream]
    finally:
        await rewards.close()


async def scored(
    traces: Iterable[Trace] | AsyncIterable[Trace], rewards: Composite, window: int = WINDOW
) -> AsyncGenerator[Trace]:
    """Score traces as they come and yield them in their order, a window of them at a time.

    Args:
        traces: read only as fast as they are scored and taken.
        rewards: what they are scored by; the caller closes it.
        window: most traces under way.
    """

    async def score(trace: Trace) -> Trace:
        return await with_rewards(trace, rewards)

    stream = map_ordered(score, traces, window)
    async with aclosing(stream):
        async for trace in stream:
            yield trace


async def with_rewards(trace: Trace, rewards: Composite) -> Trace:
    """Return a trace with its scores, in place of those that it had."""
    total = await rewards.score(trace)
    own = msgspec.structs.replace(total, components={})
    return msgspec.structs.replace(trace, rewards={**total.components, TOTAL: own})


def grouped(traces: Iterable[Trace], name: str = TOTAL) -> dict[str, list[float | None]]:
    """Return the values of one reward by group, each group in the order of its traces.

    What could not be scored is None and stays in its place; a trainer leaves it out of the group's
    baseline. A trace without a group is one of its own.

    Args:
        traces: scored ones.
        name: of a reward, or `total`.

    Raises:
        KeyError: a trace has no such score.
    """
    groups: dict[str, list[float | None]] = {}
    for trace in traces:
        score = (trace.rewards or {})[name]
        groups.setdefault(trace.group or trace.id, []).append(score.value)
    return groups


class _NoneHeld:
    """Where lines would wait; scored traces come in order, so none does."""

    def hold(self, run: int, index: int, line: bytes) -> None:
        raise RuntimeError(f"line {index} came out of order")

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        yield from ()


class ScoreJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces are scored, and where they go."""

    source: str
    out: Annotated[
        str | None,
        Help(
            "Write the traces with their rewards: JSONL, or - .",
            "Output",
            "OUT",
            flags=("--out", "-o"),
        ),
    ] = None
    """None: the scores are summed up only."""
    limit: Annotated[int | None, COUNT, Help("Score the first N traces only.", "Input")] = None
    strict: Annotated[bool, Help("Stop at the first row that is no trace.", "Input")] = False
    window: int = WINDOW
    """Most traces under way."""

    def check(self) -> None:
        """Check, before anything is read, that the output can be written.

        Raises:
            UsageError: it cannot.
        """
        if self.out is not None:
            check_lines_output(self.out, "traces", [self.source])


async def score_file(job: ScoreJob, rewards: Composite, progress: Progress) -> ScoreSummary:
    """Score the traces of a file and write them, with their rewards, in the same order.

    Rows that are no trace go to `OUT.rejected.jsonl`. Memory does not grow with the file. After an
    error the output is as it was.

    Args:
        job: input and output.
        rewards: the specification; the caller closes it.
        progress: shows how far it is.

    Raises:
        InputError: there are no traces.
        UsageError: the output cannot be written.
        EngineUnusableError: a judge is asked, and its engine can answer nothing.
    """
    job.check()
    started = time.monotonic()
    tally, encoder = ScoreTally(rewards), msgspec.json.Encoder()
    with (
        RowReader(job.source, strict=job.strict) as rows,
        Output(job.out, job.out, _NoneHeld(), 0) as output,
    ):
        intake = Intake(
            rows, read_trace, output.rejects, progress, limit=job.limit, strict=job.strict
        )
        traces = output.while_read(intake.items())
        async with aclosing(scored(traces, rewards, job.window)) as stream:
            async for trace in stream:
                if output.write is not None:
                    output.write(tally.traces, encoder.encode(trace))
                tally.add(trace)
                progress.advance(_status(trace), Usage())
        _check_any(job, intake)
    summary = tally.summary()
    summary.rejected, summary.out = intake.rejected, job.out
    summary.rejects = str(intake.rejects.path) if intake.rejected and intake.rejects.path else None
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


def _check_any(job: ScoreJob, intake: Intake[Trace]) -> None:
    if not intake.taken:
        raise InputError(
            f"{job.source}: no row is a trace; {intake.rejected} rejected, the first: "
            f"{intake.rejects.first}"
        )


def _status(trace: Trace) -> str:
    """Return how the progress display counts a trace."""
    total = (trace.rewards or {})[TOTAL]
    if total.cause is None:
        return "ok"
    return "failed" if total.cause.broken else "abstained"
