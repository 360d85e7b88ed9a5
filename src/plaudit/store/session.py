"""An open store: connections, the queue of what was put, the thread that commits it, run locks.

Everything about threads, forks and locks is here, so that `store` can be read as SQL.
"""

import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import psutil

from plaudit._util import disk
from plaudit.engines.base import Completion
from plaudit.errors import StoreError
from plaudit.store.damage import open_sound
from plaudit.store.keeper import Keeper, environment_limit
from plaudit.store.schema import make, migrate

Table = Literal["replies", "verdicts", "held"]

_BUSY_S = 30.0
_COMMIT_AFTER_S = 0.1
_COMMIT_REPLIES = 200  # What was paid for must not wait for company.
_COMMIT_UNPAID_AFTER_S = 1.0  # A commit empties the page cache of all who read.
_COMMIT_ENTRIES = 5_000
_QUEUE_ENTRIES = 10_000
_QUEUE_BYTES = 32 * 2**20
_ROWS_A_STATEMENT = 200


open_sessions: "set[Session]" = set()
"""Those whose connections must be closed while the process forks."""


class Batch:
    """What was put and is not yet committed."""

    def __init__(self) -> None:
        self.replies: dict[bytes, tuple[Completion, bytes]] = {}
        self.verdicts: dict[int, tuple[int, str, bytes]] = {}
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
        replies = [(key, encoded) for key, (_, encoded) in self.replies.items()]
        _insert(connection, "reply (key, completion)", replies)
        _insert(connection, "verdict (id, status, payload)", list(self.verdicts.values()))
        _insert(connection, "held (id, line)", list(self.held.items()))


def _insert(
    connection: sqlite3.Connection, into: str, rows: Sequence[tuple[int | bytes | str, ...]]
) -> None:
    # Many rows a statement, because sqlite3 gives up the GIL once a statement and gets it back
    # only after the switch interval (5 ms) when another thread computes.
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        chunk = rows[start : start + _ROWS_A_STATEMENT]
        statement = _insert_statement(into, len(chunk[0]), len(chunk))
        connection.execute(statement, list(chain.from_iterable(chunk)))


@functools.cache
def _insert_statement(into: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT OR REPLACE INTO {into} VALUES {', '.join([row] * rows)}"


def _check_place(path: Path) -> None:
    """Refuse a network file system; make the folder.

    Raises:
        StoreError: the store cannot be there, and why.
    """
    kind = disk.network_file_system(path, psutil.disk_partitions(all=True))
    if kind:
        raise StoreError(
            f"the store {path} would lie on a network file system ({kind}), where SQLite's "
            "write-ahead log is not safe: give a place on a local disk with --store PATH"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise disk.database_error(path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    """Open the store's file, made and brought up to date where needed.

    Raises:
        StoreError: it cannot be used, and why.
    """
    # Only for this user; SQLite gives its log and its index the permissions of the file.
    with contextlib.suppress(OSError):  # It is there, or SQLite says why it cannot be made.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise disk.database_error(path, error) from error
    with disk.closed_on_error(connection, path):
        make(connection)
        migrate(connection, path)
        _use_write_ahead_log(connection, path)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")  # KiB; bounds memory on large stores.
        connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
        connection.execute("PRAGMA wal_autocheckpoint = 10000")
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Open a store that cannot be written.

    SQLite reads the log through an index beside it, and makes that where it is missing. Where
    nothing can be made, and no log is there, the file is read as one that nobody changes.

    Raises:
        StoreError: it cannot be read, and why.
    """
    log = path.with_name(f"{path.name}-wal")
    whole = not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if whole else ''}"
    try:
        connection = sqlite3.connect(
            address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise disk.database_error(path, error) from error
    with disk.closed_on_error(connection, path):
        connection.execute("SELECT 1 FROM run LIMIT 1")
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    # SQLite does not wait here for another process that does the same, so this does.
    give_up = time.monotonic() + _BUSY_S
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
            continue
        if mode != "wal":
            raise StoreError(
                f"the store {path} lies on a file system without a write-ahead log: give a place "
                "on a local disk with --store PATH"
            )
        return


class Session:
    """An open store: two connections, the queue, the writer thread, the locks of the runs.

    Knows nothing of its `Store`, so that a forgotten store can be closed when it is collected.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open a store; one that is `read_only` takes no lock, and nothing is made beside it."""
        self.path = path
        self.read_only = read_only
        self.run_locks: dict[int, int] = {}
        self.queued = Batch()
        self.committing = Batch()
        self._put = 0
        self._committed = 0
        self._hurry = False
        self._closing = False
        self._closed = False
        self._failure: StoreError | None = None
        self._reported = False
        self._collected = False
        self._ended = False
        self._lock = threading.RLock()  # A collected store may be closed while it is held.
        self._wake = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._reading: sqlite3.Cursor | None = None
        self._writing: sqlite3.Connection | None = None
        self._use: int | None = None
        self._thread: threading.Thread | None = None
        if read_only:
            self._cursor()
            self._ended = True
            open_sessions.add(self)
            return
        _check_place(path)
        self._keeper = Keeper(path, self.transaction, environment_limit())
        self._writing, self._use = open_sound(path, _connect, _BUSY_S)
        self._thread = threading.Thread(target=self._run, name="plaudit-store", daemon=True)
        open_sessions.add(self)
        self._thread.start()

    # Reading

    def row(self, statement: str, key: bytes) -> bytes | None:
        """Return the only column of the only row, or None."""
        try:
            with self._read_lock:
                found = self._cursor().execute(statement, (key,)).fetchone()
        except sqlite3.Error as error:
            raise disk.database_error(self.path, error) from error
        return found[0] if found else None

    def rows(self, statement: str, values: Sequence[int | str | bytes]) -> list[tuple[Any, ...]]:
        """Return all rows; no statement stays open, so the next one sees the latest commit."""
        try:
            with self._read_lock:
                return self._cursor().execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise disk.database_error(self.path, error) from error

    def _cursor(self) -> sqlite3.Cursor:
        if self._closed:
            raise self._closed_in_use()
        if self._reading is None:
            connect = _connect_read_only if self.read_only else _connect
            self._reading = connect(self.path).cursor()
        return self._reading

    # Writing

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the write connection within a transaction, committed at the end."""
        if self.read_only:
            raise self._only_read()
        try:
            with self._write_lock:
                connection = self._writing = self._writing or _connect(self.path)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        with contextlib.suppress(sqlite3.Error):
                            connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            raise disk.database_error(self.path, error) from error

    def fold_log(self) -> None:
        """Write the log into the database, which then has its true size."""
        try:
            with self._write_lock:
                connection = self._writing = self._writing or _connect(self.path)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise disk.database_error(self.path, error) from error

    def put(self, table: Table, key: int | bytes, value: Any, size: int) -> None:
        """Queue one entry of `size` bytes; waits while the queue is full.

        Raises:
            StoreError: an earlier entry could not be committed.
        """
        if self.read_only:
            raise self._only_read()
        with self._lock:
            if self._failure is not None or self._closing:
                self._raise_failure()
            while self.queued.full:
                self._progress.wait()
                self._raise_failure()
            batch = self.queued
            entries: dict[int | bytes, Any] = getattr(batch, table)
            entries[key] = value
            batch.entries += 1
            batch.bytes += size
            batch.full = batch.entries >= _QUEUE_ENTRIES or batch.bytes >= _QUEUE_BYTES
            self._put += 1
            paid = table == "replies" and len(entries) in (1, _COMMIT_REPLIES)
            if paid or batch.entries in (1, _COMMIT_ENTRIES) or batch.full:
                self._wake.notify()

    def drop_held(self, first: int, last: int) -> None:
        """Delete the held lines of these rowids with one of the next commits."""
        with self._lock:
            self.queued.taken.append((first, last))

    def flush(self) -> None:
        """Wait until everything put so far is committed.

        Raises:
            StoreError: it cannot be.
        """
        with self._lock:
            target = self._put
            while self._committed < target:
                self._raise_failure()
                self._hurry = True
                self._wake.notify()
                self._progress.wait()
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._reported = True
            raise self._failure
        if self._closing:
            raise self._closed_in_use()

    def _only_read(self) -> StoreError:
        return StoreError(f"the store {self.path} is only read here")

    def _closed_in_use(self) -> StoreError:
        return StoreError(f"the store {self.path} was closed while it was in use")

    def _run(self) -> None:
        self._commit_batches()
        with self._lock:
            self._ended = True
            collected = self._collected
        if collected:
            self._let_go()
            self._raise_unreported()

    def _commit_batches(self) -> None:
        while self._take_batch():
            try:
                with self.transaction() as connection:
                    self._keeper.note(connection, replies=bool(self.committing.replies))
                    self.committing.write(connection)
                with self._lock:
                    self._committed += self.committing.entries
                    self.committing = Batch()
                    self._progress.notify_all()
                if not self._closing:
                    self._keeper.work()
            except Exception as error:  # Whatever it is, a waiting put or flush must hear of it.
                self._fail(error)
                return

    def _take_batch(self) -> bool:
        """Wait for the next batch to commit; False when there will be none."""
        with self._lock:
            while not self.queued.entries and not self._closing:
                self._wake.wait()
            self._wake.wait_for(self._paid_or_due, _COMMIT_UNPAID_AFTER_S)
            if self.queued.replies:
                self._wake.wait_for(self._due, _COMMIT_AFTER_S)
            # In this order, so that a reader, which looks without a lock, finds an entry in one.
            self.committing = self.queued
            self.queued = Batch()
            self._hurry = False
            self._progress.notify_all()
            return self.committing.entries > 0

    def _paid_or_due(self) -> bool:
        return bool(self.queued.replies) or self._due()

    def _due(self) -> bool:
        batch = self.queued
        many = len(batch.replies) >= _COMMIT_REPLIES or batch.entries >= _COMMIT_ENTRIES
        return self._hurry or self._closing or many

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            cause = error
            error = StoreError(f"the store {self.path} could not be written: {cause!r}")
            error.__cause__ = cause
        with self._lock:
            self._failure = error
            self._progress.notify_all()

    # Ending

    def close(self) -> None:
        """Commit what is queued, give up the runs, close everything.

        Raises:
            StoreError: something could not be committed, and no put or flush has said so.
        """
        with self._lock:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self._let_go()
        self._raise_unreported()

    def close_later(self) -> None:
        """Do what `close` does, in the writer thread; called when a store is collected.

        That may be at any time, in any thread, and while other locks are held, so nothing is waited
        for here.
        """
        with self._lock:
            self._closing = self._collected = True
            self._wake.notify()
            ended = self._ended
        if ended:
            self._let_go()

    def _raise_unreported(self) -> None:
        if self._failure is not None and not self._reported:
            self._raise_failure()

    def _let_go(self) -> None:
        # At the interpreter's end, threads that nobody waits for may still read.
        with self._write_lock, self._read_lock:
            if self._closed:
                return
            self._closed = True
            for run in list(self.run_locks):
                self.release(run)
            self._close_connections()
            if self._use is not None:
                os.close(self._use)
            open_sessions.discard(self)

    def _close_connections(self) -> None:
        if self._reading is not None:
            self._reading.connection.close()
        if self._writing is not None:
            self._writing.close()
        self._reading = self._writing = None

    # Locks of the runs

    def lock_path(self, run: int) -> Path:
        """Return the file whose lock says who owns a run."""
        return self.path.with_name(f"{self.path.name}.run-{run}.lock")

    def claim(self, run: int) -> bool:
        """Try to become the owner of a run. Within a transaction, as is everything about locks."""
        descriptor = disk.lock(self.lock_path(run))
        if descriptor is not None:
            self.run_locks[run] = descriptor
        return descriptor is not None

    def release(self, run: int) -> None:
        """Give up a run that this session owns; nothing happens if it does not."""
        descriptor = self.run_locks.pop(run, None)
        if descriptor is not None:
            self.lock_path(run).unlink(missing_ok=True)
            os.close(descriptor)

    # Forking. SQLite keeps locks in its own memory, which a child would inherit in whatever state
    # they are in; so no connection may be open while a process forks.

    def before_fork(self) -> None:
        """Stop everything at a point where nothing is half done, and close the connections."""
        self._write_lock.acquire()
        self._read_lock.acquire()
        self._lock.acquire()
        self._close_connections()

    def after_fork_in_parent(self) -> None:
        """Go on; the connections are opened again when they are needed."""
        self._lock.release()
        self._read_lock.release()
        self._write_lock.release()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's locks, which stay the parent's."""
        open_sessions.discard(self)
        if not self._closed:
            for descriptor in self.run_locks.values():
                os.close(descriptor)
            if self._use is not None:
                os.close(self._use)
