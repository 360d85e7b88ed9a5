"""Scoring many traces, in order: a list, a stream, or a file."""

import time
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from contextlib import aclosing
from typing import Annotated

import msgspec

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
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.spec import Spec, load_rewards
from plaudit.rollouts.rewards.tally import ScoreSummary, ScoreTally, status_of
from plaudit.rollouts.trace import Trace
from plaudit.rollouts.traces import read_trace
from plaudit.sending.pool import SendPolicy
from plaudit.types import Usage

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
                progress.advance(status_of(trace), Usage())
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
