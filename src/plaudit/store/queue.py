"""What was put into a store and is not yet committed, and the thread that commits it.

Replies are committed within 100 ms or 200 at a time; what can be made again from replies waits a
second. What fails in the thread is raised by the next put, flush or close.
"""

import functools
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from plaudit.engines.base import Completion
from plaudit.errors import StoreError
from plaudit.store.base import Limits
from plaudit.store.limit import Keeper
from plaudit.store.schema import seal_all, seal_rows

Table = Literal["replies", "traces", "verdicts", "held"]

_ROWS_A_STATEMENT = 200


class PutBatch:
    """Entries that are committed together; they are sealed when they are written."""

    def __init__(self) -> None:
        self.replies: dict[bytes, tuple[Completion, bytes]] = {}
        self.traces: dict[bytes, bytes] = {}
        self.verdicts: dict[int, tuple[str, bytes]] = {}
        self.held: dict[int, bytes] = {}
        self.taken: list[tuple[int, int]] = []
        self.entries = 0
        self.bytes = 0
        self.full = False
        """Whether further entries must wait."""

    def write(self, connection: sqlite3.Connection) -> None:
        """Write everything within the transaction that is open."""
        # First, because a line that is held again was held after the earlier one was taken.
        for ids in self.taken:
            connection.execute("DELETE FROM held WHERE id BETWEEN ? AND ?", ids)
        replies = seal_all([(key, encoded) for key, (_, encoded) in self.replies.items()])
        _insert(connection, "reply (key, completion)", self.replies, replies)
        payloads = seal_rows({id: payload for id, (_, payload) in self.verdicts.items()})
        statuses = [status for status, _ in self.verdicts.values()]
        _insert(connection, "verdict (id, status, payload)", self.verdicts, statuses, payloads)
        _insert(connection, "held (id, line)", self.held, seal_rows(self.held))
        connection.executemany(
            "INSERT OR REPLACE INTO trace (key, body, reply)"
            " VALUES (?, ?, (SELECT coalesce(max(rowid), 0) FROM reply))",
            zip(self.traces, seal_all(self.traces.items()), strict=True),
        )


def _insert(
    connection: sqlite3.Connection, into: str, *columns: Collection[int | bytes | str]
) -> None:
    rows = list(zip(*columns, strict=True))
    # Many rows a statement, because sqlite3 gives up the GIL once a statement and gets it back
    # only after the switch interval (5 ms) when another thread computes.
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        chunk = rows[start : start + _ROWS_A_STATEMENT]
        statement = _insert_statement(into, len(columns), len(chunk))
        connection.execute(statement, list(chain.from_iterable(chunk)))


@functools.cache
def _insert_statement(into: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT OR REPLACE INTO {into} VALUES {', '.join([row] * rows)}"


class Queue:
    """Takes entries from any thread; a thread of its own commits them."""

    def __init__(
        self,
        path: Path,
        transaction: Callable[[], AbstractContextManager[sqlite3.Connection]],
        keeper: Keeper | None,
        limits: Limits,
    ) -> None:
        """Prepare a queue; `start` begins to commit.

        Args:
            path: the store, for messages.
            transaction: opens one.
            keeper: keeps the size limit; None: the store is only read.
            limits: times and sizes.
        """
        self._path = path
        self._transaction = transaction
        self._keeper = keeper
        self._limits = limits
        self.queued = PutBatch()
        self.committing = PutBatch()
        self._put = 0
        self._committed = 0
        self._hurry = False
        self._closing = False
        self._failure: StoreError | None = None
        self._reported = False
        self._after: Callable[[], None] | None = None
        self._ended = True
        self.lock = threading.RLock()  # A collected store may be closed while it is held.
        self._wake = threading.Condition(self.lock)
        self._progress = threading.Condition(self.lock)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to commit."""
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="plaudit-store", daemon=True)
        self._thread.start()

    def put(self, table: Table, entries: Mapping[Any, Any], size: int) -> None:
        """Queue entries by key, `size` bytes together; waits while the queue is full.

        Raises:
            StoreError: an earlier entry could not be committed, or the store is only read.
        """
        with self.lock:
            if self._failure is not None or self._closing or self._keeper is None:
                self.check()
            while self.queued.full:
                self._progress.wait()
                self.check()
            batch, limits = self.queued, self._limits
            known: dict[Any, Any] = getattr(batch, table)
            known.update(entries)
            before, batch.entries = batch.entries, batch.entries + len(entries)
            batch.bytes += size
            batch.full = batch.entries >= limits.queue_entries or batch.bytes >= limits.queue_bytes
            self._put += len(entries)
            paid = table == "replies" and len(known) in (1, limits.commit_replies)
            due = before < limits.commit_entries <= batch.entries
            if paid or due or not before or batch.full:
                self._wake.notify()

    def drop_held(self, first: int, last: int) -> None:
        """Delete the held lines of these rowids with one of the next commits."""
        with self.lock:
            self.queued.taken.append((first, last))

    def flush(self) -> None:
        """Wait until everything put so far is committed.

        Raises:
            StoreError: it cannot be.
        """
        with self.lock:
            target = self._put
            while self._committed < target:
                self.check()
                self._hurry = True
                self._wake.notify()
                self._progress.wait()
            if self._failure is not None or self._closing:
                self.check()

    def check(self) -> None:
        """Raise what makes further entries impossible, if anything does."""
        if self._failure is not None:
            self._reported = True
            raise self._failure
        if self._closing:
            raise StoreError(f"the store {self._path} was closed while it was in use")
        if self._keeper is None:
            raise StoreError(f"the store {self._path} is only read here")

    # The thread

    def _run(self) -> None:
        self._commit_batches()
        with self.lock:
            self._ended = True
            after = self._after
        if after is not None:
            after()
            self.raise_unreported()

    def _commit_batches(self) -> None:
        assert self._keeper is not None
        while self._take_batch():
            try:
                with self._transaction() as connection:
                    self._keeper.note(connection, replies=bool(self.committing.replies))
                    self.committing.write(connection)
                with self.lock:
                    self._committed += self.committing.entries
                    self.committing = PutBatch()
                    self._progress.notify_all()
                if not self._closing:
                    self._keeper.work()
            except Exception as error:  # Whatever it is, a waiting put or flush must raise it.
                self._fail(error)
                return

    def _take_batch(self) -> bool:
        """Wait for the next batch to commit; False when there will be none."""
        limits = self._limits
        with self.lock:
            while not self.queued.entries and not self._closing:
                self._wake.wait()
            self._wake.wait_for(self._paid_or_due, limits.commit_unpaid_after_s)
            if self.queued.replies:
                self._wake.wait_for(self._due, limits.commit_after_s)
            # In this order, so that a reader, which looks without a lock, finds an entry in one.
            self.committing = self.queued
            self.queued = PutBatch()
            self._hurry = False
            self._progress.notify_all()
            return self.committing.entries > 0

    def _paid_or_due(self) -> bool:
        return bool(self.queued.replies) or self._due()

    def _due(self) -> bool:
        batch, limits = self.queued, self._limits
        many = len(batch.replies) >= limits.commit_replies
        return self._hurry or self._closing or many or batch.entries >= limits.commit_entries

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            cause = error
            error = StoreError(f"the store {self._path} could not be written: {cause!r}")
            error.__cause__ = cause
        with self.lock:
            self._failure = error
            self._progress.notify_all()

    # Ending

    def end(self) -> None:
        """Commit what is queued and end the thread."""
        with self.lock:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def end_later(self, after: Callable[[], None]) -> None:
        """End without waiting; the thread calls `after`, or this does where it has ended."""
        with self.lock:
            self._closing, self._after = True, after
            self._wake.notify()
            ended = self._ended
        if ended:
            after()

    def raise_unreported(self) -> None:
        """Raise a failure that no put and no flush has raised."""
        if self._failure is not None and not self._reported:
            self.check()
