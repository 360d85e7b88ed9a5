"""An open store file: connections, transactions, run locks, and what a fork needs."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from plaudit._util import disk
from plaudit.errors import StoreError
from plaudit.store.base import Limits
from plaudit.store.damage import open_sound
from plaudit.store.limit import Keeper, environment_limit
from plaudit.store.queue import Queue
from plaudit.store.schema import make, migrate

open_sessions: "set[Session]" = set()
"""Those whose connections must be closed while the process forks."""


def _check_place(path: Path) -> None:
    """Refuse a network file system; make the folder.

    Raises:
        StoreError: the store cannot be there, and why.
    """
    kind = disk.network_file_system(path, psutil.disk_partitions(all=True))
    if kind:
        raise StoreError(
            f"the store {path} would lie on a network file system ({kind}), where SQLite's "
            "write-ahead log is not safe: give a place on a local disk with cache=PATH"
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise disk.database_error(path, error) from error


def _connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open the store's file, made and brought up to date where needed.

    Raises:
        StoreError: it cannot be used, and why.
    """
    # Only for this user; SQLite gives its log and its index the permissions of the file.
    with contextlib.suppress(OSError):  # It is there, or SQLite says why it cannot be made.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        connection = sqlite3.connect(
            path, timeout=busy_s, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise disk.database_error(path, error) from error
    with disk.closed_on_error(connection, path):
        make(connection)
        migrate(connection, path)
        _use_write_ahead_log(connection, path, busy_s)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")  # KiB; bounds memory on large stores.
        connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
        connection.execute("PRAGMA wal_autocheckpoint = 10000")
    return connection


def _connect_read_only(path: Path, busy_s: float) -> sqlite3.Connection:
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
            address, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise disk.database_error(path, error) from error
    with disk.closed_on_error(connection, path):
        connection.execute("SELECT 1 FROM run LIMIT 1")
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path, busy_s: float) -> None:
    # SQLite does not wait here for another process that does the same, so this does.
    give_up = time.monotonic() + busy_s
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
                "on a local disk with cache=PATH"
            )
        return


class Session:
    """An open store: two connections, the queue, the locks of the runs.

    Knows nothing of its `Store`, so that a forgotten store can be closed when it is collected.
    """

    def __init__(self, path: Path, limits: Limits, *, read_only: bool = False) -> None:
        """Open a store; one that is `read_only` takes no lock, and nothing is made beside it."""
        self.path = path
        self.read_only = read_only
        self.limits = limits
        self.run_locks: dict[int, int] = {}
        self._connect = partial(_connect_read_only if read_only else _connect, busy_s=limits.busy_s)
        self._closed = False
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._reading: sqlite3.Cursor | None = None
        self._writing: sqlite3.Connection | None = None
        self._use: int | None = None
        if read_only:
            self.queue = Queue(path, self.transaction, None, limits)
            self._cursor()
        else:
            _check_place(path)
            keeper = Keeper(path, self.transaction, environment_limit(), limits)
            self.queue = Queue(path, self.transaction, keeper, limits)
            waits = limits.busy_s, limits.let_go_s
            self._writing, self._use = open_sound(path, self._connect, *waits)
            self.queue.start()
        open_sessions.add(self)

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
            raise StoreError(f"the store {self.path} was closed while it was in use")
        if self._reading is None:
            self._reading = self._connect(self.path).cursor()
        return self._reading

    # Writing

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the write connection within a transaction, committed at the end."""
        if self.read_only:
            self.queue.check()
        try:
            with self._write_lock:
                connection = self._writing = self._writing or self._connect(self.path)
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
                connection = self._writing = self._writing or self._connect(self.path)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise disk.database_error(self.path, error) from error

    # Ending

    def close(self) -> None:
        """Commit what is queued, give up the runs, close everything.

        Raises:
            StoreError: something could not be committed, and no put or flush has said so.
        """
        self.queue.end()
        self._let_go()
        self.queue.raise_unreported()

    def close_later(self) -> None:
        """Do what `close` does, in the writer thread; called when a store is collected.

        That may be at any time, in any thread, and while other locks are held, so nothing is waited
        for here.
        """
        self.queue.end_later(self._let_go)

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
        self.queue.lock.acquire()
        self._close_connections()

    def after_fork_in_parent(self) -> None:
        """Go on; the connections are opened again when they are needed."""
        self.queue.lock.release()
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
