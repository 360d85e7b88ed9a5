"""The store: every reply that was paid for, the runs, and their verdicts, in one SQLite file.

Resuming a run *is* the reply cache, so the store has one duty above all: a reply that was put and
committed is there after a kill, a full disk or a fork. Puts are queued, and a writer thread commits
them: replies within 100 ms or 200 of them, what can be made anew of replies within a second; reads
look at the queue first. What fails in that thread is raised by the next put, flush or close.

A run belongs to who holds the lock on its lock file (`store.sqlite.run-7.lock`), which the kernel
frees when the process dies. Beginning a run that is unfinished and not held continues it; beginning
one that is held makes a new run beside it, and the two share nothing but replies.
"""

import atexit
import difflib
import functools
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Collection, Generator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import msgspec
import platformdirs

from plaudit._util.forks import around_forks
from plaudit._util.paths import possible
from plaudit.engines.base import Completion
from plaudit.errors import StoreError, UsageError
from plaudit.store.schema import row_id
from plaudit.store.seal import row_owner, seal, unseal
from plaudit.store.session import Session, open_sessions

RunState = Literal["running", "interrupted", "finished"]

_logger = logging.getLogger(__name__)

_PAGE = 1_000

# Cast, because a flipped bit can turn the type of a value.
_GET_REPLY = "SELECT CAST(completion AS BLOB) FROM reply WHERE key = ?"
_NEWEST = "(SELECT coalesce(max(rowid), 0) FROM reply)"
_KEYS_A_STATEMENT = 500
_RUN_COLUMNS = "number, name, kind, config, state, started, finished, summary"


@functools.cache
def _get_replies(count: int) -> str:
    columns = "key, CAST(completion AS BLOB)"
    return f"SELECT {columns} FROM reply WHERE key IN ({', '.join('?' * count)})"


class RunInfo(msgspec.Struct, frozen=True):
    """One run, as the store knows it."""

    number: int
    """Counts from 1 and is never used again."""
    name: str
    """Kind and number, such as `feedback-0007`."""
    kind: str
    config: bytes
    """The run's configuration as JSON, that of the latest attempt."""
    state: RunState
    """`interrupted` too when its process died without saying so."""
    started: str
    """When it first began: ISO 8601, UTC."""
    finished: str | None = None
    summary: bytes | None = None
    """The summary as JSON; None while no attempt has ended."""


def default_store_path() -> Path:
    """Return `store.sqlite` in `$PLAUDIT_HOME`, else in the platform's data folder."""
    home = os.environ.get("PLAUDIT_HOME")
    folder = Path(home) if home else Path(platformdirs.user_data_dir("plaudit", appauthor=False))
    return folder / "store.sqlite"


def _file(path: str | Path) -> Path:
    """Return the path of a store.

    Raises:
        StoreError: it is one of a folder alone, such as / or an empty one.
        UsageError: the system takes no such path.
    """
    found = possible(path)
    if not found.name:
        raise StoreError(
            f"the store {found} is a folder: give the path of a file with --store PATH"
        )
    return found


class Store:
    """Replies, runs and verdicts in one SQLite file.

    Opened on first use, and again when used after `close`. Every method may be called from any
    thread and sees everything that was put before. After a fork the child opens its own
    connections, and what the parent had queued is the parent's. A pickled store is its path. Two
    processes may use one file.

    Every method raises `StoreError` when the file cannot be read or written.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        """Name a store; nothing is opened.

        Args:
            path: its file.
            read_only: whether nothing is written, not even that a run was interrupted.
        """
        self.path = _file(path)
        self._read_only = read_only
        self.session: Session | None = None
        """The open file; None while it is closed."""
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._warned = False
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Completion).decode

    def __reduce__(self) -> Any:
        return functools.partial(Store, read_only=self._read_only), (self.path,)

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> Session:
        """Open the file now, rather than on first use."""
        return self.session or self._open()

    def _open(self) -> Session:
        with _opening:
            if self.session is None:
                session = Session(self.path, read_only=self._read_only)
                self.session = session
                self._finalizer = weakref.finalize(self, session.close_later)
                self._finalizer.atexit = False
                _stores.add(self)
            return self.session

    def flush(self) -> None:
        """Wait until everything put so far is committed."""
        if self.session is not None:
            self.session.flush()

    def close(self) -> None:
        """Commit everything and close the file; runs that were not ended become interrupted."""
        with _opening:
            session, self.session = self.session, None
            if session is not None and self._finalizer is not None:
                self._finalizer.detach()
                session.close()

    def close_later(self) -> None:
        """Do what `close` does without waiting for it, where nobody can use the store any more."""
        session, self.session = self.session, None
        if session is not None and self._finalizer is not None:
            self._finalizer.detach()
            session.close_later()

    def forget_after_fork(self) -> None:
        """Forget, in a forked child, what belongs to the parent."""
        if self._finalizer is not None:
            self._finalizer.detach()
        self.session = None

    # Replies

    def get_reply(self, key: bytes) -> Completion | None:
        """Return the reply of a request key, or None.

        A reply that is not what was put counts as none, so it is asked again and replaced.
        """
        session = self.session or self._open()
        found = session.queued.replies.get(key) or session.committing.replies.get(key)
        if found:
            return found[0]
        encoded = session.row(_GET_REPLY, key)
        return None if encoded is None else self._read_reply(key, encoded)

    def get_replies(self, keys: Sequence[bytes]) -> dict[bytes, Completion]:
        """Return the replies of those keys that have one, at a tenth of the cost of one by one."""
        session = self.session or self._open()
        found: dict[bytes, Completion] = {}
        queued, committing = session.queued.replies, session.committing.replies
        if queued or committing:
            for key in keys:
                entry = queued.get(key) or committing.get(key)
                if entry:
                    found[key] = entry[0]
            keys = [key for key in keys if key not in found]
        for start in range(0, len(keys), _KEYS_A_STATEMENT):
            some = keys[start : start + _KEYS_A_STATEMENT]
            for key, encoded in session.rows(_get_replies(len(some)), some):
                completion = self._read_reply(key, encoded)
                if completion is not None:
                    found[key] = completion
        return found

    def _read_reply(self, key: bytes, stored: bytes) -> Completion | None:
        body = unseal(stored, key)
        try:
            if body is not None:
                return self._decode(body)
        except msgspec.DecodeError:
            pass
        if not self._warned:
            self._warned = True
            _logger.warning(
                "a reply in the store %s is damaged and is asked again, as will be any other such; "
                "the disk or the memory may be failing",
                self.path,
            )
        return None

    def put_reply(self, key: bytes, completion: Completion) -> None:
        """Store the reply of a request key, in place of any earlier one."""
        encoded = seal(self._encode(completion), key)
        session = self.session or self._open()
        session.put("replies", key, (completion, encoded), len(encoded))

    # Verdicts

    def put_verdict(self, run: int, index: int, status: str, payload: bytes) -> None:
        """Store the verdict of sample `index`, in place of any earlier one."""
        session = self.session or self._open()
        id = row_id(run, index)
        sealed = seal(payload, row_owner(id))
        session.put("verdicts", id, (id, status, sealed), len(sealed))

    def verdicts(
        self,
        run: int,
        statuses: Collection[str] | None = None,
        start: int = 0,
        limit: int | None = None,
    ) -> Iterator[tuple[int, str, bytes]]:
        """Yield (index, status, payload) in the order of the index, a page at a time.

        Args:
            run: number of the run.
            statuses: only these; None: all.
            start: first index.
            limit: most verdicts to yield; None: all.
        """
        session = self.session or self._open()
        if session.queued.verdicts or session.committing.verdicts:
            session.flush()
        wanted = tuple(statuses or ())
        among = "" if statuses is None else f" AND status IN ({', '.join('?' * len(wanted))})"
        statement = (
            "SELECT id, status, CAST(payload AS BLOB) FROM verdict WHERE id >= ? AND id < ?"
            f"{among} ORDER BY id LIMIT ?"
        )
        first, last, left = row_id(run, start), row_id(run + 1, 0), limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = (self.session or self._open()).rows(statement, (first, last, *wanted, size))
            for id, status, stored in page:
                index = id - row_id(run, 0)
                yield index, status, self._read_row(id, stored, f"verdict {index} of run {run}")
            if len(page) < size:
                return
            first = page[-1][0] + 1
            left = None if left is None else left - size

    # Output lines that wait for an earlier one

    def hold(self, run: int, index: int, line: bytes) -> None:
        """Keep the output line of sample `index` until an earlier one is finished."""
        session = self.session or self._open()
        id = row_id(run, index)
        session.put("held", id, seal(line, row_owner(id)), len(line))

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        """Yield the held lines of `start`, `start + 1`, ... up to the first that is not held.

        What was yielded is deleted, by one of the next commits.
        """
        session = self.session or self._open()
        if session.queued.held or session.committing.held:
            session.flush()
        statement = (
            "SELECT id, CAST(line AS BLOB) FROM held WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        )
        expected, last = row_id(run, start), row_id(run + 1, 0)
        while True:
            page = session.rows(statement, (expected, last, _PAGE))
            ids = count(expected)
            lines = [
                self._read_row(id, line, f"output line {id - row_id(run, 0)} of run {run}")
                for (id, line), wanted in zip(page, ids, strict=False)
                if id == wanted
            ]
            yield from self._delete_when_taken(session, expected, lines)
            expected += len(lines)
            if len(lines) < _PAGE:
                return

    def _delete_when_taken(
        self, session: Session, first: int, lines: list[bytes]
    ) -> Iterator[bytes]:
        taken = 0
        try:
            for line in lines:
                taken += 1
                yield line
        finally:
            if taken:
                session.drop_held(first, first + taken - 1)

    def _read_row(self, id: int, stored: bytes, what: str) -> bytes:
        body = unseal(stored, row_owner(id))
        if body is None:
            raise StoreError(
                f"the store {self.path} is damaged: {what} is not what was put there. Give the "
                "judge command again; it makes them anew from the replies"
            )
        return body

    # Runs

    def begin_run(self, identity: bytes, kind: str, config: bytes) -> RunInfo:
        """Continue the unfinished run of the same identity, or make a new one.

        Verdicts of the earlier attempt are deleted: its replies are in the store, so judging again
        gives them back, and samples that the input no longer has leave nothing behind. If the
        unfinished run is being run right now, by this or another process, a new run is made.

        Args:
            identity: what makes two runs the same.
            kind: first part of the name.
            config: the configuration as JSON.
        """
        session = self.session or self._open()
        session.flush()
        owned = set(session.run_locks)
        try:
            with session.transaction() as connection:
                _settle(session, connection)
                number = _claim_unfinished(session, connection, identity)
                if number is None:
                    number = _new_run(session, connection, identity, kind)
                connection.execute(
                    "UPDATE run SET state = 'running', config = ?, finished = NULL, summary = NULL,"
                    " last_reply = NULL WHERE number = ?",
                    (config, number),
                )
            return _run_where(session, "number = ?", number)[0]
        except BaseException:
            for number in session.run_locks.keys() - owned:
                session.release(number)
            raise

    def note_run(self, number: int, config: bytes) -> None:
        """Keep a run's configuration as it was settled on the way, as JSON."""
        with self.open().transaction() as connection:
            connection.execute("UPDATE run SET config = ? WHERE number = ?", (config, number))

    def end_run(self, number: int, state: RunState, summary: bytes) -> None:
        """Say how a run ended; its verdicts are committed first.

        Args:
            number: the run.
            state: `finished`, or `interrupted` if it is to be continued.
            summary: the summary as JSON.
        """
        session = self.session or self._open()
        session.flush()
        finished = _now() if state == "finished" else None
        with session.transaction() as connection:
            connection.execute(
                f"UPDATE run SET state = ?, finished = ?, summary = ?, last_reply = {_NEWEST}"
                " WHERE number = ?",
                (state, finished, summary, number),
            )
            _delete(connection, "held", number)
            session.release(number)

    def runs(self, limit: int | None = None) -> list[RunInfo]:
        """Return the newest runs, newest first."""
        session = self.session or self._open()
        if not session.read_only:
            with session.transaction() as connection:
                _settle(session, connection)
        return _run_where(session, "number > ?", 0, -1 if limit is None else limit)

    def last_run(self, identity: bytes) -> RunInfo | None:
        """Return the newest run of an identity, in whatever state; None where there is none."""
        session = self.session or self._open()
        return next(iter(_run_where(session, "identity = ?", identity, 1)), None)

    def find_run(self, text: str) -> RunInfo:
        """Return the run of that name or number, or the newest for `last`.

        Raises:
            UsageError: there is none; the message lists those that are close.
        """
        runs = self.runs()
        if not runs:
            raise UsageError(f"the store {self.path} has no runs yet")
        if text == "last":
            return runs[0]
        for run in runs:
            if text == run.name or text == str(run.number):
                return run
        names = [run.name for run in runs]
        close = difflib.get_close_matches(text, names, n=5, cutoff=0.5) or names[:5]
        raise UsageError(f"there is no run {text!r}; there are {', '.join(close)}")

    def forget_run(self, text: str, *, dry_run: bool = False) -> int:
        """Remove a run that nobody is running, by name or number, and return its number.

        Its replies stay, and its verdicts until the next pruning.

        Raises:
            UsageError: there is no such run, or it is being run.
        """
        number = self.find_run(text).number
        session = self.open()
        with session.transaction() as connection:
            if number in session.run_locks or not session.claim(number):
                raise UsageError(f"run {text} is being run: end it first")
            if not dry_run:
                connection.execute("DELETE FROM run WHERE number = ?", (number,))
            session.release(number)
        return number


def iso(time: datetime) -> str:
    """Return a time as the store writes it."""
    return time.isoformat(timespec="seconds")


def _now() -> str:
    return iso(datetime.now(UTC))


def _new_run(session: Session, connection: sqlite3.Connection, identity: bytes, kind: str) -> int:
    made = connection.execute(
        "INSERT INTO run (identity, name, kind, config, state, started, first_reply)"
        f" VALUES (?, hex(randomblob(16)), ?, '', 'running', ?, {_NEWEST})",
        (identity, kind, _now()),
    )
    number = made.lastrowid or 0
    name = f"{kind}-{number:04d}"
    connection.execute("UPDATE run SET name = ? WHERE number = ?", (name, number))
    session.claim(number)
    return number


def _claim_unfinished(
    session: Session, connection: sqlite3.Connection, identity: bytes
) -> int | None:
    unfinished = connection.execute(
        "SELECT number FROM run WHERE identity = ? AND state != 'finished' ORDER BY number DESC",
        (identity,),
    ).fetchall()
    for (number,) in unfinished:
        if session.claim(number):
            _delete(connection, "verdict", number)
            _delete(connection, "held", number)
            return number
    return None


def _delete(connection: sqlite3.Connection, table: str, run: int) -> None:
    connection.execute(
        f"DELETE FROM {table} WHERE id >= ? AND id < ?", (row_id(run, 0), row_id(run + 1, 0))
    )


def _interrupt(connection: sqlite3.Connection, run: int) -> None:
    connection.execute(
        f"UPDATE run SET state = 'interrupted', last_reply = {_NEWEST} WHERE number = ?", (run,)
    )
    _delete(connection, "held", run)


def _settle(session: Session, connection: sqlite3.Connection) -> None:
    """Mark the runs whose process died as interrupted."""
    running = connection.execute("SELECT number FROM run WHERE state = 'running'").fetchall()
    for (number,) in running:
        if number not in session.run_locks and session.claim(number):
            _interrupt(connection, number)
            session.release(number)


def _run_where(
    session: Session, condition: str, value: int | bytes, limit: int = -1
) -> list[RunInfo]:
    rows = session.rows(
        f"SELECT {_RUN_COLUMNS} FROM run WHERE {condition} ORDER BY number DESC LIMIT ?",
        (value, limit),
    )
    return [RunInfo(*row) for row in rows]


def _close_at_exit() -> None:
    """Close what is still open when the interpreter ends."""
    for session in list(open_sessions):
        session.close()


atexit.register(_close_at_exit)

_opening = threading.Lock()
_stores: "weakref.WeakSet[Store]" = weakref.WeakSet()
_forking: list[Session] = []


def _before_fork() -> None:
    _opening.acquire()
    _forking.extend(open_sessions)  # A store that was collected is not among the stores.
    for session in _forking:
        session.before_fork()


def _after_fork_in_parent() -> None:
    for session in _forking:
        session.after_fork_in_parent()
    _forking.clear()
    _opening.release()


def _after_fork_in_child() -> None:
    global _opening
    _opening = threading.Lock()
    for session in _forking:
        session.after_fork_in_child()
    _forking.clear()
    for store in list(_stores):
        store.forget_after_fork()


around_forks(_before_fork, _after_fork_in_parent, _after_fork_in_child)
