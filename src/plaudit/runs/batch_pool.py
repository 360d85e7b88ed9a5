"""Requests of judges on their way into batches.

A judge asks as ever. A reply that is in no store yet goes into the batch that is being written, and
`AwaitedReply` ends the sample for now; a later pass over the input finds the reply in the store.
"""

import asyncio
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from plaudit.engines.base import Completion, Request, RequestKind
from plaudit.errors import CallError, Cause, PlauditError, ReplyError, UsageError
from plaudit.runs.batch_sending import BatchSender, Rows
from plaudit.runs.cached import RequestKeys
from plaudit.sending.pool import Pool, RetryBudget, SendPolicy
from plaudit.store.batches import OPEN

_LIVE_TURNS = frozenset({"prior", "probe"})
"""What few requests are for that decide what all others ask."""


class AwaitedReply(PlauditError):
    """The reply comes with a batch, so that the sample is judged in a later pass."""


class BatchWriter:
    """Collects requests of one engine into files, and sends each that is full.

    Attributes:
        sender: creates and collects batches.
        awaited: numbers of the batches that hold rows of this run.
        sent: rows sent in batches.
        failures: what failed without a batch, by key.
        collecting: whether further rows may be sent.
        work: what the batches are for, for a person.
    """

    def __init__(self, sender: BatchSender, started: float) -> None:
        """Begin without rows.

        Args:
            sender: of the engine.
            started: seconds since 1970; failures of batches collected before are asked again.
        """
        self.sender = sender
        self.awaited: set[int] = set()
        self.sent = 0
        self.failures: dict[bytes, CallError] = {}
        self.collecting, self.work = True, ""
        self._started = started
        self._proven: set[RequestKind] = set()
        self._rows: dict[bytes, Request] = {}
        self._reopened: set[int] = set()
        self._lock = asyncio.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="plaudit-batch-")
        weakref.finalize(self, self._folder.cleanup)
        self._path = Path(self._folder.name) / "rows.jsonl"
        self._size = 0
        self._identity = ""

    async def key(self, keys: RequestKeys | None, request: Request) -> tuple[RequestKeys, bytes]:
        """Return the key of a request, and what makes keys for the engine."""
        if keys is None:
            self._identity = await self.sender.client.engine.identify()
            keys = RequestKeys(self._identity)
        return keys, keys.key(request)

    async def reply(
        self, key: bytes, request: Request, live: Pool, budget: RetryBudget | None
    ) -> Completion:
        """Ask a first request of each kind live, and have all others answered by batches.

        The live one shows that the key, the model and each parameter are accepted before thousands
        of rows depend on it.

        Raises:
            AwaitedReply: the reply comes with a batch.
            CallError: it failed in this run.
        """
        self._look(key)
        async with self._lock:
            self._look(key)
            if request.kind not in self._proven and request.mode == "chat":
                return await self._prove(key, request, live, budget)
            await self._add(key, request)
        await asyncio.sleep(0)
        async with self._lock:  # What the sample asks at the same time is added before it ends.
            pass
        raise AwaitedReply

    def _look(self, key: bytes) -> None:
        """Raise what is known of a request that was put into a batch, or failed."""
        if key in self.failures:
            raise self.failures[key]
        row = self.sender.ledger.row(key)
        if key in self._rows or (row is not None and row.state in OPEN):
            if row is not None:
                self.awaited.add(row.batch)
            raise AwaitedReply
        if row is not None and row.cause is not None and row.changed >= self._started:
            raise CallError(Cause(row.cause), row.message or "")
        if row is not None and row.cause is None and row.batch not in self._reopened:
            self._reopened.add(row.batch)  # The store lost the reply; the provider has it still.
            self.sender.ledger.reopen(row.batch)
            self.awaited.add(row.batch)
            raise AwaitedReply
        if not self.collecting:
            raise CallError(
                Cause.BAD_RESPONSE,
                "no batch brought this reply; give the same command again",
                retryable=True,
            )

    async def _prove(
        self, key: bytes, request: Request, live: Pool, budget: RetryBudget | None
    ) -> Completion:
        try:
            completion = await Pool.complete(live, request, budget)
        except CallError as error:
            self.failures[key] = error
            raise
        except ReplyError:
            self._proven.add(request.kind)
            raise
        self._proven.add(request.kind)
        return completion

    async def _add(self, key: bytes, request: Request) -> None:
        client = self.sender.client
        if request.mode != "chat":
            raise UsageError(f"{client.engine.uri}: batches take chats alone; use mode='chat'")
        line = client.line(key.hex(), client.engine.write(request)) + b"\n"
        if len(line) > self.sender.most_bytes:
            problem = f"a row of {len(line)} bytes is larger than a batch may be"
            self.failures[key] = CallError(Cause.BAD_REQUEST, problem)
            raise self.failures[key]
        full = len(self._rows) >= self.sender.most_rows
        if full or self._size + len(line) > self.sender.most_bytes:
            await self._send()
        with self._path.open("ab") as file:
            file.write(line)
        self._size += len(line)
        self._rows[key] = _lean(request)

    async def send(self) -> None:
        """Send the rows that are written so far."""
        async with self._lock:
            if self._rows:
                await self._send()

    async def _send(self) -> None:
        rows = Rows(self._rows, self._path, self._identity, self.work, self._started)
        self._rows, self._size = {}, 0
        try:
            batch = await self.sender.create(rows)
        finally:
            with suppress(FileNotFoundError):
                self._path.unlink()
        if batch is not None:
            self.awaited.add(batch.number)
            self.sent += batch.rows


def _lean(request: Request) -> Request:
    """Return what it takes to read the reply to a request: all but its prompt."""
    return replace(
        request, prompt=(), prompt_ids=(), shared=0, affinity="", sample_id="", draw=0, turn="main"
    )


class BatchPool(Pool):
    """A pool whose requests go into batches, but for the few that are asked live."""

    def __init__(self, writer: BatchWriter, policy: SendPolicy) -> None:
        """Take a part in the batches of an engine; nothing is contacted."""
        super().__init__(writer.sender.client.engine, policy)
        self.writer = writer
        self._keys: RequestKeys | None = None

    async def complete(self, request: Request, budget: RetryBudget | None = None) -> Completion:
        """Complete a request live, or have it answered by a batch.

        Raises:
            AwaitedReply: the reply comes with a batch.
        """
        if request.turn in _LIVE_TURNS:
            return await super().complete(request, budget)
        self._keys, key = await self.writer.key(self._keys, request)
        return await self.writer.reply(key, request, self, budget)
