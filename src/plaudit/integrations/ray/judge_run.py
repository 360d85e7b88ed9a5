"""A judge's run on a cluster: what the driver finds out first, and one summary at the end."""

import hashlib
import itertools
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from plaudit._util.loops import run_sync
from plaudit._util.packages import load_package
from plaudit.engines.base import Completion, Engine
from plaudit.integrations.ray.blocks import RayBlock, RayBlockReader, cut
from plaudit.integrations.ray.judging import JudgeReport, JudgeWork
from plaudit.integrations.ray.parts import PartsFolder
from plaudit.integrations.ray.run import ClusterOptions, ClusterRun, check_run
from plaudit.io.progress import Progress
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.block import AnySession, judge_block
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import Bill, JudgeRecord, RunSettings
from plaudit.runs.runner import bind_record, session_of
from plaudit.runs.summary import JudgeCounts, JudgeSummary, JudgeTally
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from plaudit.types import Usage


class _Prepared(NamedTuple):
    """What the driver found out before the actors begin."""

    work: JudgeWork
    task: BaseJudge | PanelJudge
    bill: Bill
    run: ClusterRun


class ClusterJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks for."""

    kind: str
    """The judge as the command names it."""
    record: JudgeRecord
    engine: Engine | Sequence[Engine]
    launched_gpus: int | None
    """GPUs of the servers that each actor starts; None: it starts none."""
    options: ClusterOptions
    send: SendPolicy
    cache: CachePolicy
    store: str
    """Path of the store on each node."""
    prices: Prices


def judge_on_ray(job: ClusterJob, progress: Progress) -> JudgeSummary:
    """Judge an input on the actors of a cluster. The same job again goes on where this one stopped.

    Raises:
        UsageError: input, output or options do not go together, or no cluster answers.
        MissingDependencyError: the extra `ray` is not installed.
        EngineUnusableError: the engine can answer nothing.
        StoreError: a part cannot be written.
    """
    options, started = job.record.options, time.monotonic()
    out = check_run(job.options, options.source, options.out, options.limit, job.send.concurrency)
    load_package("ray", "ray")  # Before anything is asked.
    blocks = cut(options.source, job.options.block_rows)
    prepared = run_sync(_prepared(job, out, blocks, progress))
    spent = _Spent(prepared)
    prepared.run.work(prepared.work, spent.take, job.launched_gpus)
    summary = _summary(job, prepared, spent)
    return replace(summary, seconds=round(time.monotonic() - started, 3))


class _NotingStore(Store):
    """A store that remembers which replies passed."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.seen: dict[bytes, Completion] = {}

    def get_replies(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        found = super().get_replies(keys)
        self.seen |= found
        return found

    def put_reply(self, key: bytes, completion: Completion) -> None:
        self.seen[key] = completion
        super().put_reply(key, completion)


async def _prepared(
    job: ClusterJob, out: str, blocks: Sequence[RayBlock], progress: Progress
) -> _Prepared:
    """Find out what is left, and what all actors must see alike: the readout, the prior."""
    store = _NotingStore(job.store)
    with store:
        settings = RunSettings(
            store=store, progress=Progress("", enabled=False), send=job.send, cache=job.cache,
            prices=job.prices,
        )  # fmt: skip
        session = session_of(settings, await bind_record(job.record, job.engine), job.engine)
        try:
            fingerprint = _fingerprint(job.record, session.task.fingerprint)
            run = ClusterRun(job.options, PartsFolder(out, fingerprint), blocks, progress)
            if job.launched_gpus is None:
                await _judge_first(session, run.left)
            record = replace(job.record, without_logprobs=tuple(session.without_logprobs))
            work = JudgeWork(
                kind=job.kind,
                record=record,
                engine=job.engine,
                send=job.send,
                cache=job.cache,
                prices=job.prices,
                store=job.store,
                out=out,
                fingerprint=fingerprint,
                prior=store.seen,
            )
            return _Prepared(work, session.task, session.bill(job.prices), run)
        finally:
            await session.close()


async def _judge_first(session: AnySession, blocks: Sequence[RayBlock]) -> None:
    """Judge the first row that can be; no actor asks about it again."""
    reader = RayBlockReader()
    for row in itertools.chain.from_iterable(map(reader.rows, blocks)):
        data = [] if row.data is None else [row.data]
        if await judge_block(session, data, on_reject=lambda _, __: None):
            return


def _fingerprint(record: JudgeRecord, task: str) -> str:
    """Return what identifies the verdicts and columns of a run, whatever the endpoints are."""
    options = record.options
    shown = [task, record.judge, record.panel, options.raw, options.input, options.strict]
    return hashlib.blake2b(msgspec.json.encode(shown), digest_size=16).hexdigest()


class _Spent:
    """What judging took, and what was found out on the way."""

    def __init__(self, prepared: _Prepared) -> None:
        self.bills = [prepared.bill]
        self._json_of = list(prepared.work.record.without_logprobs)

    def take(self, report: JudgeReport) -> None:
        """Count what came of a block."""
        self.bills.append(report.bill)
        self._json_of += report.without_logprobs

    @property
    def cost_usd(self) -> float | None:
        costs = [bill.cost_usd for bill in self.bills if bill.cost_usd is not None]
        return round(sum(costs), 9) if len(costs) == len(self.bills) else None

    @property
    def notes(self) -> list[str]:
        notes = [note for bill in self.bills for note in bill.notes]
        notes += [
            f"{uri} sends no log-probabilities: the json readout was used" for uri in self._json_of
        ]
        return list(dict.fromkeys(notes))


def _summary(job: ClusterJob, prepared: _Prepared, spent: _Spent) -> JudgeSummary:
    run, task, tally = prepared.run, prepared.task, JudgeTally()
    parts = run.finish(job.record.options.source)
    for part in parts:
        counts = msgspec.json.decode(part.counts, type=JudgeCounts)
        earlier = part.block.number in run.earlier
        tally.take(replace(counts, cached=counts.samples) if earlier else counts)
    rejected, rejects = run.rejects(parts)
    usage = sum((bill.usage for bill in spent.bills), Usage())
    summary = JudgeSummary(
        judge=task.judge_name,
        readout=task.readout,
        mode="none" if task.readout == "none" else task.mode,
        rejected=rejected,
        rejects=rejects,
        engine_calls=sum(bill.engine_calls for bill in spent.bills),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=spent.cost_usd,
        out=job.options.merge or job.record.options.out,
        notes=spent.notes,
    )
    tally.fill(summary)
    return summary
