"""A run of a judge over a file: rows in, one verdict a sample out, in order."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from plaudit.engines.base import Engine
from plaudit.errors import InputError
from plaudit.io.output import Output
from plaudit.io.places import check_output
from plaudit.io.sources import Intake, RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind
from plaudit.judges.panel import PanelJudge, bind_panel
from plaudit.runs.batches import Batches
from plaudit.runs.block import AnySession, judge_rows, panel_judging, pools_of
from plaudit.runs.cached import CachedClient
from plaudit.runs.judging import Asked, Judged, JudgeSession
from plaudit.runs.processes.crew import Crew
from plaudit.runs.processes.messages import WorkerReport
from plaudit.runs.record import Bill, JudgeOptions, JudgeRecord, Run, RunSettings
from plaudit.runs.summary import JudgeSummary, JudgeTally
from plaudit.sending.budget import Attempt
from plaudit.sending.pool import Pool, PoolShare, SendPolicy
from plaudit.store.base import RunStore
from plaudit.types import Sample, Verdict

WriteLines = Callable[[Iterable[tuple[int, bytes]]], None]
"""Writes output lines, each with its index."""
Watch = Callable[[Verdict, Asked], object]
"""Called with each verdict and what was asked for it."""


class StoredVerdict(msgspec.Struct, frozen=True, array_like=True):
    """A verdict in the store: without what input and replies hold, with the keys of the replies.

    The replies themselves are part of it only where they are not kept by their keys.
    """

    verdict: Verdict
    keys: Sequence[bytes]
    attempts: Sequence[Attempt] = ()
    """Requests that brought no reply; not every reply that came."""


def stored_verdicts(judged: Sequence[Judged], *, raw: bool) -> list[tuple[int, str, bytes]]:
    """Return verdicts as a store takes them: index, status, and the rest of it as bytes.

    Args:
        judged: verdicts, and what was asked for each.
        raw: whether the replies are kept with them.
    """
    encode, found = msgspec.msgpack.Encoder().encode, list[tuple[int, str, bytes]]()
    for verdict, asked in judged:
        replies = verdict.raw if raw else UNSET
        lean = replace(verdict, input=UNSET, raw=replies, metadata={})
        payload = encode(StoredVerdict(lean, asked.keys, asked.failed))
        found.append((verdict.index, verdict.status, payload))
    return found


class Lines:
    """Encodes verdicts as lines of an output."""

    def __init__(self, options: JudgeOptions) -> None:
        """Take what is left out of a line."""
        shown = {"raw": options.raw, "input": options.input}
        self._left_out = {name: UNSET for name, wanted in shown.items() if not wanted}
        self._encode = msgspec.json.Encoder().encode

    def of(self, judged: Sequence[Judged]) -> list[tuple[int, bytes]]:
        """Return index and line of each verdict."""
        encode, left_out = self._encode, self._left_out
        return [
            (verdict.index, encode(replace(verdict, **left_out) if left_out else verdict))
            for verdict, _ in judged
        ]


class _Settled(msgspec.Struct):
    """What a run takes over from the record of an earlier one."""

    without_logprobs: tuple[str, ...] = ()


def known_without_logprobs(store: RunStore, identity: bytes) -> tuple[str, ...]:
    """Return the engines that an earlier run of the same command found to send none."""
    earlier = store.last_run(identity)
    if earlier is None:
        return ()
    return msgspec.json.decode(earlier.config, type=_Settled).without_logprobs


async def bind_record(
    record: JudgeRecord,
    engine: Engine | Sequence[Engine],
    without_logprobs: Collection[str] = (),
) -> BaseJudge | PanelJudge:
    """Make the task of a run.

    Args:
        record: its judge, or its panel.
        engine: the engine; for a panel, one a member.
        without_logprobs: URIs of engines whose open readouts are json.

    Raises:
        UsageError: an engine cannot do what is asked for.
        EngineUnusableError: a model cannot be found out.
    """

    def settled(config: JudgeConfig, one: Engine) -> JudgeConfig:
        open_ = config.readout == "auto" and one.uri in without_logprobs
        return replace(config, readout="json") if open_ else config

    if record.panel is None:
        single = cast("Engine", engine)
        return await bind(settled(record.judge, single), single)
    engines = cast("Sequence[Engine]", engine)
    members = tuple(
        replace(member, judge=settled(member.judge, one))
        for member, one in zip(record.panel.members, engines, strict=True)
    )
    return await bind_panel(replace(record.panel, members=members), engines)


async def bind_settled(
    record: JudgeRecord, engine: Engine | Sequence[Engine], store: RunStore
) -> BaseJudge | PanelJudge:
    """Make the task of a run, in the readouts that an earlier run of the command settled on.

    Raises:
        UsageError: an engine cannot do what is asked for.
        EngineUnusableError: a model cannot be found out.
    """
    task = await bind_record(record, engine)
    known = known_without_logprobs(store, record.identity(task.fingerprint))
    return await bind_record(record, engine, known) if known else task


async def run_judge(
    settings: RunSettings,
    record: JudgeRecord,
    engine: Engine | Sequence[Engine],
    out: str | None = None,
    watch: Watch | None = None,
    batches: Batches | None = None,
    crew: Crew | None = None,
) -> JudgeSummary:
    """Judge a file. What can be refused is refused before the engine is contacted.

    Args:
        settings: what the run works with.
        record: judge, engine URI, input and output; identifies the run.
        engine: the engine of that URI; for a panel, one a member.
        out: where verdicts go when the record names no output.
        watch: called with every verdict.
        batches: what asks the engines in batches; None: all is asked live.
        crew: worker processes that judge; None: this process does.

    Raises:
        UsageError: input, output, judge or engine do not go together.
        EngineUnusableError: the engine can answer nothing; the output is untouched.
        StoreError: store or output cannot be written; the output is untouched.
    """
    options = record.options
    out = options.out if options.out is not None else out
    if out is not None:
        named = (options.source, record.engine, record.judge, record.panel)
        check_output(out, map(msgspec.to_builtins, named))
    with RowReader(options.source, strict=options.strict) as rows:
        make = Pool if batches is None else batches.pool
        session = session_of(settings, await bind_record(record, engine), engine, make)
        identity = record.identity(session.task.fingerprint)
        try:
            if settings.cache.read:  # What an earlier run found out about log-probabilities.
                known = known_without_logprobs(settings.store, identity)
                await session.settle(known)
                record = replace(record, without_logprobs=known)
            run = _JudgeRun(settings, record, session, watch)
            run.batches, run.crew = batches, crew
            if batches is not None:
                run.ahead = session_of(settings, session.task, engine, make)
            return await run.execute(rows, identity, out)
        finally:
            await session.close()


def session_of(
    settings: RunSettings,
    task: BaseJudge | PanelJudge,
    engine: Engine | Sequence[Engine],
    make: Callable[[Engine, SendPolicy], Pool] = Pool,
) -> AnySession:
    """Put a task to work with the store of a run; nothing is contacted.

    Args:
        settings: what the run works with.
        task: the judge or the panel.
        engine: its engine; for a panel, one a member.
        make: makes the pool of an engine, such as one that asks in batches.
    """

    def client(pool: Pool | PoolShare, task: BaseJudge) -> CachedClient:
        keep = settings.cache.write and pool.engine.capabilities.cacheable
        return CachedClient(pool, task.identity, settings.store if keep else None, settings.cache)

    if isinstance(task, PanelJudge):
        pools = pools_of(cast("Sequence[Engine]", engine), settings.send, make)
        return panel_judging(task, pools, client)
    return JudgeSession(task, client(make(cast("Engine", engine), settings.send), task))


class _JudgeRun(Run[JudgeRecord, JudgeSummary]):
    """One run on its way."""

    batches: Batches | None = None
    crew: Crew | None = None
    ahead: AnySession | None = None
    """Judges the samples before, so that batches answer what they need."""

    def __init__(
        self, settings: RunSettings, record: JudgeRecord, session: AnySession, watch: Watch | None
    ) -> None:
        super().__init__(settings, record, record.options.out)
        self.kind = session.task.kind
        self._session = session
        self._watch = watch
        self._task = session.task
        self._encoder = msgspec.json.Encoder()
        self._tally = JudgeTally()
        self._keeps_replies = session.keeps_replies
        self._lines = Lines(record.options)

    async def work(self, rows: RowReader, out: str | None) -> None:
        options, settings = self.record.options, self.settings
        if self.batches is not None and self.ahead is not None:
            progress, work = settings.progress, f"{self.kind} of {options.source}"
            await self.batches.answer(self.ahead, self._samples_ahead, progress, work)
        with Output(out, options.out, settings.store, self.number) as output:
            self.intake = Intake(
                rows, self._task.read_row, output.rejects, settings.progress,
                limit=options.limit, strict=options.strict,
            )  # fmt: skip
            samples = output.while_read(self.intake.items())
            if self.crew is None:
                await self._judge(samples, output.write_all)
            else:
                await self._judge_by(self.crew, samples, output.write_all)
            if not self.intake.taken:
                raise InputError(
                    f"{options.source}: no row can be judged by the {self._task.kind} judge; "
                    f"{self.intake.rejected} rejected, the first: {self.intake.rejects.first}"
                )

    async def _judge(self, samples: Iterator[Sample], write: WriteLines | None) -> None:
        def take(judged: Sequence[Judged]) -> None:
            self._keep(judged)
            if write is not None:
                write(self._lines.of(judged))

        await judge_rows(self._session, samples, take, progress=self.settings.progress)

    async def _judge_by(
        self, crew: Crew, samples: Iterator[Sample], write: WriteLines | None
    ) -> None:
        progress, store = self.settings.progress, self.settings.store

        def take(report: WorkerReport) -> None:
            self._note_readouts(report.without_logprobs)
            self._tally.take(report.counts)
            progress.count(report.counts.statuses, report.usage)
            store.put_verdicts(self.number, report.stored)
            if write is not None:
                write(report.lines)

        progress.watch(crew)
        try:
            await crew.judge(self.record, samples, take)
        finally:
            session = cast("JudgeSession", self._session)
            await session.settle(self.record.without_logprobs, warn=False)

    def _note_readouts(self, more: Sequence[str] = ()) -> None:
        """Keep which engines send no log-probabilities, for those who give the command again."""
        known = self.record.without_logprobs
        found = tuple(dict.fromkeys([*known, *self._session.without_logprobs, *more]))
        if found != known:
            self.record = replace(self.record, without_logprobs=found)
            self.settings.store.note_run(self.number, self._encoder.encode(self.record))

    def bill(self) -> Bill:
        self._note_readouts()
        prices = self.settings.prices
        if self.crew is not None:
            return self.crew.bill(cast("JudgeSession", self._session), prices)
        bill = self._session.bill(prices)
        return bill if self.batches is None else self.batches.added(bill, prices)

    def summary(self, bill: Bill, found: dict[str, Any]) -> JudgeSummary:
        session, task = self._session, self._session.task
        summary = JudgeSummary(
            judge=task.judge_name,
            readout=task.readout,
            mode="none" if task.readout == "none" else task.mode,
            input_tokens=bill.usage.input_tokens,
            output_tokens=bill.usage.output_tokens,
            panel=(
                UNSET
                if isinstance(session, JudgeSession)
                else session.summary(self.settings.prices)
            ),
            **found,
            **self.counted(bill),
        )
        summary.notes += [
            f"{uri} sends no log-probabilities: the json readout was used"
            for uri in self.record.without_logprobs
        ]
        self._tally.fill(summary)
        summary.batch = bill.batch
        if self.batches is not None:
            summary.cached = self.batches.cached
        return summary

    def _keep(self, judged: Sequence[Judged]) -> None:
        if not self._tally.values:  # The first verdict: all that it depends on is settled.
            self._note_readouts()
        self._tally.add(judged)
        if self._watch is not None:
            for verdict, asked in judged:
                self._watch(verdict, asked)
        stored = stored_verdicts(judged, raw=not self._keeps_replies)
        self.settings.store.put_verdicts(self.number, stored)

    def _samples_ahead(self) -> Iterator[Sample]:
        """Read the input once more; malformed rows are left to the pass that makes verdicts."""
        options = self.record.options
        with RowReader(options.source, strict=options.strict) as rows:
            yield from Intake(rows, self._task.read_row, limit=options.limit).items()
