"""An audit on its way: a base of items in, effects and attacks of one judge out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from msgspec.structs import replace

from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE_32, Range
from plaudit.bench.audit.effects import (
    Audited,
    SeenVerdict,
    measure_plan,
    noise_effect,
    reward_scale,
    see,
)
from plaudit.bench.audit.items import (
    ITEMS,
    AuditBase,
    check_kind,
    shipped_base,
)
from plaudit.bench.audit.noise import Repeat, repeat_judges
from plaudit.bench.audit.own import read_base
from plaudit.bench.audit.plan import AuditChoice, AuditPlan, make_plan
from plaudit.bench.card import card_of
from plaudit.bench.prepared import prepare
from plaudit.bench.results import AuditEffect, AuditResults, Spending
from plaudit.bench.run import check_statistics
from plaudit.engines.base import Engine, engine_info
from plaudit.io.partial import PartialFolder
from plaudit.io.sources import RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.block import AnySession, judge_rows
from plaudit.runs.judging import Judged
from plaudit.runs.plan import Plan, plan_samples
from plaudit.runs.record import Bill, JudgeRecord, RunSettings
from plaudit.runs.runner import (
    bind_record,
    known_without_logprobs,
    session_of,
    stored_verdicts,
)
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from plaudit.types import Sample, Verdict

AnyTask = BaseJudge | PanelJudge
AnyEngine = Engine | Sequence[Engine]

VERDICTS = "outcomes-1.jsonl"
"""File of the verdicts in the folder of an audit, in the order of its rows."""


class AuditOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit is of. Plain data; with judge and engine it identifies the run."""

    labels: str = ""
    """Path of labelled rows; empty: the shipped base."""
    source: str = ""
    """Path of the rows that are judged; empty: they are not written yet."""
    out: Annotated[
        str | None,
        Help("Write `results.json` and `outcomes-1.jsonl` here.", "Output", "DIR", ("--out", "-o")),
    ] = None
    items: Annotated[
        int, Range(1, WHOLE_32), Help("Items of the base; fewer find less.", "Input", "N")
    ] = ITEMS
    only: Annotated[
        list[str] | None,
        Help(
            "Test this alone: a name, `bias`, `noise`, `attacks`, or a pattern such as "
            "`forged_*`; may be repeated.",
            "Input",
            "NAME",
        ),
    ] = None
    skip: Annotated[list[str] | None, Help("Leave this out; as for --only.", "Input", "NAME")] = (
        None
    )
    seed: int = 0
    """Of the items that are drawn, of what is changed, and of the places."""

    @property
    def choice(self) -> AuditChoice:
        """Which tests are wanted."""
        return AuditChoice(tuple(self.only or ()), tuple(self.skip or ()))


class AuditRecord(JudgeRecord, frozen=True, kw_only=True, omit_defaults=True):
    """An audit of one judge."""

    options: AuditOptions  # pyright: ignore[reportIncompatibleVariableOverride]


class AuditDone(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit came to: its results, and how its verdicts ended."""

    results: AuditResults
    samples: int = 0
    ok: int = 0
    abstained: int = 0
    invalid: int = 0
    failed: int = 0
    rejected: int = 0
    """Rows of the user's base that became no item."""

    @property
    def coverage(self) -> float:
        """Share of all verdicts that are `ok`, in 0..1."""
        return self.ok / self.samples if self.samples else 0.0

    @property
    def exit_status(self) -> int:
        """1 where a threshold was passed, verdicts or rows are missing, or nothing was judged."""
        breached = self.results.breaches
        return int(bool(breached or self.failed or self.rejected or not self.ok))


def load_base(options: AuditOptions, kind: str) -> AuditBase:
    """Return the items of an audit.

    Args:
        options: of the audit.
        kind: of the judge; empty: as the rows say, `pairwise` for the shipped base.

    Raises:
        UsageError: judges of the kind cannot be audited.
        InputError: the source has no item.
    """
    if kind:
        check_kind(kind)
    if not options.labels:
        return shipped_base(kind or "pairwise", options.items, options.seed)
    with RowReader(options.labels) as rows:
        return read_base(rows, options.labels, kind, options.items, options.seed)


class PreparedAudit(msgspec.Struct, frozen=True, kw_only=True):
    """An audit before anything is asked."""

    record: AuditRecord
    engine: Any
    """The engine; of a panel, one a member."""
    base: AuditBase
    plan: AuditPlan

    def written(self, folder: Path, task: AnyTask) -> "PreparedAudit":
        """Write the rows into a folder, so that the run can be shown, and name them in the record.

        Raises:
            StoreError: the folder cannot be written.
        """
        found = prepare(self.plan.rows, folder, "audit", task.read_row)
        options = replace(self.record.options, source=str(found.path))
        return replace(self, record=replace(self.record, options=options))

    def samples(self, task: AnyTask, rows: Sequence[int] | None = None) -> Iterator[Sample]:
        """Yield the samples of the plan's rows, or of some of them."""
        places = range(len(self.plan.rows)) if rows is None else rows
        for index, place in enumerate(places):
            yield from task.read_row(self.plan.rows[place], index)


def prepare_audit(
    record: AuditRecord, engine: AnyEngine, task: AnyTask, base: AuditBase
) -> PreparedAudit:
    """Cross the items with what is to be tested; nothing is asked."""
    check_statistics()
    engines = cast("Sequence[Engine]", engine if isinstance(engine, Sequence) else [engine])
    tokens = {token for one in engines for token in engine_info(one).special_tokens}
    plan = make_plan(
        base,
        record.options.choice,
        special_tokens=tuple(sorted(tokens)),
        orders=1 if isinstance(task, PanelJudge) else task.orders,
        unplaced=_unplaced(task),
        seed=record.options.seed,
    )
    return PreparedAudit(record=record, engine=engine, base=base, plan=plan)


def _unplaced(task: AnyTask) -> str:
    """Return why no position can be measured."""
    if task.kind != "pairwise":
        return f"not for {task.kind} judges"
    if isinstance(task, PanelJudge):
        return "a panel shows no single orders; its members are audited one by one"
    return "" if task.prompted else "a reward model scores each response alone"


async def plan_audit(
    settings: RunSettings, record: AuditRecord, engine: AnyEngine, base: AuditBase
) -> tuple[PreparedAudit, list[Plan]]:
    """Count what an audit would ask, noise included; nothing is asked.

    Returns:
        The audit, and for the judge and each judge that asks again what it would be asked.
    """
    task = await bind_record(record, engine)
    audit = prepare_audit(record, engine, task, base)
    store, prices = cast("Store", settings.store), settings.prices
    found = [await plan_samples(audit.samples(task), task, engine, store, settings.cache, prices)]
    repeats, skipped = repeat_judges(task, engine, record.options.choice.names)
    audit.plan.skipped.update(skipped)
    for other in (one for repeat in repeats.values() for one in repeat.tasks):
        samples = audit.samples(other, audit.plan.plain)
        found.append(await plan_samples(samples, other, engine, store, settings.cache, Prices()))
    return audit, found


async def run_audit(
    settings: RunSettings,
    record: AuditRecord,
    engine: AnyEngine,
    base: AuditBase,
    rows: Path,
    folder: PartialFolder | None = None,
) -> AuditDone:
    """Audit a judge. A kill at any time loses nothing: the same command goes on.

    Args:
        settings: what the run works with.
        record: judge, engine URI and options; identifies the run.
        engine: the engine of that URI; for a panel, one a member.
        base: the items.
        rows: the folder in which what is judged is written.
        folder: takes the verdicts; None: they are in the store only.

    Raises:
        UsageError: judge, engine and options do not go together.
        EngineUnusableError: the engine can answer nothing.
        StoreError: store or output cannot be written.
    """
    task = await bind_record(record, engine)
    audit = prepare_audit(record, engine, task, base).written(rows, task)
    session = session_of(settings, task, engine)
    try:
        return await _AuditRun(settings, audit, session, folder).execute()
    finally:
        await session.close()


class _AuditRun:
    """One audit on its way."""

    def __init__(
        self,
        settings: RunSettings,
        audit: PreparedAudit,
        session: AnySession,
        folder: PartialFolder | None,
    ) -> None:
        self._settings, self._audit, self._session = settings, audit, session
        self._folder = folder
        self._sessions = [session]
        self._statuses: Counter[str] = Counter()
        self._cached = 0
        self._seconds = 0.0

    async def execute(self) -> AuditDone:
        """Judge, measure, and keep the run in the store."""
        settings, record = self._settings, self._audit.record
        identity = record.identity(self._session.task.fingerprint)
        if settings.cache.read:
            await self._session.settle(known_without_logprobs(settings.store, identity))
        info = settings.store.begin_run(identity, "audit", msgspec.json.encode(record))
        state, summary = "interrupted", b"{}"
        try:
            done = await self._work(info.number, info.name)
            state, summary = "finished", msgspec.json.encode(done)
        finally:
            settings.store.end_run(info.number, state, summary)
        return done

    async def _work(self, number: int, name: str) -> AuditDone:
        audit = self._audit
        scale = reward_scale(self._session.task)
        verdicts = await self._judge(self._session, None, number)
        seen = [see(audit.plan.kind, verdict, scale) for verdict in verdicts]
        self._write(verdicts)
        measured = measure_plan(audit.plan, seen, scale)
        noise = await self._noise([seen[row] for row in audit.plan.plain])
        results = self._results(measured, noise, name)
        counts = {status: self._statuses[status] for status in _STATUSES}
        rejected = sum(audit.base.left_out.values())
        return AuditDone(
            results=results, samples=self._statuses.total(), rejected=rejected, **counts
        )

    async def _judge(
        self, session: AnySession, rows: Sequence[int] | None, number: int | None = None
    ) -> list[Verdict]:
        """Judge rows of the plan, in their order; those of the main judge are kept in the store."""
        found: dict[int, Verdict] = {}

        def take(judged: Sequence[Judged]) -> None:
            for verdict, asked in judged:
                found[verdict.index] = verdict
                self._statuses[verdict.status] += 1
                self._cached += asked.from_store
            if number is not None:
                self._settings.store.put_verdicts(number, stored_verdicts(judged, raw=False))

        samples = self._audit.samples(session.task, rows)
        await judge_rows(session, samples, take, progress=self._settings.progress)
        return [found[index] for index in sorted(found)]

    def _write(self, verdicts: Sequence[Verdict]) -> None:
        """Write the verdicts beside the results, where a folder is named."""
        if self._folder is None:
            return
        with self._folder.open(VERDICTS) as file:
            file.writelines(msgspec.json.encode(verdict) + b"\n" for verdict in verdicts)

    async def _noise(self, reference: Sequence[SeenVerdict]) -> list[AuditEffect]:
        task, record = self._session.task, self._audit.record
        names = record.options.choice.names
        repeats, skipped = repeat_judges(task, self._audit.engine, names)
        self._audit.plan.skipped.update(skipped)
        return [await self._repeat(n, one, reference) for n, one in repeats.items()]

    async def _repeat(
        self, name: str, repeat: Repeat, reference: Sequence[SeenVerdict]
    ) -> AuditEffect:
        plan = self._audit.plan
        again: list[Sequence[SeenVerdict]] = []
        for task in repeat.tasks:
            session = session_of(self._settings, task, self._audit.engine)
            self._sessions.append(session)
            verdicts = await self._judge(session, plan.plain)
            again.append([see(plan.kind, verdict, reward_scale(task)) for verdict in verdicts])
        if repeat.own_reference:
            reference, again = again[0], again[1:]
        clusters = [str(plan.rows[row]["id"]).partition(":")[0] for row in plan.plain]
        return noise_effect(name, reference, again, clusters)

    def _results(self, measured: Audited, noise: Sequence[AuditEffect], name: str) -> AuditResults:
        audit = self._audit
        bills = [session.bill(self._settings.prices) for session in self._sessions]
        return AuditResults(
            plaudit=version("plaudit"),
            judge=card_of(self._session.task, audit.engine),
            base=audit.base.source,
            items=len(audit.base.items),
            seed=audit.record.options.seed,
            effects=[*measured.effects, *noise],
            attacks=measured.attacks,
            spending=self._spending(bills),
            run=name,
            notes=[*_skip_notes(audit.plan), *_left_out(audit.base), *bills[0].notes],
        )

    def _spending(self, bills: Sequence[Bill]) -> Spending:
        costs = [bill.cost_usd for bill in bills]
        known = [cost for cost in costs if cost is not None]
        return Spending(
            samples=self._statuses.total(),
            engine_calls=sum(bill.engine_calls for bill in bills),
            input_tokens=sum(bill.usage.input_tokens for bill in bills),
            output_tokens=sum(bill.usage.output_tokens for bill in bills),
            cost_usd=sum(known) if len(known) == len(costs) else None,
            cached=self._cached,
        )


_STATUSES = ("ok", "abstained", "invalid", "failed")


def _skip_notes(plan: AuditPlan) -> list[str]:
    """Return what was skipped, by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in plan.skipped.items():
        by_reason.setdefault(why, []).append(name)
    return [f"skipped {', '.join(names)}: {why}" for why, names in by_reason.items()]


def _left_out(base: AuditBase) -> list[str]:
    return [f"{number} rows left out: {why}" for why, number in base.left_out.items()]
