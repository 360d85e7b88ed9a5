"""What is done for a store while it is written: noting the time, and keeping its size limit."""

import logging
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from plaudit.errors import UsageError
from plaudit.store.eviction import Eviction, Transaction, Wish, used_bytes
from plaudit.store.sizes import format_size, parse_size

_logger = logging.getLogger(__name__)

_NOTE_EVERY_S = 600.0
_EVICT_FROM, _EVICT_TO = 0.95, 0.9
_MOMENT_S = 0.02
_TRY_AGAIN_S = 60.0


class Keeper:
    """Keeps a store in order while it is written: the times of its replies, and its limit."""

    def __init__(self, path: Path, transaction: Transaction, limit: int | None) -> None:
        """Keep a store; `limit` in bytes goes before the one that is set in the store."""
        self._path = path
        self._transaction = transaction
        self._eviction = Eviction(transaction)
        self._limit = limit
        self._noted = -math.inf
        self._over: int | None = None
        """The limit, while the store is over it."""
        self._working: Iterator[None] | None = None
        self._idle_until = -math.inf
        self._warned = False

    def note(self, connection: sqlite3.Connection, *, replies: bool) -> None:
        """Look at the store in the transaction of a commit, before anything is written."""
        now = time.monotonic()
        if replies and now > self._noted + _NOTE_EVERY_S:
            self._noted = now
            connection.execute(
                "INSERT OR REPLACE INTO reply_time SELECT max(rowid), ? FROM reply"
                " HAVING max(rowid) IS NOT NULL",
                (int(time.time()),),
            )
        limit = get_limit(connection) if self._limit is None else self._limit
        over = limit is not None and used_bytes(connection) > limit * _EVICT_FROM
        self._over = limit if over else None

    def work(self) -> None:
        """Evict for a moment, if the store is over its limit."""
        if self._working is None:
            if self._over is None or time.monotonic() < self._idle_until:
                return
            self._working = self._evict(self._over)
        until = time.monotonic() + _MOMENT_S
        for _ in self._working:
            if time.monotonic() > until:
                return
        self._working = None

    def _evict(self, limit: int) -> Iterator[None]:
        yield from self._eviction.grant(Wish(size=int(limit * _EVICT_TO)), file_size=limit)
        if self._eviction.stuck:
            self._idle_until = time.monotonic() + _TRY_AGAIN_S
            with self._transaction() as connection:
                used = used_bytes(connection)
            if used > limit:
                self._warn(limit, used)

    def _warn(self, limit: int, used: int) -> None:
        if self._warned:
            return
        self._warned = True
        _logger.warning(
            "the store %s holds %s, over its limit of %s, and all of it is spared for "
            "unfinished runs (%s): it grows on. Finish them, or give one up with: "
            "plaudit store prune --forget RUN",
            self._path,
            format_size(used),
            format_size(limit),
            ", ".join(self._eviction.spared_for),
        )


def get_limit(connection: sqlite3.Connection) -> int | None:
    """Return the limit that is set in the store, in bytes."""
    found = connection.execute("SELECT value FROM setting WHERE name = 'limit'").fetchone()
    return found[0] if found else None


def set_limit(connection: sqlite3.Connection, limit: int | None) -> None:
    """Set the limit, in bytes, or with None remove it; within a transaction."""
    connection.execute("DELETE FROM setting WHERE name = 'limit'")
    if limit is not None:
        connection.execute("INSERT INTO setting (name, value) VALUES ('limit', ?)", (limit,))


def environment_limit() -> int | None:
    """Return the limit that `$PLAUDIT_STORE_LIMIT` gives, in bytes; None where it is not set.

    Raises:
        UsageError: it is no size.
    """
    text = os.environ.get("PLAUDIT_STORE_LIMIT")
    if not text:
        return None
    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(f"$PLAUDIT_STORE_LIMIT: {error}") from None
