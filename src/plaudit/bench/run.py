"""A bench at work: each judge is a run over the rows of a set, and its verdicts become figures.

Runs are runs: their replies are kept, a stopped one goes on, and a repeated one asks nothing.
"""

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from plaudit._util import disk
from plaudit._util.packages import load_package
from plaudit.bench.arm_results import OUTCOMES, arm_results
from plaudit.bench.arms import Arm
from plaudit.bench.card import card_of
from plaudit.bench.figures import paired_differences
from plaudit.bench.job import BenchJob
from plaudit.bench.outcome_lines import write_outcomes
from plaudit.bench.outcomes import RowOutcome, outcomes_of_file
from plaudit.bench.results import RESULTS, ArmResults, BenchResults, Spending
from plaudit.bench.scored_pairs import outcomes_of_pairs
from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.io.partial import PartialFolder
from plaudit.io.places import check_folder_output, check_not_read
from plaudit.io.progress import Progress
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.judging import Asked
from plaudit.runs.record import JudgeOptions, JudgeRecord, RunSettings
from plaudit.runs.runner import bind_settled, run_judge
from plaudit.runs.summary import JudgeSummary
from plaudit.sending.prices import cost
from plaudit.types import Json, Usage, Verdict


async def run_bench(
    settings: RunSettings,
    job: BenchJob,
    arms: Sequence[Arm],
    watch: Callable[[str], Progress],
    folder: PartialFolder | None = None,
) -> BenchResults:
    """Measure judges, one after the other.

    Args:
        settings: what the runs work with; the progress is replaced for each.
        job: what they are measured on.
        arms: the judges, the baseline first.
        watch: makes the progress of an arm, of its name.
        folder: gets a file of judgements for each arm.

    Raises:
        UsageError: a judge and the set, or a judge and its engine, do not go together.
        EngineUnusableError: an engine can answer nothing.
        StoreError: the store or the folder cannot be written.
    """
    results: list[ArmResults] = []
    outcomes: dict[str, Sequence[RowOutcome]] = {}
    for number, arm in enumerate(arms, 1):
        with watch(arm.name) as progress:
            own = msgspec.structs.replace(settings, progress=progress)
            run = _ArmRun(own, job, arm)
            name = f"{OUTCOMES}{number}.jsonl" if folder is not None else None
            opened = nullcontext() if name is None or folder is None else folder.open(name)
            with opened as file:
                outcomes[arm.name] = await run.judge(file)
        result = await run.results(outcomes[arm.name])
        results.append(msgspec.structs.replace(result, outcomes=name))
    return BenchResults(
        plaudit=version("plaudit"),
        set=job.set,
        rejected=job.rows.rejected,
        arms=results,
        differences=paired_differences(outcomes, seed=job.seed) if arms[1:] else [],
        notes=job.notes,
    )


def exit_status(found: BenchResults) -> int:
    """Return 0, or 1 where rows were rejected, a judgement is missing, or there is no score."""
    counts = [arm.overall.counts for arm in found.arms]
    missing = any(one.failed or one.invalid for one in counts)
    unscored = any(arm.score.value is None for arm in found.arms)
    return 1 if found.rejected or missing or unscored else 0


def check_statistics() -> None:
    """Refuse to begin where figures could not be computed at the end.

    Raises:
        MissingDependencyError: a package is not installed.
    """
    load_package("numpy", "stats")
    load_package("scipy", "stats")


@contextmanager
def results_folder(out: str, inputs: Iterable[Json]) -> Generator[PartialFolder]:
    """Give a folder that takes the place of `out` at the end, unless something went wrong.

    Files of an earlier bench are replaced, and others, such as a report, are taken over.

    Args:
        out: a new folder, an empty one, or one of results.
        inputs: what the command reads; see `check_not_read`.

    Raises:
        UsageError: it cannot be made, or holds what plaudit has not written.
        StoreError: it cannot be written.
    """
    path = check_folder_output(out)
    if path.is_dir() and any(path.iterdir()) and not (path / RESULTS).is_file():
        raise UsageError(f"{out} is a folder without results: give -o the name of a new one")
    check_not_read(out, inputs)
    try:
        folder = PartialFolder(path)
        try:
            yield folder
            folder.take_over(lambda name: name == RESULTS or name.startswith(OUTCOMES))
            folder.commit()
        finally:
            folder.abort()
    except OSError as error:
        raise disk.output_error(out, error) from error


class _ArmRun:
    """One judge on its way through the rows."""

    def __init__(self, settings: RunSettings, job: BenchJob, arm: Arm) -> None:
        self._settings = settings
        self._job = job
        self._arm = arm
        self._usage = Usage()
        self._summary = JudgeSummary()
        options = JudgeOptions(source=str(job.rows.path))
        self._record = JudgeRecord(
            judge=arm.config, engine=arm.uri, options=options, panel=arm.panel
        )

    async def judge(self, file: BinaryIO | None) -> Sequence[RowOutcome]:
        """Judge all rows; write a line for each into a file, and return the outcomes."""
        with tempfile.TemporaryDirectory(prefix="plaudit-") as folder:
            out = str(Path(folder) / "verdicts.jsonl")
            self._summary = await run_judge(
                self._settings, self._record, self._arm.engine, out, self._count
            )
            found = self._outcomes(out)
            return list(found if file is None else write_outcomes(found, file))

    def _outcomes(self, path: str) -> Iterator[RowOutcome]:
        if self._job.split:
            return outcomes_of_pairs(_verdicts(path))
        return outcomes_of_file(path, self._job.kind)

    def _count(self, verdict: Verdict, asked: Asked) -> None:
        del asked
        self._usage += verdict.usage

    async def results(self, outcomes: Sequence[RowOutcome]) -> ArmResults:
        """Return the figures of the outcomes."""
        job, summary, engine = self._job, self._summary, self._arm.engine
        task = await bind_settled(self._record, engine, self._settings.store)
        return arm_results(
            job.set.name,
            card_of(task, engine, self._arm.name),
            outcomes,
            subsets=job.rows.subsets,
            seed=job.seed,
            notes=summary.notes,
            spending=self._spending(task, len(outcomes)),
            run=summary.run,
        )

    def _spending(self, task: BaseJudge | PanelJudge, samples: int) -> Spending:
        summary, usage = self._summary, self._usage
        timed = summary.engine_calls or task.readout == "none"
        return Spending(
            samples=samples,
            engine_calls=summary.engine_calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=self._cost(task),
            seconds=summary.seconds if timed else None,
            cached=summary.cached,
        )

    def _cost(self, task: BaseJudge | PanelJudge) -> float | None:
        """Return what all replies cost, also those from the store; None: not known."""
        if isinstance(task, PanelJudge):
            return None if self._summary.cached else self._summary.cost_usd
        engine = cast("Engine", self._arm.engine)
        return cost(self._settings.prices.of(engine, task.identity), self._usage)


def _verdicts(path: str) -> Iterator[Verdict]:
    decoder = msgspec.json.Decoder(Verdict)
    with open(path, "rb") as lines:
        yield from map(decoder.decode, lines)
