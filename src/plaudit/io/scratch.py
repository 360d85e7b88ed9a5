"""Temporary files without a name, and temporary tables: both end with the process."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Generator, Iterable, Sequence
from typing import Any, BinaryIO, cast

from plaudit.errors import StoreError

_BUFFER = 2**18


def open_scratch() -> BinaryIO:
    """Open a file to write and to read, in the system's place for temporary files.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        opened = tempfile.TemporaryFile("w+b", buffering=_BUFFER)  # noqa: SIM115
    except OSError as error:
        raise scratch_error(error) from error
    return cast(BinaryIO, opened)


def close_scratch(file: BinaryIO) -> None:
    """Drop a file, even one whose last bytes there was no room for."""
    with contextlib.suppress(OSError):
        file.close()


def scratch_error(error: Exception, place: str | None = None) -> StoreError:
    """Return the error for temporary files that could not be written.

    Args:
        error: the reason.
        place: their folder; None: the one that Python chooses.
    """
    reason = getattr(error, "strerror", None) or error
    return StoreError(
        f"temporary files in {place or tempfile.gettempdir()} cannot be written ({reason}): free "
        "some space there, or name another place in TMPDIR"
    )


class Tables:
    """A database of SQLite for one process and one use.

    Up to some megabytes it is in memory, beyond that in a file without a name that ends with the
    process. All methods raise `StoreError` where there is no room.
    """

    def __init__(self, *statements: str) -> None:
        """Open a database, and run the statements that make its tables."""
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode = OFF", *statements, "BEGIN"):
            self.run(statement)

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run a statement."""
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise scratch_error(error, _sqlite_folder()) from error

    def add(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each row; return how many rows of the table it changed."""
        before = self._connection.total_changes
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise scratch_error(error, _sqlite_folder()) from error
        return self._connection.total_changes - before

    def rows(self, query: str) -> Generator[tuple[Any, ...]]:
        """Yield the rows of a query."""
        try:
            yield from self._connection.execute(query)
        except sqlite3.Error as error:
            raise scratch_error(error, _sqlite_folder()) from error

    def close(self) -> None:
        """Drop the database."""
        self._connection.close()


def _sqlite_folder() -> str | None:
    """Return the folder that SQLite prefers; None where it is that of Python."""
    return "/var/tmp" if os.name == "posix" and "TMPDIR" not in os.environ else None
