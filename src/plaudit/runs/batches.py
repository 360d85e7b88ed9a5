"""A run through batch APIs: passes over the input, each followed by a wait for its batches.

A pass judges every sample from the store. What is missing goes into batches, and the samples that
need it are judged again in the next pass: first requests, then repairs and further votes, then the
later steps of a cascade. A pass without anything missing is the last. Store and ledger are the only
state, so a run that is killed goes on with the next command.

What a row costs: nothing in memory but 200 bytes while its batch is written and read, its body in a
temporary file until its batch is created, about 90 bytes of the ledger for 30 days.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from plaudit._util.aio import BREATHE, for_each
from plaudit.engines.base import Engine
from plaudit.engines.batch.load import BATCH_SCHEMES, batch_client
from plaudit.errors import UsageError
from plaudit.io.progress import Progress
from plaudit.runs.batch_policy import BatchPolicy
from plaudit.runs.batch_pool import AwaitedReply, BatchPool, BatchWriter
from plaudit.runs.batch_sending import BatchSender
from plaudit.runs.block import AnySession, Judging
from plaudit.runs.record import BatchBill, Bill
from plaudit.sending.pool import Pool, SendPolicy
from plaudit.sending.prices import Prices, cost
from plaudit.store.batches import OPEN, BatchLedger, SentBatch
from plaudit.store.store import Store
from plaudit.types import Sample, Usage


class Batches:
    """What a run sends in batches, and waits for."""

    def __init__(
        self, store: Store, ledger: BatchLedger, policy: BatchPolicy, engines: Sequence[Engine]
    ) -> None:
        """Prepare; nothing is contacted.

        Args:
            store: where replies go.
            ledger: the ledger beside it.
            policy: how batches are used.
            engines: those that the run asks; those without a batch API are asked live.

        Raises:
            UsageError: none of them has a batch API.
        """
        self.sent = 0
        """Rows sent in batches."""
        self.cached = 0
        """Samples for which nothing was missing in the first pass."""
        self._ledger, self._policy = ledger, policy
        started = time.time()
        self._writers: dict[int, BatchWriter] = {}
        for engine in engines:
            client = batch_client(engine)
            if client is not None and id(engine) not in self._writers:
                sender = BatchSender(client, ledger, store, policy)
                self._writers[id(engine)] = BatchWriter(sender, started)
        if not self._writers:
            raise UsageError(
                f"{engines[0].uri} has no batch API that plaudit speaks; --batch works with "
                f"{', '.join(BATCH_SCHEMES)}"
            )
        self._stage = ""
        self._session: AnySession | None = None

    def pool(self, engine: Engine, policy: SendPolicy) -> Pool:
        """Return a pool for an engine, whose requests go into batches where it has them."""
        writer = self._writers.get(id(engine))
        return Pool(engine, policy) if writer is None else BatchPool(writer, policy)

    @property
    def stage(self) -> str:
        """What is waited for."""
        return self._stage

    async def answer(
        self,
        session: AnySession,
        samples: Callable[[], Iterable[Sample]],
        progress: Progress,
        work: str,
    ) -> None:
        """Have batches answer what the samples need, until all of it is in the store.

        Args:
            session: judges the samples; its verdicts are dropped.
            samples: returns the samples, anew for each pass.
            progress: shows what is waited for.
            work: what the batches are for, for a person.

        Raises:
            EngineUnusableError: a provider takes no batch, or answers no more.
        """
        self._session = session
        progress.watch(self)
        for writer in self._writers.values():
            writer.work = work
            writer.awaited |= await writer.sender.catch_up()
        first = True
        while await self._pass(session, samples(), first=first):
            await self._wait()
            first = False
        for writer in self._writers.values():
            writer.collecting = False
        self._stage = ""

    async def _pass(self, session: Judging, samples: Iterable[Sample], *, first: bool) -> int:
        """Judge all samples from the store; return for how many a reply is missing."""
        waiting = stored = done = 0

        async def judge(question: Any) -> None:
            nonlocal waiting, stored, done
            done += 1
            self._stage = f"looking up what is to be asked, sample {done:,}"
            if done % BREATHE == 0:
                await asyncio.sleep(0)
            try:
                _, asked = session.judge_stored(question) or await session.judge(question)
                stored += asked.from_store
            except AwaitedReply:
                waiting += 1

        questions: Iterator[Any] = session.questions(samples)
        first_question = next(questions, None)
        if first_question is not None:
            await session.open(first_question)
            await for_each(judge, chain((first_question,), questions), session.window)
        for writer in self._writers.values():
            await writer.send()
        self.sent = sum(writer.sent for writer in self._writers.values())
        if first:
            self.cached = stored
        return waiting

    async def _wait(self) -> None:
        """Wait until the batches that this run needs are collected."""
        while True:
            open_ = self._open()
            for writer, batch in open_:
                self._stage = self._shown(open_, batch)
                await writer.sender.advance(batch)
            if not self._open():
                return
            self._stage = self._shown(self._open())
            await asyncio.sleep(self._policy.batch_poll)

    def _open(self) -> list[tuple[BatchWriter, SentBatch]]:
        found = [
            (writer, self._ledger.batch(number))
            for writer in self._writers.values()
            for number in sorted(writer.awaited)
        ]
        return [(writer, batch) for writer, batch in found if batch.state in OPEN]

    def _shown(
        self,
        waiting: Sequence[tuple[BatchWriter, SentBatch]],
        at: SentBatch | None = None,
    ) -> str:
        done = sum(
            state.done + state.failed
            for writer, batch in waiting
            if (state := writer.sender.looked.get(batch.number)) is not None
        )
        rows = sum(batch.rows for _, batch in waiting)
        names = f"{len(waiting)} batch{'es' if len(waiting) != 1 else ''}"
        asked = f", asking about {at.remote or at.tag}" if at is not None else ""
        return f"waiting for {names}, {done:,} of {rows:,} rows answered{asked}"

    # The bill

    def bill(self, prices: Prices) -> BatchBill:
        """Return what the batches of this run came to."""
        found = BatchBill()
        for writer in self._writers.values():
            engine = writer.sender.client.engine
            for number in writer.awaited:
                batch = self._ledger.batch(number)
                price = prices.of(engine, batch.identity)
                usage = Usage(batch.input_tokens, batch.output_tokens)
                found.add(batch.answered, batch.failed, usage, cost(price, usage), batch.share)
        return found

    def added(self, bill: Bill, prices: Prices) -> Bill:
        """Return a run's bill with what its batches and its passes came to."""
        own = self.bill(prices)
        spent = [bill] if self._session is None else [bill, self._session.bill(prices)]
        costs = [own.cost_usd, *(one.cost_usd for one in spent)]
        known = [one for one in costs if one is not None]
        usage = sum((one.usage for one in spent), Usage(own.input_tokens, own.output_tokens))
        return msgspec.structs.replace(
            bill,
            engine_calls=sum(one.engine_calls for one in spent) + self.sent,
            usage=usage,
            cost_usd=round(sum(known), 9) if len(known) == len(costs) else None,
            batch=own,
        )
