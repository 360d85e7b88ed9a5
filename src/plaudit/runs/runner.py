"""A run: rows in, one verdict a sample out, in order, whatever happens on the way."""

import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from plaudit.aio import for_each
from plaudit.engines.base import Engine
from plaudit.engines.pool import Attempt, Pool, SendPolicy
from plaudit.errors import InputError
from plaudit.judges.base import JudgeConfig, Task
from plaudit.judges.load import bind
from plaudit.runs.asking import Asker, CachePolicy, Question, SampleAsk
from plaudit.runs.judging import Judging
from plaudit.runs.progress import Progress
from plaudit.runs.sinks import OrderedWriter, RejectWriter, check_output, rejected_path
from plaudit.runs.sources import Row, RowReader
from plaudit.runs.store import Store
from plaudit.types import Sample, Verdict


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads and writes. Plain data; with judge and engine it identifies the run."""

    source: str
    """Path of the input, or `-`."""
    out: str | None = None
    """Path of the verdicts, `-` for standard output, or None: they are only stored."""
    limit: int | None = None
    """Most samples that are judged."""
    strict: bool = False
    """Whether the first malformed row ends the run."""
    raw: bool = False
    input: bool = True


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to do a run again, or to show it."""

    judge: JudgeConfig
    engine: str
    options: RunOptions


class StoredVerdict(msgspec.Struct, frozen=True, array_like=True):
    """A verdict in the store: without what input and replies hold, with the keys of the replies.

    The replies themselves are part of it only where they are not kept by their keys.
    """

    verdict: Verdict
    keys: list[bytes]
    attempts: list[Attempt] = []
    """Requests that were sent in vain; not every reply that came."""


class Summary(msgspec.Struct, kw_only=True):
    """What a run did. Counts are of samples."""

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
    seconds: float = 0.0
    mean_reward: float | None = None
    """Over the `ok` samples; None where there are none."""
    values: dict[str, dict[str, int]] = {}
    """Counts by value and status; a verdict without a value counts under `-`, a raw score under the
    nearest whole number, as `~3`."""
    causes: dict[str, int] = {}
    """Counts by cause of what is not `ok`."""
    labelled: int = 0
    """`ok` samples whose row has a `label`; without those whose value is a raw score."""
    agree: int = 0
    """Those whose value equals it."""
    mean_votes: float | msgspec.UnsetType = msgspec.UNSET
    """Votes a sample, over the samples that were voted on; only there with votes."""
    out: str | None = None
    rejects: str | None = None
    notes: list[str] = []
    """What the engine refused and was given up, and which shots were withheld."""

    @property
    def exit_status(self) -> int:
        """0, or 1 where rows were rejected or samples failed or are invalid."""
        return 1 if self.rejected or self.failed or self.invalid else 0


_REWARD_UNIT = 2**40
"""Rewards are summed as whole multiples of its inverse, so that order cannot change the sum."""


class _Tally:
    """Counts as verdicts come in; the same for every order of arrival."""

    def __init__(self) -> None:
        self.values: Counter[tuple[str, str]] = Counter()
        self.causes: Counter[str] = Counter()
        self.rewards = 0
        self.cached = self.labelled = self.agree = 0
        self.votes = self.voted = 0

    def add(self, verdict: Verdict, asked: SampleAsk) -> None:
        value = _counted_as(verdict)
        self.values[value, verdict.status] += 1
        self.cached += asked.from_store
        if "votes" in verdict.fields:
            self.votes += verdict.fields["votes"]
            self.voted += 1
        if verdict.error is not None:
            self.causes[verdict.error.cause] += 1
        if verdict.reward is not None:
            self.rewards += round(verdict.reward * _REWARD_UNIT)
        label = verdict.metadata.get("label")
        comparable = label is not None and not isinstance(verdict.value, float)
        if verdict.status == "ok" and comparable:
            self.labelled += 1
            self.agree += str(label) == value

    def fill(self, summary: Summary) -> None:
        for (value, status), count in sorted(self.values.items()):
            summary.values.setdefault(value, {})[status] = count
            setattr(summary, status, getattr(summary, status) + count)
        if summary.ok:
            summary.mean_reward = round(self.rewards / _REWARD_UNIT / summary.ok, 9)
        if self.voted:
            summary.mean_votes = round(self.votes / self.voted, 3)
        summary.causes = dict(sorted(self.causes.items()))
        summary.samples = self.values.total()
        summary.cached, summary.labelled, summary.agree = self.cached, self.labelled, self.agree


def _counted_as(verdict: Verdict) -> str:
    """Return what a verdict's value is counted as; raw scores by the nearest whole number."""
    if isinstance(verdict.value, float):
        return f"~{round(verdict.value)}"
    return "-" if verdict.value is None else str(verdict.value)


def run_identity(record: RunRecord, fingerprint: str) -> bytes:
    """Return the 16 bytes by which the same command finds its unfinished run."""
    data = msgspec.json.encode([record, fingerprint])
    return hashlib.blake2b(data, digest_size=16).digest()


Watch = Callable[[Verdict, SampleAsk], None]
"""Told of every verdict and of what was asked for it, in order of arrival."""


class Runner:
    """Runs judges over files, with one store and one way of sending."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        policy: SendPolicy,
        cache: CachePolicy,
        watch: Watch | None = None,
    ) -> None:
        """Put a runner together; nothing is read, asked or written yet."""
        self.store = store
        self.progress = progress
        self.policy = policy
        self.cache = cache
        self.watch = watch

    async def run(self, record: RunRecord, engine: Engine, out: str | None = None) -> Summary:
        """Judge a file. What can be refused is refused before the engine is contacted.

        Args:
            record: judge, engine URI, input and output; identifies the run.
            engine: the engine of that URI.
            out: where verdicts go when the record names no output.

        Raises:
            UsageError: input, output, judge or engine do not go together.
            EngineUnusableError: the engine can answer nothing; the output is untouched.
            StoreError: store or output cannot be written; the output is untouched.
        """
        options = record.options
        out = options.out if options.out is not None else out
        if out is not None:
            check_output(out)
        with RowReader(options.source, strict=options.strict) as rows:
            task = await bind(record.judge, engine)
            return await _Run(self, task, record).execute(rows, engine, out)


class _Run:
    """One run on its way."""

    def __init__(self, runner: Runner, task: Task, record: RunRecord) -> None:
        self._runner = runner
        self._task = task
        self._record = record
        self._encoder = msgspec.json.Encoder()
        self._packer = msgspec.msgpack.Encoder()
        self._tally = _Tally()
        self._rejected = 0
        self._number = 0
        self._keeps_replies = False

    async def execute(self, rows: RowReader, engine: Engine, out: str | None) -> Summary:
        started = time.monotonic()
        runner, cache = self._runner, self._runner.cache
        info = runner.store.begin_run(
            run_identity(self._record, self._task.fingerprint),
            self._task.kind,
            self._encoder.encode(self._record),
        )
        self._number = info.number
        pool = Pool(engine, runner.policy)
        keep = self._keeps_replies = cache.write and engine.capabilities.cacheable
        asker = Asker(pool, self._task.identity, runner.store if keep else None, cache)
        task = self._task
        summary = Summary(
            run=info.name, judge=task.judge_name, readout=task.readout, mode=task.mode, out=out
        )
        state = "interrupted"
        try:
            await self._judge_all(rows, out, Judging(self._task, asker))
            state = "finished"
        finally:
            self._fill(summary, asker)
            summary.seconds = round(time.monotonic() - started, 3)
            runner.store.end_run(info.number, state, self._encoder.encode(summary))
            await engine.close()
        return summary

    def _fill(self, summary: Summary, asker: Asker) -> None:
        refused: int = getattr(asker.pool.engine, "refused", 0)  # sent again without a feature
        summary.notes = [f"the endpoint {n}" for n in getattr(asker.pool.engine, "notes", ())]
        summary.notes += self._task.notes
        summary.engine_calls = asker.pool.sent + refused
        summary.input_tokens = asker.usage.input_tokens
        summary.output_tokens = asker.usage.output_tokens
        summary.rejected = self._rejected
        rejects = rejected_path(self._record.options.out) if self._rejected else None
        summary.rejects = str(rejects) if rejects else None
        self._tally.fill(summary)

    async def _judge_all(self, rows: RowReader, out: str | None, judging: Judging) -> None:
        writer = None if out is None else OrderedWriter(out, self._runner.store, self._number)
        rejects = RejectWriter(self._record.options.out)

        async def judge(question: Question) -> None:
            verdict, asked = await judging.judge(question)
            self._keep(verdict, asked)
            if writer is not None:
                writer.write(verdict.index, self._line(verdict))

        try:
            samples = self._samples(rows, rejects)
            if writer is not None and writer.direct:
                samples = itertools.takewhile(lambda _: not writer.broken, samples)
            await for_each(judge, judging.questions(samples), judging.asker.pool.window)
            if writer is not None:
                writer.commit()
            rejects.commit()
        except BaseException:
            if writer is not None:
                writer.abort()
            rejects.abort()
            raise

    def _keep(self, verdict: Verdict, asked: SampleAsk) -> None:
        self._tally.add(verdict, asked)
        self._runner.progress.advance(verdict.status, verdict.usage)
        if self._runner.watch is not None:
            self._runner.watch(verdict, asked)
        raw = msgspec.UNSET if self._keeps_replies else verdict.raw
        lean = msgspec.structs.replace(verdict, input=msgspec.UNSET, raw=raw, metadata={})
        payload = self._packer.encode(StoredVerdict(lean, asked.keys, asked.failed))
        self._runner.store.put_verdict(self._number, verdict.index, verdict.status, payload)

    def _line(self, verdict: Verdict) -> bytes:
        options = self._record.options
        changes: dict[str, Any] = {}
        if not options.raw:
            changes["raw"] = msgspec.UNSET
        if not options.input:
            changes["input"] = msgspec.UNSET
        if changes:
            verdict = msgspec.structs.replace(verdict, **changes)
        return self._encoder.encode(verdict)

    def _samples(self, rows: RowReader, rejects: RejectWriter) -> Iterator[Sample]:
        index, limit = 0, self._record.options.limit
        for row in rows:
            for sample in self._take(row, index, rejects):
                if limit is not None and index >= limit:
                    return
                index += 1
                self._runner.progress.reached(rows.bytes_read, index)
                yield sample
        if index == 0:
            raise InputError(
                f"{self._record.options.source}: no row can be judged by the {self._task.kind} "
                f"judge; {self._rejected} rejected, the first: {rejects.first}"
            )

    def _take(self, row: Row, index: int, rejects: RejectWriter) -> list[Sample]:
        error = row.error
        if row.data is not None:
            try:
                return self._task.read_row(row.data, index)
            except InputError as wrong:
                error = str(wrong)
        if self._record.options.strict:
            raise InputError(f"{row.where}: {error}")
        self._rejected += 1
        rejects.write(row, str(error))
        return []
