"""The size limit of a store: how people write sizes, where the limit is set, who keeps it."""

import logging
import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from plaudit.errors import UsageError
from plaudit.store.base import Limits
from plaudit.store.pruning import Pruning, Transaction, used_bytes

_logger = logging.getLogger(__name__)

_PRUNE_FROM, _PRUNE_TO = 0.95, 0.9
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?")
_AGE = re.compile(r"(\d+(?:\.\d+)?) ?([hdwy])")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}


def parse_size(text: str) -> int:
    """Return the bytes that `50GB`, `800 MiB` or `1.5T` means; GB is 10^9, GiB is 2^30.

    Raises:
        UsageError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is not a size: write 800MB, 50GB or 1.5TB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit])


def format_size(size: float) -> str:
    """Return a number of bytes for a person, in decimal units."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.3g} {unit}"


def parse_age(text: str) -> timedelta:
    """Return the time that `12h`, `30d`, `2w` or `1y` means.

    Raises:
        UsageError: it is no time.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is not an age: write 12h, 30d, 2w or 1y")
    return timedelta(hours=float(match[1]) * _HOURS[match[2]])


class Keeper:
    """Keeps a store in order while it is written: the times of its replies, and its limit."""

    def __init__(
        self, path: Path, transaction: Transaction, limit: int | None, times: Limits
    ) -> None:
        """Keep a store; `limit` in bytes goes before the one that is set in the store."""
        self._path = path
        self._transaction = transaction
        self._times = times
        self._pruning = Pruning(transaction)
        self._limit = limit
        self._noted = -math.inf
        self._over: int | None = None
        """The limit, while the store is over it."""
        self._working: Iterator[None] | None = None
        self._idle_until = -math.inf
        self._warned = False

    def note(self, connection: sqlite3.Connection, *, replies: bool) -> None:
        """Look at the store in the transaction of a commit, before the commit writes."""
        now = time.monotonic()
        if replies and now > self._noted + self._times.note_every_s:
            self._noted = now
            connection.execute(
                "INSERT OR REPLACE INTO reply_time SELECT max(rowid), ? FROM reply"
                " HAVING max(rowid) IS NOT NULL",
                (int(time.time()),),
            )
        limit = get_limit(connection) if self._limit is None else self._limit
        over = limit is not None and used_bytes(connection) > limit * _PRUNE_FROM
        self._over = limit if over else None

    def work(self) -> None:
        """Prune for a moment, if the store is over its limit."""
        if self._working is None:
            if self._over is None or time.monotonic() < self._idle_until:
                return
            self._working = self._prune(self._over)
        until = time.monotonic() + self._times.prune_s
        for _ in self._working:
            if time.monotonic() > until:
                return
        self._working = None

    def _prune(self, limit: int) -> Iterator[None]:
        yield from self._pruning.work(size=int(limit * _PRUNE_TO), file_size=limit)
        if self._pruning.stuck:
            self._idle_until = time.monotonic() + self._times.prune_again_s
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
            ", ".join(self._pruning.spared_for),
        )


def get_limit(connection: sqlite3.Connection) -> int | None:
    """Return the limit that is set in the store, in bytes."""
    found = connection.execute("SELECT value FROM setting WHERE name = 'limit'").fetchone()
    return found[0] if found else None


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
