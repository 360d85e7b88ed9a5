"""The ledger of batches: what was sent to a provider's batch API and is paid for.

One SQLite file beside the store, synced to the disk at every commit. It is never evicted or set
aside. An intent is committed before anything is sent; the id of a batch before anything else is
done with it. So after a kill at any time the next command knows which rows may be on their way.
"""

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import psutil

from plaudit._util.closing import Closing
from plaudit.engines.base import Request
from plaudit.errors import StoreError

LedgerState = Literal["intent", "creating", "running", "collected", "refused", "dropped"]
"""Intended and uploading; being created, so that it may exist; known by its id; done with; failed
whole; found never to have been created."""
OPEN: tuple[LedgerState, ...] = ("intent", "creating", "running")

KEEP_S = 30 * 86400
"""Results are kept by providers for at most 30 days, so rows that old lead nowhere."""
APPLICATION_ID = 0x706C6262
"""Marks a SQLite file as a ledger of batches ("plbb")."""
_BUSY_S = 30.0
_VERSION = 1
_SCHEMA = """
CREATE TABLE batch (
    number INTEGER PRIMARY KEY AUTOINCREMENT, tag TEXT NOT NULL UNIQUE, engine TEXT NOT NULL,
    place TEXT NOT NULL, identity TEXT NOT NULL, work TEXT NOT NULL, state TEXT NOT NULL,
    file TEXT NOT NULL DEFAULT '', remote TEXT NOT NULL DEFAULT '', rows INTEGER NOT NULL,
    owner TEXT NOT NULL, made REAL NOT NULL, changed REAL NOT NULL, share REAL NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '');
CREATE INDEX batch_by_state ON batch (state);
CREATE TABLE form (number INTEGER PRIMARY KEY, request BLOB NOT NULL UNIQUE);
CREATE TABLE row (key BLOB PRIMARY KEY, batch INTEGER NOT NULL, form INTEGER NOT NULL,
    cause TEXT, message TEXT) WITHOUT ROWID;
CREATE INDEX row_by_batch ON row (batch);
"""
_COLUMNS = (
    "number, tag, engine, place, identity, work, state, file, remote, rows, owner, made, changed,"
    " share, answered, failed, input_tokens, output_tokens, note"
)


class SentBatch(msgspec.Struct, frozen=True):
    """One batch, as the ledger knows it."""

    number: int
    tag: str
    engine: str
    """URI of the engine whose rows it holds."""
    place: str
    """Address of the provider."""
    identity: str
    """Identity of the model."""
    work: str
    """What it is for, for a person."""
    state: LedgerState
    file: str
    """Id of the uploaded rows."""
    remote: str
    """Id of the batch at the provider; empty while it is unknown."""
    rows: int
    owner: str
    """The process that sends it."""
    made: float
    """When it was intended: seconds since 1970."""
    changed: float
    """When its state changed last."""
    share: float
    """Share of the live price that its tokens cost."""
    answered: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    note: str = ""


class LedgerRow(msgspec.Struct, frozen=True):
    """A row of a batch."""

    batch: int
    state: LedgerState
    """That of its batch."""
    changed: float
    """When that changed last."""
    cause: str | None
    """Why it failed; None: it was answered, or is not collected yet."""
    message: str | None


class BatchResult(msgspec.Struct):
    """What collecting a batch came to."""

    answered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    failures: dict[bytes, tuple[str, str]] = msgspec.field(default_factory=dict)
    """Cause and message by key."""


def ledger_path(store: Path) -> Path:
    """Return the path of the ledger that lies beside a store."""
    return store.with_name(f"{store.stem}.batches.sqlite")


def owner_alive(owner: str) -> bool:
    """Return whether another process than this one, and still running, sends a batch."""
    if owner == this_process():
        return False
    pid, _, started = owner.partition(" ")
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == started
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def this_process() -> str:
    """Return what names this process and no later one."""
    return f"{os.getpid()} {psutil.Process().create_time():.2f}"


@contextlib.contextmanager
def _errors(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(_problem(path, error)) from error


def _problem(path: Path, error: sqlite3.Error | OSError) -> str:
    """Say for a person why a ledger cannot be used."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            f"the ledger of batches {path} is damaged, or no ledger ({error}). It says what was "
            "sent and paid: restore it from a copy. Without one, wait until the provider lists no "
            "running batch, then move the file away; rows of its open batches are then paid again"
        )
    return (
        f"the ledger of batches {path} cannot be used ({error}): nothing further was sent. Make "
        "the file and its folder writable, with space left, and give the same command again"
    )


class BatchLedger(Closing):
    """An open ledger; every method raises `StoreError` where the file cannot be read or written."""

    def __init__(self, path: Path) -> None:
        """Open a ledger, which is made where there is none."""
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _errors(self.path):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._check()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._make()

    def _make(self) -> None:
        with self._transaction() as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            old = time.time() - KEEP_S
            deleted = connection.execute(
                "DELETE FROM row WHERE batch IN (SELECT number FROM batch WHERE changed < ?"
                " AND state IN ('collected', 'refused', 'dropped'))",
                (old,),
            )
            if deleted.rowcount:
                unused = "number NOT IN (SELECT form FROM row)"
                connection.execute(f"DELETE FROM form WHERE {unused}")

    def _check(self) -> None:
        """Refuse the database of another program, and of a later plaudit; a new file is neither."""
        run = self._connection.execute
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        if tables and application != APPLICATION_ID:
            raise StoreError(
                f"{self.path} is the database of another program, not a ledger of batches: move it "
                "away, or give another store with cache=PATH"
            )
        if version > _VERSION:
            raise StoreError(
                f"the ledger of batches {self.path} was written by a later plaudit: use that one"
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Do everything or nothing; committed and on the disk at the end."""
        with _errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    # Sending

    def intend(
        self,
        rows: Sequence[tuple[bytes, Request]],
        *,
        engine: str,
        place: str,
        identity: str,
        work: str,
        share: float,
        since: float,
    ) -> tuple[SentBatch | None, set[bytes]]:
        """Commit that a batch of rows is about to be sent.

        Rows that another command has sent by now are left out, since they are paid.

        Args:
            rows: keys, with what it takes to read their replies.
            engine: URI of the engine.
            place: address of the provider.
            identity: identity of the model.
            work: what it is for.
            share: share of the live price that it costs.
            since: when this command began to look what is missing: seconds since 1970.

        Returns:
            The batch, None where no row is left for it; and the keys that were left out.
        """
        now, tag = time.time(), f"plaudit-{uuid.uuid4().hex}"
        with self._transaction() as connection:
            paid = {key for key, _ in rows if self._is_paid(key, since)}
            rows = [(key, request) for key, request in rows if key not in paid]
            if not rows:
                return None, paid
            made = connection.execute(
                "INSERT INTO batch (tag, engine, place, identity, work, state, rows, owner, made,"
                " changed, share) VALUES (?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?, ?)",
                (tag, engine, place, identity, work, len(rows), this_process(), now, now, share),
            )
            number = made.lastrowid or 0
            forms: dict[bytes, int] = {}
            connection.executemany(
                "INSERT OR REPLACE INTO row (key, batch, form) VALUES (?, ?, ?)",
                ((key, number, self._form(forms, request)) for key, request in rows),
            )
        return self.batch(number), paid

    def _is_paid(self, key: bytes, since: float) -> bool:
        row = self.row(key)
        if row is None:
            return False
        answered = row.state == "collected" and row.cause is None and row.changed >= since
        return row.state in OPEN or answered

    def _form(self, known: dict[bytes, int], request: Request) -> int:
        encoded = msgspec.json.encode(request)
        if encoded not in known:
            run = self._connection.execute
            run("INSERT OR IGNORE INTO form (request) VALUES (?)", (encoded,))
            (number,) = run("SELECT number FROM form WHERE request = ?", (encoded,)).fetchone()
            known[encoded] = number
        return known[encoded]

    def creating(self, batch: SentBatch, file: str) -> SentBatch:
        """Commit that a batch may exist from now on, and the id of its uploaded rows.

        Raises:
            StoreError: another command took its sender for dead, and dropped it.
        """
        with self._transaction() as connection:
            if self.batch(batch.number).state != "intent":
                raise StoreError(
                    f"another command dropped batch {batch.number} of {self.path} while it was "
                    "sent; give the same command again"
                )
            self._change(connection, batch, "creating", file=file)
        return self.batch(batch.number)

    def created(self, batch: SentBatch, remote: str) -> SentBatch:
        """Commit the id of a batch."""
        with self._transaction() as connection:
            self._change(connection, batch, "running", remote=remote)
        return self.batch(batch.number)

    def drop(self, batch: SentBatch, note: str, state: LedgerState = "dropped") -> None:
        """Commit that a batch asked nothing; its rows may be sent again."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM row WHERE batch = ?", (batch.number,))
            self._change(connection, batch, state, note=note)

    def collect(
        self, batch: SentBatch, found: BatchResult, note: str, *, refused: bool = False
    ) -> None:
        """Commit what became of all rows; the replies must be in the store by now."""
        state: LedgerState = "refused" if refused else "collected"
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE row SET cause = ?, message = ? WHERE key = ? AND batch = ?",
                ((c, m, key, batch.number) for key, (c, m) in found.failures.items()),
            )
            self._change(
                connection, batch, state, note=note, answered=found.answered,
                failed=len(found.failures), input_tokens=found.input_tokens,
                output_tokens=found.output_tokens,
            )  # fmt: skip

    def reopen(self, number: int) -> None:
        """Have a collected batch collected again, since the store lost a reply of it."""
        with self._transaction() as connection:
            self._change(connection, self.batch(number), "running", note="collected again")

    def _change(
        self,
        connection: sqlite3.Connection,
        batch: SentBatch,
        state: LedgerState,
        **fields: object,
    ) -> None:
        values = {"state": state, "changed": time.time(), **fields}
        names = ", ".join(f"{name} = ?" for name in values)
        connection.execute(
            f"UPDATE batch SET {names} WHERE number = ?", (*values.values(), batch.number)
        )

    # Reading

    def row(self, key: bytes) -> LedgerRow | None:
        """Return the row of a key, or None."""
        found = self._rows(
            "SELECT batch, state, changed, cause, message FROM row JOIN batch ON number = batch"
            " WHERE key = ?",
            key,
        )
        return LedgerRow(*found[0]) if found else None

    def keys(self, batch: SentBatch) -> dict[bytes, Request]:
        """Return the keys of a batch, with what it takes to read their replies."""
        forms = {
            number: msgspec.json.decode(request, type=Request)
            for number, request in self._rows("SELECT number, request FROM form")
        }
        found = self._rows("SELECT key, form FROM row WHERE batch = ?", batch.number)
        return {key: forms[form] for key, form in found}

    def batch(self, number: int) -> SentBatch:
        """Return a batch by its number."""
        found = self._rows(f"SELECT {_COLUMNS} FROM batch WHERE number = ?", number)
        return SentBatch(*found[0])

    def batches(self, states: Iterable[LedgerState] = ()) -> list[SentBatch]:
        """Return the batches in some states, the newest first; without states, all."""
        wanted = tuple(states)
        among = f"WHERE state IN ({', '.join('?' * len(wanted))})" if wanted else ""
        statement = f"SELECT {_COLUMNS} FROM batch {among} ORDER BY number DESC"
        return [SentBatch(*found) for found in self._rows(statement, *wanted)]

    def known(self, place: str) -> set[str]:
        """Return the ids of all batches at a provider that are in the ledger."""
        found = self._rows("SELECT remote FROM batch WHERE place = ? AND remote != ''", place)
        return {remote for (remote,) in found}

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with _errors(self.path):
            return self._connection.execute(statement, values).fetchall()
