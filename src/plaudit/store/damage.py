"""A damaged store: noted where it is met, set aside by the next command, never half-read.

Every user of a store holds a shared lock on `store.sqlite.lock`; only a process that holds the lock
alone sets the store aside. SQLite finds most damage only where it reads. What a run meets is noted
in `store.sqlite.damaged` until the next command. Opening reads both ends of each table and a few
replies between them, about a millisecond whatever the size; a full check would read everything.

While the store may be in use, this module opens its files through SQLite only: closing a file would
drop the locks that SQLite holds for this process.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from plaudit._util import disk
from plaudit.errors import StoreError
from plaudit.store.schema import APPLICATION_ID

_logger = logging.getLogger(__name__)

_PROBES = 16
_MARK = b"A plaudit store. Its users lock this file.\n"
_APPLICATION_ID_AT = 68
"""Offset in the header of a SQLite file."""

Connect = Callable[[Path], sqlite3.Connection]


def open_sound(
    path: Path, connect: Connect, wait: float, let_go: float
) -> tuple[sqlite3.Connection, int]:
    """Open a store as one of its users; a damaged one is set aside and a new one begun.

    Args:
        path: the store.
        connect: opens it, or raises `DamagedError`.
        wait: seconds to wait for a process that has it alone.
        let_go: seconds to wait for others that find the same damage to close it.

    Returns:
        The connection, and the descriptor to close when the store is let go.

    Raises:
        StoreError: it cannot be used, or is damaged and in use by another process.
    """
    give_up = time.monotonic() + let_go
    while True:
        use = _join(path, wait)
        try:
            connection = _connect(path, connect)
        except disk.DamagedError as error:
            os.close(use)
            found = error
        except BaseException:
            os.close(use)
            _tidy(path)
            raise
        else:
            _leave_mark(use)
            return connection, use
        # Others may be finding the same just now, and are about to let go.
        if not _alone(path, lambda: _set_aside_damaged(path, connect)):
            if time.monotonic() > give_up:
                raise StoreError(
                    f"{found}. Another process has it open: wait for its end, or end it"
                ) from found
            time.sleep(0.02)


def in_use(path: Path) -> bool:
    """Whether any process has the store open, this one included."""
    return disk.lock_path(path).exists() and not _alone(path, lambda: None)


def set_aside_files(path: Path) -> list[Path]:
    """Return the damaged stores that were set aside beside this one, oldest first."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(file for file in found if not file.name.endswith(("-wal", "-shm")))


def _join(path: Path, wait: float) -> int:
    try:
        use = disk.share(disk.lock_path(path), wait)
    except OSError as error:
        raise disk.database_error(path, error) from error
    if use is None:
        raise StoreError(
            f"the store {path} is being repaired or removed by another process: wait for it"
        )
    return use


def _connect(path: Path, connect: Connect) -> sqlite3.Connection:
    noted = disk.damage_note(path)
    if noted.exists():
        raise disk.DamagedError(path, noted.read_text(encoding="utf-8", errors="replace").strip())
    if _is_marked(path) and path.exists() and not path.stat().st_size:
        raise disk.DamagedError(path, "the file is empty")
    connection = connect(path)
    with disk.closed_on_error(connection, path):
        _probe(connection)
    return connection


def _probe(connection: sqlite3.Connection) -> None:
    for table in ("reply", "trace", "run", "verdict", "held"):
        connection.execute(f"SELECT min(rowid) FROM {table}").fetchone()
        connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()
    first, last = connection.execute(
        "SELECT (SELECT min(rowid) FROM reply), (SELECT max(rowid) FROM reply)"
    ).fetchone()
    for number in range(_PROBES if first is not None else 0):
        near = first + (last - first) * number // (_PROBES - 1)
        connection.execute(
            "SELECT length(completion) FROM reply WHERE key = "
            "(SELECT key FROM reply WHERE rowid >= ? ORDER BY rowid LIMIT 1)",
            (near,),
        ).fetchone()


# Alone with the store


def _alone(path: Path, work: Callable[[], object]) -> bool:
    """Do something while nobody uses the store; False, with nothing done, when somebody does."""
    alone = disk.lock(disk.lock_path(path))
    if alone is None:
        return False
    try:
        work()
    finally:
        os.close(alone)
    return True


def _set_aside_damaged(path: Path, connect: Connect) -> None:
    try:
        _connect(path, connect).close()
    except disk.DamagedError as error:
        if not _is_marked(path) and not _has_application_id(path):
            disk.lock_path(path).unlink()
            raise StoreError(
                f"{path} is not a plaudit store ({error.reason}): give another file with cache=PATH"
            ) from error
        _set_aside(path, error.reason)


def _set_aside(path: Path, reason: str) -> None:
    aside = _free_name(path)
    # The log first: beside a new store, SQLite would take it for that one's.
    for suffix in ("-wal", "-shm", ""):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    disk.damage_note(path).unlink(missing_ok=True)
    _logger.warning(
        "the store %s is damaged (%s). It was set aside as %s, and a new, empty one goes on in its "
        "place: what was paid for is asked again, unless you stop here and bring back the replies "
        "that are whole with: plaudit store recover %s --store %s",
        path,
        reason,
        aside,
        aside,
        path,
    )


def _free_name(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    aside, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return aside


def _tidy(path: Path) -> None:
    """Remove the lock file beside what never was a store."""
    if not _is_marked(path):
        _alone(path, lambda: None if _is_marked(path) else disk.lock_path(path).unlink())


# Whose file it is


def _leave_mark(use: int) -> None:
    if not os.fstat(use).st_size:
        os.write(use, _MARK)


def _is_marked(path: Path) -> bool:
    """Whether the store was opened before: its lock file says so."""
    try:
        return disk.lock_path(path).stat().st_size > 0
    except OSError:
        return False


def _has_application_id(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_APPLICATION_ID_AT)
        return file.read(4) == APPLICATION_ID.to_bytes(4, "big")
