"""Looking after a store: what it holds, its size limit, removing what is old."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from plaudit.errors import UsageError
from plaudit.store import damage
from plaudit.store.limit import environment_limit, get_limit
from plaudit.store.pruning import Pruning, free_pages, page_size, used_bytes, verdict_count
from plaudit.store.runs import iso
from plaudit.store.schema import MIGRATIONS
from plaudit.store.store import Store

_STRATA, _ROWS_A_STRATUM = 64, 32


class StoreInfo(msgspec.Struct, kw_only=True):
    """What a store holds, found without reading it all. Sizes are in bytes."""

    path: str
    schema: int
    size: int
    """Of all its files, its log included."""
    log: int
    """Of the write-ahead log, which is folded in now and then."""
    free: int
    """Within the file, to be used again."""
    limit: int | None
    in_use: bool
    """Whether a process has it open."""
    replies: int
    reply_bytes: int
    estimated: bool
    """Whether the two above are estimated from a sample of the rows, within a few per cent."""
    oldest: str | None
    """When the oldest reply was written, within ten minutes, ISO 8601; None: not known."""
    newest: str | None
    runs: dict[str, int]
    """By state."""
    traces: int
    """Finished traces of rollouts, and outcomes of long comparisons of formulas."""
    verdicts: int
    """Of an unfinished run, at most."""
    damaged: list[str]
    """Damaged stores that were set aside beside it."""


class Pruned(msgspec.Struct, kw_only=True):
    """What was removed, or would be."""

    dry_run: bool
    replies: int
    reply_bytes: int
    traces: int
    runs: int
    verdicts: int
    size_before: int
    """Bytes of all files of the store."""
    size_after: int
    """In a dry run, about, once the space is given back."""
    spared_for: list[str]
    """Unfinished runs, of whose replies none was removed."""
    kept_over_size: bool = False
    """Whether the store is larger than was asked, because the rest is spared."""


# What there is


def store_info(store: Store) -> StoreInfo:
    """Describe a store in a few milliseconds, whatever its size.

    Raises:
        UsageError: there is no store.
        StoreError: it cannot be used.
    """
    path = _existing(store)
    in_use = store.session is not None or damage.in_use(path)
    runs = store.runs()
    session = store.open()
    with session.transaction() as connection:
        count, size, estimated = _reply_count(connection, session.limits.count_rows)
        limit = environment_limit()
        return StoreInfo(
            path=str(path),
            schema=len(MIGRATIONS),
            size=_size(path),
            log=_file_size(Path(f"{path}-wal")),
            free=free_pages(connection) * page_size(connection),
            limit=get_limit(connection) if limit is None else limit,
            in_use=in_use,
            replies=count,
            reply_bytes=size,
            estimated=estimated,
            oldest=_written(connection, "min"),
            newest=_written(connection, "max"),
            runs=dict(sorted(Counter(run.state for run in runs).items())),
            traces=connection.execute("SELECT count(*) FROM trace").fetchone()[0],
            verdicts=sum(verdict_count(connection, run.number) for run in runs),
            damaged=[str(file) for file in damage.set_aside_files(path)],
        )


def _existing(store: Store) -> Path:
    if not store.path.exists():
        raise UsageError(f"there is no store at {store.path} yet; the first judge makes it")
    return store.path


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    return sum(_file_size(Path(f"{path}{suffix}")) for suffix in ("", "-wal", "-shm"))


def _reply_count(connection: sqlite3.Connection, most: int) -> tuple[int, int, bool]:
    """Return count, bytes and whether they are estimated: so with more than `most` rowids.

    Rowids are nearly dense, so a few rows at evenly spaced places show how dense, and how long.
    """
    first, last = connection.execute(
        "SELECT (SELECT min(rowid) FROM reply), (SELECT max(rowid) FROM reply)"
    ).fetchone()
    if first is None:
        return 0, 0, False
    width = last - first + 1
    if width <= most:
        count, size = connection.execute(
            "SELECT count(*), total(length(completion)) FROM reply NOT INDEXED"
        ).fetchone()
        return count, int(size), False
    count = rows = size = 0
    for number in range(_STRATA):
        start = first + width * number // _STRATA
        end = first + width * (number + 1) // _STRATA
        found = connection.execute(
            "SELECT rowid, length(completion) FROM reply WHERE rowid >= ? AND rowid < ?"
            " ORDER BY rowid LIMIT ?",
            (start, end, _ROWS_A_STRATUM),
        ).fetchall()
        looked_at = end - start if len(found) < _ROWS_A_STRATUM else found[-1][0] - start + 1
        count += len(found) * (end - start) / looked_at
        rows += len(found)
        size += sum(length for _, length in found)
    return round(count), round(count * size / rows), True


def _written(connection: sqlite3.Connection, which: str) -> str | None:
    found = connection.execute(
        f"SELECT max(at) FROM reply_time WHERE reply < (SELECT {which}(rowid) FROM reply)"
    )
    at: int | None = found.fetchone()[0]
    return None if at is None else iso(datetime.fromtimestamp(at, UTC))


# The limit


def read_limit(store: Store) -> int | None:
    """Return the limit set in the store, in bytes."""
    with store.open().transaction() as connection:
        return get_limit(connection)


def write_limit(store: Store, limit: int | None) -> None:
    """Set the limit in the store, in bytes; None: none. Runs that are under way keep to it."""
    with store.open().transaction() as connection:
        connection.execute("DELETE FROM setting WHERE name = 'limit'")
        if limit is not None:
            connection.execute("INSERT INTO setting (name, value) VALUES ('limit', ?)", (limit,))


# Removing


def prune(
    store: Store,
    *,
    size: int | None = None,
    older_than: timedelta | None = None,
    runs_older_than: timedelta | None = None,
    forget: tuple[str, ...] = (),
    dry_run: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Pruned:
    """Remove what is old, and give the space back to the file system.

    What an unfinished run needs is spared: replies written while it was being run, and those that
    its verdicts name. Other processes may use the store meanwhile.

    Args:
        store: the store.
        size: most bytes that the database may use; the oldest replies go first, and finished
            runs with the last of the replies of their time.
        older_than: replies written longer ago go; known to ten minutes.
        runs_older_than: runs that finished longer ago go, with their verdicts.
        forget: runs to give up, by name or number, also interrupted ones.
        dry_run: only count.
        pause: lets others write between two slices of work, for so many seconds.

    Raises:
        UsageError: there is no store, or no such run, or it is being run.
        StoreError: it cannot be used.
    """
    path = _existing(store)
    before = _size(path)
    given_up = [store.forget_run(run, dry_run=dry_run) for run in forget]
    pruning = Pruning(store.open().transaction, dry_run=dry_run, given_up=given_up)
    work = pruning.work(
        size=size,
        replies_by=None if older_than is None else int((_now() - older_than).timestamp()),
        runs_by=None if runs_older_than is None else iso(_now() - runs_older_than),
    )
    _work_through(work, pause)
    if not dry_run:
        store.open().fold_log()
    with store.open().transaction() as connection:
        used = used_bytes(connection) - pruning.would_free()
    return Pruned(
        dry_run=dry_run,
        replies=pruning.removed.replies,
        reply_bytes=pruning.removed.reply_bytes,
        traces=pruning.removed.traces,
        runs=pruning.removed.runs,
        verdicts=pruning.removed.verdicts,
        size_before=before,
        size_after=max(used, 0) if dry_run else _size(path),
        spared_for=[run.name for run in store.runs() if run.state != "finished"],
        kept_over_size=pruning.stuck,
    )


def _work_through(slices: Iterator[None], pause: Callable[[float], None]) -> None:
    """Work half of the time; a waiting SQLite writer tries again after at most 0.1 s."""
    started = time.monotonic()
    for _ in slices:
        pause(time.monotonic() - started)
        started = time.monotonic()


def _now() -> datetime:
    return datetime.now(UTC)
