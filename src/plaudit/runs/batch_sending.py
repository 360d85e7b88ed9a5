"""One engine's batches on their way: created, found again after a kill, collected into the store.

Every step is committed to the ledger before the next begins. A create that failed without a clear
answer is treated like a kill: the batch may exist, so its rows wait until that is known.
"""

import asyncio
import logging
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from plaudit.engines.base import Request
from plaudit.engines.batch.base import MARGIN, BatchClient, BatchLine, BatchState
from plaudit.engines.http.errors import Rejected, Unreachable
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.runs.batch_policy import BatchPolicy
from plaudit.runs.cached import trim, unusable_reply
from plaudit.store.batches import (
    KEEP_S,
    OPEN,
    BatchLedger,
    BatchResult,
    SentBatch,
    owner_alive,
    this_process,
)
from plaudit.store.store import Store

_MOST_ROWS = 50_000
"""Rows of a batch are counted in memory while its results are read."""
_SKEW_S = 300.0
"""By how much the clock of a provider may be behind."""
_LONGEST_PAUSE_S = 60.0
_MOST_TURNED_AWAY = 3
_MOST_VANISHED = 3
_GONE = (404, 410)
_UNCLEAR = frozenset({Cause.TIMEOUT, Cause.CONNECTION, Cause.SERVER_ERROR, Cause.BAD_RESPONSE})
"""Causes of a failed create that leave open whether the batch exists."""
_QUEUE_FULL = re.compile(r"token_limit|enqueued|queue|too many", re.IGNORECASE)
_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Rows(NamedTuple):
    """A file of rows, about to be sent."""

    rows: dict[bytes, Request]
    """Keys, in the file's order, with what it takes to read their replies."""
    path: Path
    identity: str
    """Of the model."""
    work: str
    """What they are for, for a person."""
    since: float
    """When the command began to look what is missing: seconds since 1970."""


class BatchSender:
    """Sends and collects the batches of one engine.

    Attributes:
        client: the batch API.
        ledger: what was sent.
        store: where replies go.
        looked: what the provider said last, by the batch's number.
    """

    def __init__(
        self, client: BatchClient, ledger: BatchLedger, store: Store, policy: BatchPolicy
    ) -> None:
        """Join a batch API, a ledger and a store; nothing is contacted."""
        self.client = client
        self.ledger = ledger
        self.store = store
        self.policy = policy
        self.looked: dict[int, BatchState] = {}
        self._foreign: set[str] = set()
        """Ids of batches at the provider that are known to belong to others."""
        self._failing: dict[int, float] = {}
        """Since when the provider gives no answer, by the batch's number."""
        self._turned_away = 0
        """Batches for which the provider's queue had no room since one was collected."""
        self._vanished = 0
        """Batches in a row whose creation failed without an answer, and that never existed."""

    @property
    def place(self) -> str:
        """Address of the provider."""
        return self.client.engine.transport.base_url

    @property
    def most_rows(self) -> int:
        """Rows that one batch may hold."""
        limit = min(int(self.client.limits.rows * MARGIN), _MOST_ROWS)
        return min(self.policy.batch_rows or limit, limit)

    @property
    def most_bytes(self) -> int:
        """Bytes that one batch may hold."""
        return int(self.client.limits.bytes * MARGIN)

    # Creating

    async def create(self, rows: Rows) -> SentBatch | None:
        """Send a file of rows as a batch; return None where other commands sent all of them.

        Raises:
            EngineUnusableError: the provider takes no batch; none was created.
        """
        path = rows.path
        self.store.flush()  # What was asked live is on the disk before the rest depends on it.
        batch, paid = self.ledger.intend(
            list(rows.rows.items()), engine=self.client.engine.uri, place=self.place,
            identity=rows.identity, work=rows.work, share=self.client.share(), since=rows.since,
        )  # fmt: skip
        if batch is None:
            return None
        if paid:
            _leave_out(path, [key in paid for key in rows.rows])
        try:
            file = ""
            if self.client.uploads:
                file = await self._insist(lambda: self.client.upload(path))
            batch = self.ledger.creating(batch, file)
            return await self._insist(lambda: self._create(batch, path))
        except EngineUnusableError as error:
            self.ledger.drop(batch, str(error))
            raise

    async def _create(self, batch: SentBatch, path: Path) -> SentBatch:
        """Create a batch once; where it is unclear whether that worked, it is settled later."""
        try:
            remote = await self.client.create(path, batch.file, batch.tag)
        except CallError as error:
            if isinstance(error, Unreachable) or error.cause not in _UNCLEAR:
                raise
            _LOG.warning("%s; whether the batch was created will be seen", error)
            return batch
        self._vanished = 0
        return self.ledger.created(batch, remote)

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step, again while the provider is busy or away.

        Raises:
            EngineUnusableError: it refused, or was away for too long.
        """
        started, pause = time.monotonic(), 1.0
        while True:
            try:
                return await step()
            except CallError as error:
                late = time.monotonic() - started > self.policy.outage
                busy = error.cause is Cause.RATE_LIMITED and self._others_open
                if not error.retryable or (late and not busy):
                    raise EngineUnusableError(f"no batch could be created: {error}") from None
                asked = error.retry_after
            await asyncio.sleep(pause if asked is None else min(asked, self.policy.outage))
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    @property
    def _others_open(self) -> bool:
        """Whether batches are at work whose end makes room for another."""
        return any(b.place == self.place and b.remote for b in self.ledger.batches(OPEN))

    # Waiting

    async def catch_up(self) -> set[int]:
        """Look at the engine's open batches once; return the numbers of those that have ended."""
        mine = [
            one
            for one in self.ledger.batches(OPEN)
            if one.engine == self.client.engine.uri and one.place == self.place
        ]
        for batch in mine:
            await self.advance(batch)
        return {one.number for one in mine if self.ledger.batch(one.number).state not in OPEN}

    async def advance(self, batch: SentBatch) -> None:
        """Find out what became of an open batch, and collect it if it has ended.

        Raises:
            EngineUnusableError: the provider has not answered for too long, refuses the key, or
                does not know the batch.
            UsageError: the batch was sent to another address.
        """
        if batch.place != self.place:
            raise UsageError(
                f"batch {batch.number} was sent to {batch.place}, not to {self.place}: "
                "name that address"
            )
        try:
            if batch.state == "running":
                await self._look(batch)
            elif not owner_alive(batch.owner):
                await self._settle(batch)
            self._failing.pop(batch.number, None)
        except (CallError, Rejected) as error:
            gone = isinstance(error, Rejected) and error.status in _GONE and batch.remote != ""
            if isinstance(error, Rejected) and not gone:
                raise
            since = self._failing.setdefault(batch.number, time.monotonic())
            if time.monotonic() - since >= self.policy.outage:
                self._give_up(batch, error, gone=gone)

    def _give_up(self, batch: SentBatch, error: CallError | Rejected, *, gone: bool) -> None:
        """End the run, or fail the rows of a batch that is as old as its provider keeps results.

        A younger one is not asked again: the key of another account does not see it either.
        """
        if gone and time.time() > batch.changed + KEEP_S:
            why = f"the provider has this batch or its results no more: {error}"
            lost = BatchResult(failures=self._all(batch, Cause.BAD_RESPONSE, why))
            self.ledger.collect(batch, lost, why)
            return
        advice = (
            "Is the key that of the account which sent it? If the batch or its results were "
            f"deleted, plaudit batches {batch.number} --forget has its rows asked, and paid, again"
            if gone
            else "The batches go on at the provider: give the same command again"
        )
        raise EngineUnusableError(f"batch {batch.number}: {error}. {advice}", outage=True) from None

    async def _look(self, batch: SentBatch) -> None:
        state = await self.client.look(batch.remote)
        self.looked[batch.number] = state
        if state.state == "ended":
            await self._collect(batch, state)
        elif state.state == "refused":
            await self._refuse(batch, state)

    async def _refuse(self, batch: SentBatch, state: BatchState) -> None:
        """Fail the rows of a batch that was refused whole; where a queue is full, send them later.

        Rows that a queue without other batches refuses again and again do not fit into it.
        """
        full = _QUEUE_FULL.search(state.why)
        others = any(
            one.number != batch.number and one.place == self.place
            for one in self.ledger.batches(OPEN)
        )
        if full and (others or self._turned_away < _MOST_TURNED_AWAY):
            self._turned_away += 1
            self.ledger.drop(batch, f"refused for now: {state.why}")
            await asyncio.sleep(0 if others else self.policy.batch_poll)
            return
        why = f"the batch was refused whole: {state.why}"
        cause = Cause.RATE_LIMITED if full else Cause.BAD_REQUEST
        found = BatchResult(failures=self._all(batch, cause, why))
        self.ledger.collect(batch, found, state.why, refused=True)

    def _all(self, batch: SentBatch, cause: Cause, why: str) -> dict[bytes, tuple[str, str]]:
        return dict.fromkeys(self.ledger.keys(batch), (str(cause), why))

    async def cancel(self, batch: SentBatch) -> bool:
        """Have the provider stop a batch; return whether it is worth no further try.

        Collecting the batch brings what is answered by then. One that has ended cannot be stopped.
        """
        try:
            await self.client.cancel(batch.remote)
        except CallError as error:
            return not error.retryable
        except Rejected as error:
            if error.status not in _GONE:
                raise
        return True

    # Finding again

    async def _settle(self, batch: SentBatch) -> None:
        """Find out whether a batch exists whose sender died, or got no clear answer."""
        if batch.state == "intent":
            self.ledger.drop(batch, "its sender ended before the batch was created")
            return
        if time.time() > batch.changed + KEEP_S:
            self.ledger.drop(batch, "too old: its results would be deleted by now")
            return
        newest = await self.client.newest(batch.changed - _SKEW_S)
        found, pending = await self._claim(batch, newest)
        if found is not None:
            self.ledger.created(batch, found)
        elif not pending and time.time() > batch.changed + self.policy.batch_settle:
            self.ledger.drop(batch, "never created: the provider does not list it")
            self._vanished += batch.owner == this_process()
            if self._vanished >= _MOST_VANISHED:
                raise EngineUnusableError(
                    f"{self.client.engine.uri}: {self._vanished} batches in a row were never "
                    "created, and the provider did not say why; see its status page",
                    outage=True,
                )

    async def _claim(self, batch: SentBatch, newest: list[BatchState]) -> tuple[str | None, bool]:
        """Return the id of a batch at the provider, and whether one that runs may be it."""
        if self.client.tagged:
            same = (one for one in newest if one.tag == batch.tag or one.file == batch.file != "")
            return next((one.id for one in same), None), False
        known = self.ledger.known(self.place) | self._foreign
        pending = False
        for one in newest:
            if one.id in known or one.total not in (0, batch.rows):
                continue
            if one.state == "running":
                pending = True
            elif await self._holds(batch, one):
                return one.id, False
            else:
                self._foreign.add(one.id)
        return None, pending

    async def _holds(self, batch: SentBatch, found: BatchState) -> bool:
        """Return whether the results of a batch at the provider are those of ours."""
        keys = self.ledger.keys(batch)
        with tempfile.TemporaryDirectory(prefix="plaudit-batch-") as folder:
            paths = await self.client.fetch(found, Path(folder))
            return any(_key(line) in keys for line in self.client.results(paths))

    # Collecting

    async def _collect(self, batch: SentBatch, state: BatchState) -> None:
        """Put the results of a batch that ended into the store, and note the failures."""
        keys, found = self.ledger.keys(batch), BatchResult()
        answered: set[bytes] = set()
        with tempfile.TemporaryDirectory(prefix="plaudit-batch-") as folder:
            paths = await self.client.fetch(state, Path(folder))
            for line in self.client.results(paths):
                key = _key(line)
                request = keys.get(key)
                if (
                    request is not None
                    and key not in answered
                    and self._take(key, request, line, found)
                ):
                    answered.add(key)
        found.answered = len(answered)
        found.failures = {k: why for k, why in found.failures.items() if k not in answered}
        for key in keys.keys() - answered - found.failures.keys():
            message = f"the batch ended without a reply to this row ({state.why or 'ended'})"
            found.failures[key] = str(state.rest), message
        self._turned_away = 0
        self.store.flush()
        self.ledger.collect(batch, found, state.why)

    def _take(self, key: bytes, request: Request, line: BatchLine, found: BatchResult) -> bool:
        """Keep the reply in a line of results; return whether there is one."""
        try:
            if line.error is not None:
                raise line.error
            completion = self.client.engine.read(request, line.body)
            completion = trim(completion, request)
        except ReplyError as error:
            completion = unusable_reply(error)
        except CallError as error:
            found.failures[key] = str(error.cause), str(error)
            return False
        self.store.put_reply(key, completion)
        found.input_tokens += completion.usage.input_tokens
        found.output_tokens += completion.usage.output_tokens
        return True


def _leave_out(path: Path, lines: list[bool]) -> None:
    """Rewrite a file of rows without the lines that are marked."""
    rest = path.with_suffix(".rest")
    with path.open("rb") as file, rest.open("wb") as kept:
        kept.writelines(line for line, out in zip(file, lines, strict=True) if not out)
    rest.replace(path)


def _key(line: BatchLine) -> bytes:
    """Return the request key that an id stands for; empty where it is none of ours."""
    try:
        return bytes.fromhex(line.key)
    except ValueError:
        return b""
