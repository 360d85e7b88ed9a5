"""Scoring a file of traces: streamed, in order, nothing rolled out again."""

import time
from collections.abc import Generator
from contextlib import aclosing

import msgspec

from plaudit.errors import InputError
from plaudit.io.output import Intake, Output
from plaudit.io.places import check_lines_output
from plaudit.io.progress import Progress
from plaudit.io.sources import RowReader
from plaudit.rollouts.rewards.composite import TOTAL, Composite
from plaudit.rollouts.rewards.scoring import WINDOW, scored
from plaudit.rollouts.rewards.tally import ScoreSummary, Tally
from plaudit.rollouts.trace import Trace
from plaudit.rollouts.traces import read_trace
from plaudit.types import Usage


class _NoneHeld:
    """Where lines would wait; scored traces come in order, so none does."""

    def hold(self, run: int, index: int, line: bytes) -> None:
        raise RuntimeError(f"line {index} came out of order")

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        yield from ()


class ScoreJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces are scored, and where they go."""

    source: str
    out: str | None = None
    """A JSON Lines file, `-`, or None: the scores are summed up only."""
    limit: int | None = None
    """Most traces."""
    strict: bool = False
    """Whether the first row that is no trace ends it."""
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
        progress: told how far it is.

    Raises:
        InputError: there are no traces.
        UsageError: the output cannot be written.
        EngineUnusableError: a judge is asked, and its engine can answer nothing.
    """
    job.check()
    started = time.monotonic()
    tally, encoder = Tally(rewards), msgspec.json.Encoder()
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
