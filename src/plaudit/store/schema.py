"""The schema of the store, as numbered steps that only append.

A store outlives the plaudit that made it, because its replies cost money. So a step that was
released is never edited: a change of the schema is one more function at the end of `MIGRATIONS`,
and `PRAGMA user_version` counts the steps that a store has seen.

What was measured to matter: rowid tables. A 16-byte BLOB key costs a reply 8-12 us, a text key
without rowid 28 us; a verdict and a held line need no second index because run and index together
fit into their rowid (`row_id`).

The rowid of a reply is its age: SQLite gives each new row, and each replaced one, the next higher
one. `reply_time(reply, at)` says that all up to `reply` were written by `at` (seconds since 1970).
What a run wrote lies in `first_reply < rowid <= last_reply`; while it runs `last_reply` is NULL.
VACUUM keeps the rowids of this table, because it has an index. A finished trace notes the newest
reply of its time, so that a trace is as old as the replies it was made from.

SQLite has no checksums, and a flipped bit would be a wrong reward. So everything stored is sealed:
a checksum of the bytes and of their owner goes before them. The owner is covered, too, so that a
row that comes back under another's key is found out. 600 bytes take 0.45 us to seal, 0.5 us to
unseal.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

from plaudit.errors import StoreError

APPLICATION_ID = 0x706C6474
"""Marks a SQLite file as a plaudit store ("pldt")."""

INDEX_BITS = 40
"""Bits of a rowid that hold a sample's index; the 23 bits above hold its run's number."""

_SEAL_BYTES = 4

Migration = Callable[[sqlite3.Connection], object]


def row_id(run: int, index: int) -> int:
    """Return the rowid of sample `index` in run number `run`."""
    return (run << INDEX_BITS) | index


def seal(body: bytes, owner: bytes) -> bytes:
    """Return the bytes to store: the checksum of `owner` and `body`, then `body`."""
    return crc32(body, crc32(owner)).to_bytes(_SEAL_BYTES, "big") + body


def seal_all(entries: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Seal many; each is given as its owner and its bytes."""
    return [
        crc32(body, crc32(owner)).to_bytes(_SEAL_BYTES, "big") + body for owner, body in entries
    ]


def unseal(stored: bytes, owner: bytes) -> bytes | None:
    """Return the body of sealed bytes; None where they are damaged or another owner's."""
    body = stored[_SEAL_BYTES:]
    if crc32(body, crc32(owner)).to_bytes(_SEAL_BYTES, "big") != stored[:_SEAL_BYTES]:
        return None
    return body


def seal_rows(rows: Mapping[int, bytes]) -> list[bytes]:
    """Seal the bytes of many rows without a key, given by their rowids."""
    return seal_all([(id.to_bytes(8, "big"), body) for id, body in rows.items()])


def row_owner(id: int) -> bytes:
    """Return the owner of the bytes of a row without a key: its rowid."""
    return id.to_bytes(8, "big")


def _first_schema(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE reply (key BLOB PRIMARY KEY, completion BLOB NOT NULL)")
    connection.execute(
        "CREATE TABLE run (number INTEGER PRIMARY KEY AUTOINCREMENT, identity BLOB NOT NULL,"
        " name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, config BLOB NOT NULL,"
        " state TEXT NOT NULL, started TEXT NOT NULL, finished TEXT, summary BLOB)"
    )
    connection.execute("CREATE INDEX run_by_identity ON run (identity)")
    connection.execute(
        "CREATE TABLE verdict (id INTEGER PRIMARY KEY, status TEXT NOT NULL, payload BLOB NOT NULL)"
    )
    connection.execute("CREATE TABLE held (id INTEGER PRIMARY KEY, line BLOB NOT NULL)")


def _seal_everything(connection: sqlite3.Connection) -> None:
    connection.create_function("seal", 2, seal, deterministic=True)
    connection.create_function("row_owner", 1, row_owner, deterministic=True)
    connection.execute("UPDATE reply SET completion = seal(completion, key)")
    connection.execute("UPDATE verdict SET payload = seal(payload, row_owner(id))")
    connection.execute("DELETE FROM held")


def _keep_limits(connection: sqlite3.Connection) -> None:
    """Note what may be removed: when replies were written, and during which run."""
    connection.execute("ALTER TABLE run ADD COLUMN first_reply INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE run ADD COLUMN last_reply INTEGER")
    connection.execute("UPDATE run SET last_reply = (SELECT max(rowid) FROM reply)")
    connection.execute("CREATE TABLE reply_time (reply INTEGER PRIMARY KEY, at INTEGER NOT NULL)")
    connection.execute(
        "INSERT INTO reply_time SELECT max(rowid), CAST(strftime('%s', 'now') AS INTEGER)"
        " FROM reply HAVING max(rowid) IS NOT NULL"
    )
    connection.execute("CREATE TABLE setting (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID")


def _give_traces_a_table(connection: sqlite3.Connection) -> None:
    """Keep finished traces apart from replies. Older ones stay where they are, and are found."""
    connection.execute(
        "CREATE TABLE trace (key BLOB PRIMARY KEY, body BLOB NOT NULL, reply INTEGER NOT NULL)"
    )
    connection.execute("CREATE INDEX trace_by_reply ON trace (reply)")


MIGRATIONS: tuple[Migration, ...] = (
    _first_schema,
    _seal_everything,
    _keep_limits,
    _give_traces_a_table,
)


def make(connection: sqlite3.Connection) -> None:
    """Let a new file give space back piece by piece; SQLite needs this before the first table.

    VACUUM, the other way, locks out every process while it writes the whole store anew.

    Raises:
        sqlite3.Error: the file cannot be read or written.
    """
    if not connection.execute("PRAGMA page_count").fetchone()[0]:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Bring a store up to date, in one transaction; any number of processes may try at once.

    Args:
        connection: an open connection in autocommit mode.
        path: the file, for messages.
        migrations: the steps, oldest first.

    Raises:
        StoreError: a newer plaudit made the store, or the file holds something else.
        sqlite3.Error: the file cannot be read or written.
    """
    if _version(connection, path, migrations) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[_version(connection, path, migrations) :]:
            migration(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    # The mark last: another process may commit the first schema between these reads.
    mark: int = connection.execute("PRAGMA application_id").fetchone()[0]
    if mark != APPLICATION_ID and (tables or version):
        raise StoreError(
            f"{path} is a SQLite file of another program, not a plaudit store; "
            "give another file with cache=PATH"
        )
    if version > len(migrations):
        raise StoreError(
            f"{path} was made by a newer plaudit (store version {version}; this one knows up to "
            f"{len(migrations)}): upgrade with pip install -U plaudit, or give another file with "
            "cache=PATH"
        )
    return version
