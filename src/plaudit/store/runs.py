"""Runs, their verdicts, and output lines that wait: the part of a store that is no cache.

A run belongs to the holder of the lock on its lock file (`store.sqlite.run-7.lock`); the kernel
frees that when the process dies. Beginning a run that is unfinished and free continues it.
Beginning one that is held makes a new run beside it, and the two share nothing but replies.
"""

import difflib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from plaudit.errors import StoreError, UsageError
from plaudit.store.base import RunInfo, RunState
from plaudit.store.schema import row_id, row_owner, unseal
from plaudit.store.session import Session

_PAGE = 1_000
_NEWEST = "(SELECT coalesce(max(rowid), 0) FROM reply)"
_RUN_COLUMNS = "number, name, kind, config, state, started, finished, summary"


class RunLog(ABC):
    """Runs and verdicts in a store file.

    Every method raises `StoreError` when the file cannot be read or written.
    """

    path: Path
    session: Session | None

    @abstractmethod
    def open(self) -> Session:
        """Return the open file."""

    # Verdicts

    def put_verdicts(self, run: int, verdicts: Sequence[tuple[int, str, bytes]]) -> None:
        """Store verdicts in place of any earlier ones: index of the sample, status, payload."""
        first = row_id(run, 0)
        entries = {first + index: (status, payload) for index, status, payload in verdicts}
        size = sum([len(payload) for _, _, payload in verdicts])
        self.open().queue.put("verdicts", entries, size)

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
        session = self.open()
        if session.queue.queued.verdicts or session.queue.committing.verdicts:
            session.queue.flush()
        wanted = tuple(statuses or ())
        among = "" if statuses is None else f" AND status IN ({', '.join('?' * len(wanted))})"
        statement = (
            "SELECT id, status, CAST(payload AS BLOB) FROM verdict WHERE id >= ? AND id < ?"
            f"{among} ORDER BY id LIMIT ?"
        )
        first, last, left = row_id(run, start), row_id(run + 1, 0), limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(_PAGE, left)
            page = self.open().rows(statement, (first, last, *wanted, size))
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
        self.open().queue.put("held", {row_id(run, index): line}, len(line))

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        """Yield the held lines of `start`, `start + 1`, ... up to the first that is not held.

        What was yielded is deleted, by one of the next commits.
        """
        session = self.open()
        if session.queue.queued.held or session.queue.committing.held:
            session.queue.flush()
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
                session.queue.drop_held(first, first + taken - 1)

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
        session = self.open()
        session.queue.flush()
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
        """Note how a run ended; its verdicts are committed first.

        Args:
            number: the run.
            state: `finished`, or `interrupted` if it is to be continued.
            summary: the summary as JSON.
        """
        session = self.open()
        session.queue.flush()
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
        session = self.open()
        if not session.read_only:
            with session.transaction() as connection:
                _settle(session, connection)
        return _run_where(session, "number > ?", 0, -1 if limit is None else limit)

    def last_run(self, identity: bytes) -> RunInfo | None:
        """Return the newest run of an identity, in whatever state; None where there is none."""
        session = self.open()
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
