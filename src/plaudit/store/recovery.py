"""Bringing back what SQLite can still read of a damaged store, by ranges of rowids.

A scan stops at the first damaged page. So each range is read from both ends up to the damage, and
what lies between is halved and read again. A seal shows whether a row is whole. Where the first
page is damaged, SQLite cannot open the file and nothing comes back.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from plaudit.engines.base import Completion
from plaudit.errors import UsageError
from plaudit.store.schema import unseal
from plaudit.store.store import Store

_LEAST_ROW = 50
"""Bytes that the smallest row takes."""
_TRIES = 2**16
"""A gap is halved down to this part of its width, or to one rowid."""

_Range = tuple[int, int]
"""First rowid, and the one after the last."""


class Recovered(msgspec.Struct):
    """What became of the replies and finished traces of a damaged store."""

    found: int = 0
    """Whole replies and traces that were read, copies of one included."""
    new: int = 0
    """Those that the store did not have, and has now."""
    damaged: int = 0
    """Rows that were read and are not whole."""
    lost_ranges: int = 0
    """Ranges of rowids that could not be read."""
    lost_rows: int = 0
    """Most rows that those ranges held."""

    def lose(self, lost: _Range, more: bool = False) -> None:
        """Count a range that could not be read; `more`: it continues the last one."""
        self.lost_ranges += not more
        self.lost_rows += lost[1] - lost[0]


def recover(damaged: Path, store: Store) -> Recovered:
    """Copy what is whole of a damaged store into another; what that has stays as it is.

    May be given again. Memory does not grow with the file.

    Raises:
        UsageError: there is no such file, or it is the store itself.
        StoreError: the store cannot be written.
    """
    if not damaged.is_file():
        raise UsageError(f"there is no file {damaged}")
    if damaged.resolve() == store.path.resolve():
        raise UsageError(f"{damaged} is the store in use; name one that was set aside")
    done = Recovered()
    most = damaged.stat().st_size // _LEAST_ROW
    with closing(sqlite3.connect(_address(damaged), uri=True)) as connection:
        try:
            connection.execute("PRAGMA writable_schema = ON")  # Opens cut-off files, too.
            tables = dict(connection.execute("SELECT name, 1 FROM sqlite_master"))
        except sqlite3.DatabaseError:
            done.lose((0, most))
            tables = {}
        if "reply" in tables:
            for key, sealed in _rows(connection, "reply", "completion", most, done):
                _take_reply(store, key, unseal(sealed, key), done)
        if "trace" in tables:
            for key, sealed in _rows(connection, "trace", "body", most, done):
                _take_trace(store, key, unseal(sealed, key), done)
    store.flush()
    return done


def _address(path: Path) -> str:
    """Return the URI that opens a file read-only; its log is read where the folder is writable."""
    fixed = "" if os.access(path.parent, os.W_OK) else "&immutable=1"
    return f"{path.absolute().as_uri()}?mode=ro{fixed}"


def _take_reply(store: Store, key: bytes, body: bytes | None, done: Recovered) -> None:
    try:
        reply = None if body is None else msgspec.msgpack.decode(body, type=Completion)
    except msgspec.DecodeError:
        reply = None
    if reply is None:
        done.damaged += 1
        return
    done.found += 1
    if store.get_reply(key) is None:
        done.new += 1
        store.put_reply(key, reply)


def _take_trace(store: Store, key: bytes, body: bytes | None, done: Recovered) -> None:
    if body is None:
        done.damaged += 1
        return
    done.found += 1
    if store.get_result(key) is None:
        done.new += 1
        store.put_result(key, body)


def _rows(
    connection: sqlite3.Connection, table: str, body: str, most: int, done: Recovered
) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and sealed bodies of a table; ranges that cannot be read are counted."""
    columns = f"rowid, CAST(key AS BLOB), CAST({body} AS BLOB)"
    scan = f"SELECT {columns} FROM {table} WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
    waiting, least, lost_to = [_bounds(connection, table, most)], 0, -1
    while waiting:
        first, end = waiting.pop()
        try:
            for rowid, key, sealed in connection.execute(scan, (first, end)):
                first = max(first, rowid + 1)
                yield key or b"", sealed or b""
            continue
        except sqlite3.DatabaseError:  # From the other end.
            pass
        try:
            for rowid, key, sealed in connection.execute(f"{scan} DESC", (first, end)):
                end = min(end, rowid)
                yield key or b"", sealed or b""
            continue
        except sqlite3.DatabaseError:
            pass
        least = least or max(1, (end - first) // _TRIES)
        if end - first <= least:
            done.lose((first, end), more=first == lost_to)
            lost_to = end
        else:
            middle = (first + end) // 2
            waiting += [(middle, end), (first, middle)]


def _bounds(connection: sqlite3.Connection, table: str, most: int) -> _Range:
    """Return the range of a table's rowids; a wider one where an end of the table is damaged."""
    first, last = (_end(connection, table, which) for which in ("min", "max"))
    if first is None:
        first = 1 if last is None else max(1, last - most)
    return first, (first + most if last is None else last) + 1


def _end(connection: sqlite3.Connection, table: str, which: str) -> int | None:
    try:
        found = connection.execute(f"SELECT {which}(rowid) FROM {table}").fetchone()
    except sqlite3.DatabaseError:
        return None
    return found[0] or 0
