"""A judge's run on a cluster: blocks in, parts out, one summary."""

import hashlib
import itertools
import os
import time
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec.structs import replace

from plaudit._util.loops import run_sync
from plaudit._util.options import Help
from plaudit._util.packages import load_package
from plaudit._util.ranges import WHOLE_32, Range
from plaudit.engines.base import Completion, Engine
from plaudit.errors import ArgumentError, InputError, UsageError
from plaudit.integrations.ray.actors import connected, reports
from plaudit.integrations.ray.blocks import BLOCK_ROWS, Block, BlockReader, cut
from plaudit.integrations.ray.judging import JudgeWork, Report
from plaudit.integrations.ray.parts import REJECTED, Part, PartsFolder
from plaudit.io.places import check_folder_output, check_output
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


class ClusterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a command runs on Ray."""

    ray: Annotated[
        str | None,
        Help(
            "Run on Ray: `local`, or the address of a cluster. OUT is then a folder of Parquet.",
            "Load",
            "ADDRESS",
        ),
    ] = None
    actors: Annotated[
        int, Range(1, WHOLE_32), Help("--ray: actors that judge, a CPU each.", "Load")
    ] = 2
    block_rows: Annotated[
        int,
        Range(1, WHOLE_32),
        Help("--ray: rows that an actor takes at a time.", "Load", rare=True),
    ] = BLOCK_ROWS
    merge: Annotated[
        str | None,
        Help("--ray: also write all parts as one Parquet file.", "Output", "FILE", rare=True),
    ] = None


class _Prepared(NamedTuple):
    """What the driver found out before the actors begin."""

    work: JudgeWork
    task: BaseJudge | PanelJudge
    bill: Bill
    folder: PartsFolder
    parts: dict[int, Part]
    """Parts that are finished, by the number of the block."""
    left: Sequence[Block]
    """Blocks that are not."""


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
    out, started = _checked(job), time.monotonic()
    load_package("ray", "ray")  # Before anything is asked.
    blocks = cut(job.record.options.source, job.options.block_rows)
    address = job.options.ray
    assert address is not None
    run = _ClusterRun(job, run_sync(_prepared(job, out, blocks)), progress)
    if run.left:
        with connected(address, job.options.actors, job.launched_gpus is not None) as ray:
            for report in reports(
                ray, run.work, run.left, job.options.actors, job.launched_gpus or 0
            ):
                run.take(report)
    return replace(run.finish(), seconds=round(time.monotonic() - started, 3))


def _checked(job: ClusterJob) -> str:
    """Return the folder of the output."""
    options = job.record.options
    if options.out is None or options.out == "-" or options.out.endswith((".jsonl", ".parquet")):
        raise ArgumentError("out", "must name a folder: on Ray the output is parts")
    if options.limit is not None:
        raise ArgumentError("limit", "must be left out on Ray: cut the input")
    if options.source == "-":
        raise UsageError("on Ray the input is a file that all nodes see, not standard input")
    check_folder_output(options.out)
    if job.options.merge is not None:
        check_output(job.options.merge, [options.source], replaces=True)
    if job.options.actors > job.send.concurrency:
        raise ArgumentError("actors", f"must be at most {job.send.concurrency}, the concurrency")
    return os.path.abspath(options.out)


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


async def _prepared(job: ClusterJob, out: str, blocks: Sequence[Block]) -> _Prepared:
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
            folder = PartsFolder(out, fingerprint)
            known = folder.open(blocks)
            parts = {number: part for number, part in known.items() if not part.failed}
            left = [block for block in blocks if block.number not in parts]
            if job.launched_gpus is None:
                await _judge_first(session, left)
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
            bill = session.bill(job.prices)
            return _Prepared(work, session.task, bill, folder, parts, left)
        finally:
            await session.close()


async def _judge_first(session: AnySession, blocks: Sequence[Block]) -> None:
    """Judge the first row that can be; no actor asks about it again."""
    reader = BlockReader()
    for row in itertools.chain.from_iterable(map(reader.rows, blocks)):
        data = [] if row.data is None else [row.data]
        if await judge_block(session, data, on_reject=lambda _, __: None):
            return


def _fingerprint(record: JudgeRecord, task: str) -> str:
    """Return what identifies the verdicts and columns of a run, whatever the endpoints are."""
    options = record.options
    shown = [task, record.judge, record.panel, options.raw, options.input, options.strict]
    return hashlib.blake2b(msgspec.json.encode(shown), digest_size=16).hexdigest()


class _ClusterRun:
    """What is done, and what is left."""

    def __init__(self, job: ClusterJob, prepared: _Prepared, progress: Progress) -> None:
        self.work, self._task, bill, self._folder, self._parts, self.left = prepared
        self._job, self._bills, self._progress = job, [bill], progress
        self._tally = JudgeTally()
        self._json_of = list(self.work.record.without_logprobs)
        for part in self._parts.values():
            counts = msgspec.json.decode(part.counts, type=JudgeCounts)
            self._count(replace(counts, cached=counts.samples))

    def take(self, report: Report) -> None:
        """Count what came of a block."""
        part = report.part
        self._bills.append(report.bill)
        self._json_of += report.without_logprobs
        if part.block.number not in self._parts:
            self._parts[part.block.number] = part
            self._count(msgspec.json.decode(part.counts, type=JudgeCounts))

    def _count(self, counts: JudgeCounts) -> None:
        self._tally.take(counts)
        for _, status, number in counts.values:
            self._progress.counts[status] += number
            self._progress.done += number

    def finish(self) -> JudgeSummary:
        """Write what stands beside the parts; return the summary.

        Raises:
            InputError: no row could be judged.
            StoreError: a file cannot be written.
        """
        parts = [self._parts[number] for number in sorted(self._parts)]
        rejected = self._folder.put_rejected(parts)
        if not self._tally.values:
            first = bytes(parts[0].rejected[0]).decode() if parts and parts[0].rejected else ""
            source = self.work.record.options.source
            raise InputError(
                f"{source}: no row can be judged; {rejected} rejected, such as {first}"
            )
        if self._job.options.merge is not None:
            self._folder.merge(parts, self._job.options.merge)
        task = self._task
        usage = sum((bill.usage for bill in self._bills), Usage())
        costs = [bill.cost_usd for bill in self._bills if bill.cost_usd is not None]
        summary = JudgeSummary(
            judge=task.judge_name,
            readout=task.readout,
            mode="none" if task.readout == "none" else task.mode,
            rejected=rejected,
            rejects=os.path.join(self.work.out, REJECTED) if rejected else None,
            engine_calls=sum(bill.engine_calls for bill in self._bills),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=round(sum(costs), 9) if len(costs) == len(self._bills) else None,
            out=self._job.options.merge or self._job.record.options.out,
            notes=self._notes(),
        )
        self._tally.fill(summary)
        return summary

    def _notes(self) -> list[str]:
        notes = [note for bill in self._bills for note in bill.notes]
        notes += [
            f"{uri} sends no log-probabilities: the json readout was used" for uri in self._json_of
        ]
        return list(dict.fromkeys(notes))
