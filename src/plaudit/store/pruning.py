"""Removing the oldest from a store, a moment at a time, sparing what unfinished runs need.

Two kinds of replies are spared: those written during an unfinished or interrupted run, and those
that the verdicts of such a run name. Work is cut into slices, each a transaction of a few
hundredths of a second, so that other writers never wait longer. Memory does not grow with the
store: the keys that verdicts name are kept in a temporary table.
"""

import contextlib
import itertools
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import AbstractContextManager

import msgspec

from plaudit.store.schema import INDEX_BITS, row_id, row_owner, unseal

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]

_SLICE_S = (0.02, 0.08)
_ROWS = (16, 4_000)
_VERDICTS = 2_000
_KEYS = 500
_STILL_COMING = 10_000
"""Verdicts below the last one seen that may have come since: a run's samples end out of order."""
_RUNS_EVERY = 20
_FOREVER = 2**62
"""A rowid above all."""
_ROW_OVERHEAD = 52
"""Bytes that a reply takes besides its own: the key twice, two rowids, headers."""


_numbers = itertools.count(1)


class Removed(msgspec.Struct):
    """What was removed."""

    replies: int = 0
    reply_bytes: int = 0
    traces: int = 0
    trace_bytes: int = 0
    runs: int = 0
    verdicts: int = 0


class _Named(msgspec.Struct, array_like=True):
    """The beginning of a stored verdict, of which only the keys are of interest."""

    verdict: msgspec.Raw
    keys: list[bytes]


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the database that hold something; the rest is used again first."""
    return (_pragma(connection, "page_count") - free_pages(connection)) * page_size(connection)


def free_pages(connection: sqlite3.Connection) -> int:
    """Return the number of pages that hold nothing."""
    return _pragma(connection, "freelist_count")


def page_size(connection: sqlite3.Connection) -> int:
    """Return the bytes of a page."""
    return _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


class Pruning:
    """Removes the oldest; may be used again and again."""

    def __init__(
        self, transaction: Transaction, *, dry_run: bool = False, given_up: Collection[int] = ()
    ) -> None:
        """Get ready.

        Args:
            transaction: what all work is done in.
            dry_run: nothing is removed, only counted.
            given_up: numbers of runs that are removed whatever their state.
        """
        self.removed = Removed(runs=len(given_up))
        self.spared_for: list[str] = []
        """Names of the unfinished runs that were met."""
        self.stuck = False
        """Whether the size that was last asked for is out of reach: the rest is spared."""
        self._transaction = transaction
        self._dry_run = dry_run
        self._decode = msgspec.msgpack.Decoder(_Named).decode
        self._rows = 500
        self._at = 0
        """All replies up to here were removed, or are spared."""
        self._seen: dict[int, int] = {}
        """By run: all its verdicts before this one were looked at."""
        self._gone = set(given_up)
        self._named = f"named_{next(_numbers)}"

    @contextlib.contextmanager
    def _slice(self) -> Generator[sqlite3.Connection]:
        started = time.perf_counter()
        with self._transaction() as connection:
            yield connection
        took, (least, most) = time.perf_counter() - started, _ROWS
        if took < _SLICE_S[0]:
            self._rows = min(most, self._rows * 2)
        elif took > _SLICE_S[1]:
            self._rows = max(least, self._rows // 2)

    def work(
        self,
        *,
        size: int | None = None,
        replies_by: int | None = None,
        runs_by: str | None = None,
        file_size: int = 0,
    ) -> Iterator[None]:
        """Remove what is asked for; between two steps of the iterator, others may write.

        Args:
            size: most bytes that the database may use; the oldest go first.
            replies_by: replies that were written by then go: seconds since 1970.
            runs_by: finished runs that ended by then go, with their verdicts: ISO 8601, UTC.
            file_size: above so many bytes, empty pages are given back to the file system.
        """
        for _ in self._remove_asked(size, replies_by, runs_by):
            yield
            # At once, because SQLite looks through all empty pages for each one it gives back.
            yield from self._shrink(file_size)
        yield from self._shrink(file_size)

    def _remove_asked(
        self, size: int | None, replies_by: int | None, runs_by: str | None
    ) -> Iterator[None]:
        self._at = 0
        if self._dry_run:
            self._count_verdicts(self._gone)
        yield from self._clear_verdicts()
        if runs_by is not None:
            yield from self._forget("state = 'finished' AND finished <= ?", runs_by)
        if replies_by is not None:
            yield from self._name()
            yield from self._remove_old(replies_by)
        if size is not None:
            yield from self._name()
            yield from self._remove_to(size)

    def _shrink(self, to: int) -> Iterator[None]:
        while not self._dry_run:
            with self._slice() as connection:
                size = _pragma(connection, "page_count")
                if not free_pages(connection) or size * page_size(connection) <= to:
                    return
                for _ in range(min(self._rows, free_pages(connection))):
                    connection.execute("PRAGMA incremental_vacuum(1)")  # sqlite3 takes one step.
                if _pragma(connection, "page_count") == size:
                    return  # Made without it.
            yield

    # Replies

    def _remove_old(self, by: int) -> Iterator[None]:
        with self._transaction() as connection:
            last = connection.execute("SELECT max(reply) FROM reply_time WHERE at <= ?", (by,))
            upto: int | None = last.fetchone()[0]
        more = upto is not None
        while more:
            with self._slice() as connection:
                more = self._remove_some(connection, upto or 0)
            yield

    def _remove_to(self, size: int) -> Iterator[None]:
        self.stuck, slices, more = False, 0, True
        while more:
            with self._slice() as connection:
                excess = used_bytes(connection) - self.would_free() - size
                if excess <= 0:
                    break
                slices += 1
                more = self._remove_some(connection, _newest(connection), excess)
            yield
            if slices % _RUNS_EVERY == 0:
                yield from self._forget("state = 'finished' AND last_reply <= ?", self._at)
        if slices:
            yield from self._forget("state = 'finished' AND last_reply <= ?", self._at)
        with self._transaction() as connection:
            self.stuck = used_bytes(connection) - self.would_free() > size

    def would_free(self) -> int:
        """Return about how many bytes a dry run would free; 0 when this is none."""
        if not self._dry_run:
            return 0
        found = self.removed
        rows = found.replies + found.traces
        return found.reply_bytes + found.trace_bytes + rows * _ROW_OVERHEAD

    def _remove_some(self, connection: sqlite3.Connection, upto: int, most: int = _FOREVER) -> bool:
        """Remove the next few replies up to rowid `upto`, of about `most` bytes; False: no more."""
        while self._name_some(connection):
            pass
        spans = [(first, last) for _, _, first, last in self._unfinished(connection)]
        free = _first_free(spans, self._at, upto)
        if free is None:
            self._at = max(self._at, upto)
            return False
        start, end = free
        found = connection.execute(
            "SELECT rowid, length(completion), EXISTS"
            f" (SELECT 1 FROM temp.{self._named} AS named WHERE named.key = reply.key)"
            " FROM reply WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?",
            (start, end, self._rows),
        ).fetchall()
        self._at = found[-1][0] if len(found) == self._rows else end
        chosen: list[int] = []
        for rowid, length, spared in found:
            if not spared:
                chosen.append(rowid)
                self.removed.reply_bytes += length
                most -= length + _ROW_OVERHEAD
                if most <= 0:
                    self._at = rowid
                    break
        self._remove(connection, chosen)
        self._remove_traces(connection, start)
        return True

    def _remove(self, connection: sqlite3.Connection, rowids: list[int]) -> None:
        self.removed.replies += len(rowids)
        if self._dry_run or not rowids:
            return
        newest = _newest(connection)
        connection.executemany("DELETE FROM reply WHERE rowid = ?", [(id,) for id in rowids])
        if newest == rowids[-1]:
            _lower_marks(connection, _newest(connection))

    def _remove_traces(self, connection: sqlite3.Connection, start: int) -> None:
        """Remove the finished traces of the time after reply `start` that was passed over."""
        span = "reply > ? AND reply <= ?", (start or -1, self._at)
        count, size = connection.execute(
            f"SELECT count(*), total(length(body)) FROM trace WHERE {span[0]}", span[1]
        ).fetchone()
        self.removed.traces += count
        self.removed.trace_bytes += int(size)
        if count and not self._dry_run:
            connection.execute(f"DELETE FROM trace WHERE {span[0]}", span[1])

    # What verdicts name

    def _name(self) -> Iterator[None]:
        self._seen = {run: max(0, seen - _STILL_COMING) for run, seen in self._seen.items()}
        more = True
        while more:
            with self._slice() as connection:
                more = self._name_some(connection)
            yield

    def _name_some(self, connection: sqlite3.Connection) -> bool:
        """Note the replies that the next few verdicts of unfinished runs name."""
        made = "SELECT 1 FROM sqlite_temp_master WHERE name = ?"
        if not connection.execute(made, (self._named,)).fetchone():
            connection.execute(
                f"CREATE TEMP TABLE {self._named} (key BLOB PRIMARY KEY) WITHOUT ROWID"
            )
            self._seen.clear()
        unfinished = self._unfinished(connection)
        self.spared_for = [name for _, name, _, _ in unfinished]
        for number, _, first, last in unfinished:
            found = connection.execute(
                "SELECT id, CAST(payload AS BLOB) FROM verdict WHERE id >= ? AND id < ?"
                " ORDER BY id LIMIT ?",
                (row_id(number, self._seen.get(number, 0)), row_id(number + 1, 0), _VERDICTS),
            ).fetchall()
            if found:
                keys = [key for id, payload in found for key in self._keys(id, payload)]
                self._spare(connection, keys, first, last)
                self._seen[number] = found[-1][0] - row_id(number, 0) + 1
                return True
        return False

    def _spare(
        self, connection: sqlite3.Connection, keys: list[bytes], first: int, last: int
    ) -> None:
        for start in range(0, len(keys), _KEYS):
            chunk = keys[start : start + _KEYS]
            connection.execute(
                f"INSERT OR IGNORE INTO temp.{self._named} SELECT key FROM reply WHERE key IN"
                f" ({', '.join('?' * len(chunk))}) AND NOT (rowid > ? AND rowid <= ?)",
                (*chunk, first, last),
            )

    def _unfinished(self, connection: sqlite3.Connection) -> list[tuple[int, str, int, int]]:
        """Return number, name, and between which rowids its replies were written, in order."""
        found = connection.execute(
            "SELECT number, name, first_reply, coalesce(last_reply, ?) FROM run"
            " WHERE state != 'finished' ORDER BY first_reply",
            (_FOREVER,),
        )
        return [run for run in found if run[0] not in self._gone]

    def _keys(self, id: int, payload: bytes) -> list[bytes]:
        body = unseal(payload, row_owner(id))
        try:
            return [] if body is None else self._decode(body).keys
        except msgspec.DecodeError:
            return []

    # Runs

    def _forget(self, condition: str, value: str | int) -> Iterator[None]:
        with self._transaction() as connection:
            found = connection.execute(f"SELECT number FROM run WHERE {condition}", (value,))
            numbers = {number for (number,) in found} - self._gone
            self._gone |= numbers
            self.removed.runs += len(numbers)
            if not self._dry_run:
                connection.executemany("DELETE FROM run WHERE number = ?", [(n,) for n in numbers])
        if self._dry_run:
            self._count_verdicts(numbers)
        elif numbers:
            yield from self._clear_verdicts()

    def _count_verdicts(self, runs: Collection[int]) -> None:
        with self._transaction() as connection:
            self.removed.verdicts += sum(verdict_count(connection, run) for run in runs)

    def _clear_verdicts(self) -> Iterator[None]:
        """Remove verdicts that belong to no run, also such as an earlier, killed attempt left."""
        start: int | None = 0
        while start is not None and not self._dry_run:
            with self._slice() as connection:
                start = _first_without_run(connection, start)
                if start is not None:
                    run = start >> INDEX_BITS
                    removed = connection.execute(
                        "DELETE FROM verdict WHERE id IN (SELECT id FROM verdict"
                        " WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
                        (start, row_id(run + 1, 0), self._rows),
                    )
                    self.removed.verdicts += removed.rowcount
            yield


def verdict_count(connection: sqlite3.Connection, run: int) -> int:
    """Return how many verdicts a run has; of one that is not finished, at most."""
    ids = (row_id(run, 0), row_id(run + 1, 0))
    last = connection.execute("SELECT max(id) FROM verdict WHERE id >= ? AND id < ?", ids)
    found: int | None = last.fetchone()[0]
    return 0 if found is None else found - ids[0] + 1


def _newest(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(max(rowid), 0) FROM reply").fetchone()[0]


def _first_free(spans: list[tuple[int, int]], after: int, upto: int) -> tuple[int, int] | None:
    """Return the first stretch of rowids after `after` that no span covers, or None."""
    for first, last in spans:
        if after < min(first, upto):
            return after, min(first, upto)
        after = max(after, last)
    return (after, upto) if after < upto else None


def _lower_marks(connection: sqlite3.Connection, newest: int) -> None:
    """The newest replies are gone and their rowids are given again: nothing may lie above."""
    connection.execute(
        "UPDATE run SET first_reply = min(first_reply, ?), last_reply = min(last_reply, ?)",
        (newest, newest),
    )
    connection.execute("UPDATE trace SET reply = ? WHERE reply > ?", (newest, newest))
    connection.execute("DELETE FROM reply_time WHERE reply > ?", (newest,))


def _first_without_run(connection: sqlite3.Connection, start: int) -> int | None:
    while True:
        found = connection.execute("SELECT min(id) FROM verdict WHERE id >= ?", (start,))
        id: int | None = found.fetchone()[0]
        if id is None:
            return None
        run = id >> INDEX_BITS
        if not connection.execute("SELECT 1 FROM run WHERE number = ?", (run,)).fetchone():
            return id
        start = row_id(run + 1, 0)
