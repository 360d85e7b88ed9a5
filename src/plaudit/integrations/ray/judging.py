"""What an actor does with a block: judge its rows, and write the part."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from plaudit.engines.base import Completion, Engine
from plaudit.engines.load import load_engine
from plaudit.engines.uri import EngineURI
from plaudit.errors import EngineUnusableError, InputError
from plaudit.integrations.ray.blocks import RayBlock, RayBlockReader
from plaudit.integrations.ray.limits import Share
from plaudit.integrations.ray.parts import BITS_IN_BLOCK, OutputPart, PartsFolder, part_name
from plaudit.integrations.ray.work import BlockReport, Rejects
from plaudit.io.progress import Progress
from plaudit.io.tables import VERDICT, ParquetPart, value_type
from plaudit.judges.load import task_type
from plaudit.runs.block import AnySession, judge_block
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import Bill, JudgeRecord, RunSettings
from plaudit.runs.runner import bind_record, session_of
from plaudit.runs.summary import JudgeTally
from plaudit.sending.leases import LeasedLimits
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from plaudit.types import Usage, Verdict

_NEAR_OUTAGE_S = 30.0
"""Most seconds without an answer after which an endpoint that is near is given up for all."""


class JudgeWork(msgspec.Struct, frozen=True, kw_only=True):
    """What all actors of a run are given."""

    kind: str
    """The judge as the command names it; `FILE.py:Class` is imported on every node."""
    record: JudgeRecord
    engine: Engine | Sequence[Engine]
    """The engine; for a panel, one a member."""
    send: SendPolicy
    cache: CachePolicy
    prices: Prices
    store: str
    """Path of the store on each node."""
    out: str
    """Folder of the parts, which all nodes see."""
    fingerprint: str
    """Of what decides the verdicts and the columns."""
    prior: dict[bytes, Completion] = {}
    """Replies by which the driver measured the judge's prior, by their keys."""

    def begin(self, share: Share) -> "BlockJudge":
        """Return what judges in one actor; nothing is opened."""
        return BlockJudge(self, share)


class JudgeReport(BlockReport, frozen=True, kw_only=True):
    """What came of one block, and what it took."""

    bill: Bill
    """What was spent since the actor's last report."""
    without_logprobs: tuple[str, ...] = ()
    """URIs of engines that were found to send no log-probabilities."""


class BlockJudge:
    """A judge of blocks: opened once in an actor, and used by all its threads."""

    def __init__(self, work: JudgeWork, share: Share) -> None:
        """Take the work and the way to the limiter; nothing is opened."""
        self._work = work
        self._share = share
        self._limits: LeasedLimits | None = None
        self._near = True
        """Whether only the endpoint that is near is asked, where there are several."""
        self._folder = PartsFolder(work.out, work.fingerprint)
        self._reader = RayBlockReader()
        self._spent = self._earlier = _NOTHING
        self._opening: asyncio.Task[AnySession] | None = None
        self._store = Store(work.store)

    async def work(self, block: RayBlock) -> JudgeReport:
        """Judge a block and write its part, unless that was finished before.

        Raises:
            EngineUnusableError: the engine can answer nothing.
            InputError: the block cannot be read.
            StoreError: the part or the store cannot be written.
        """
        part = await asyncio.to_thread(self._folder.note, block.number)
        if part is None or part.failed:
            part = await self._judged_near(block)
        session = await self._session()
        return JudgeReport(
            part=part,
            bill=self._new(session.bill(self._work.prices)),
            without_logprobs=tuple(session.without_logprobs),
        )

    async def _judged_near(self, block: RayBlock) -> OutputPart:
        """Judge a block at the endpoint that is near; where that is lost, at all of them."""
        session, near = await self._session(), self._near and self._uri().base_urls[1:]
        try:
            return await self._judged(session, block)
        except EngineUnusableError:
            if not near:
                raise
        if self._near:
            self._near, self._opening = False, None
            self._earlier = self._new(session.bill(self._work.prices))
            self._spent = _NOTHING
        return await self._judged(await self._session(), block)

    def _uri(self) -> EngineURI:
        return EngineURI.parse(self._work.record.engine)

    async def _engine(self) -> tuple[Engine | Sequence[Engine], SendPolicy]:
        """Return the engine that this actor asks, and how."""
        work, uri = self._work, self._uri()
        if work.record.panel is not None or not (self._near and uri.base_urls[1:]):
            return work.engine, work.send
        url = uri.base_urls[await self._share.near(uri.base_urls)]
        engine = load_engine(str(replace(uri, base_urls=(url,))))
        return engine, replace(work.send, outage=min(work.send.outage, _NEAR_OUTAGE_S))

    async def _session(self) -> AnySession:
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> AnySession:
        work = self._work
        task_type(work.kind)
        record = work.record
        if work.cache.write:
            for key, completion in work.prior.items():
                self._store.put_reply(key, completion)
            await asyncio.to_thread(self._store.flush)
        engine, send = await self._engine()
        limits = self._limits = self._limits or self._share.limits()
        settings = RunSettings(
            store=self._store,
            progress=Progress("", enabled=False),
            send=send,
            cache=work.cache,
            prices=work.prices,
        )
        task = await bind_record(record, engine, record.without_logprobs)
        return session_of(settings, task, engine, lambda one, how: Pool(one, how, limits))

    async def _judged(self, session: AnySession, block: RayBlock) -> OutputPart:
        rows = await asyncio.to_thread(list, self._reader.rows(block))
        rejects = Rejects(self._work.record.options.strict)

        def on_reject(place: int, error: InputError) -> None:
            rejects.add(read[place], str(error).removeprefix(f"row {place}: "))

        for row in rows:
            if row.data is None:
                rejects.add(row, row.error or "")
        read = [row for row in rows if row.data is not None]
        data = [row.data or {} for row in read]
        judged = await judge_block(
            session, data, first=block.number << BITS_IN_BLOCK, on_reject=on_reject
        )
        await asyncio.to_thread(self._store.flush)
        tally, encode = JudgeTally(), self._encoder()
        tally.add(judged)
        part = OutputPart(
            block=block,
            fingerprint=self._work.fingerprint,
            rows=len(judged),
            failed=sum(verdict.status == "failed" for verdict, _ in judged),
            statuses=Counter(verdict.status for verdict, _ in judged),
            rejected=rejects.lines,
            counts=msgspec.Raw(msgspec.json.encode(tally.counts())),
        )
        lines = [encode(verdict) for verdict, _ in judged]
        await asyncio.to_thread(self._write, part, lines)
        return part

    def _encoder(self) -> Callable[[Verdict], bytes]:
        options, encode = self._work.record.options, msgspec.json.Encoder().encode
        shown = {"raw": options.raw, "input": options.input}
        left_out = {name: UNSET for name, wanted in shown.items() if not wanted}
        return lambda verdict: encode(replace(verdict, **left_out) if left_out else verdict)

    def _write(self, part: OutputPart, lines: Sequence[bytes]) -> None:
        options = self._work.record.options
        more = [name for name in ("input", "raw") if getattr(options, name)]
        name = part_name(part.block.number)
        value = value_type(self._work.record.judge.kind)
        table = ParquetPart(name, [*VERDICT.split(), *more], value)
        for line in lines:
            table.write(line)
        self._folder.finish(part, table.whole())

    def _new(self, bill: Bill) -> Bill:
        """Return what was spent since the last report."""
        new = _sum(self._earlier, _sum(bill, self._spent, -1))
        self._spent, self._earlier = bill, _NOTHING
        return new


_NOTHING = Bill(engine_calls=0, usage=Usage(), cost_usd=0.0, notes=[])


def _sum(one: Bill, other: Bill, sign: int = 1) -> Bill:
    """Return two bills together, or the first less the second; the notes are those of the first."""
    costs = None
    if one.cost_usd is not None and other.cost_usd is not None:
        costs = round(one.cost_usd + sign * other.cost_usd, 9)
    return Bill(
        engine_calls=one.engine_calls + sign * other.engine_calls,
        usage=Usage(
            one.usage.input_tokens + sign * other.usage.input_tokens,
            one.usage.output_tokens + sign * other.usage.output_tokens,
        ),
        cost_usd=costs,
        notes=one.notes or other.notes,
    )
