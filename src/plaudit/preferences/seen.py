"""Keys that were seen before, in memory that does not grow with their number."""

import sqlite3
from collections.abc import Collection, Iterable

from plaudit.runs.scratch import scratch_error


class Seen:
    """Remembers keys: bytes, or whole numbers of 64 bits.

    In a table of SQLite's own temporary files, which lie on disk beyond some megabytes and have no
    name.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE seen (key PRIMARY KEY) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def is_new(self, key: bytes | int) -> bool:
        """Remember a key; tell whether it was not seen before.

        Raises:
            StoreError: there is no room for it.
        """
        return self._add(((key,),)) == 1

    def are_new(self, keys: Collection[bytes | int]) -> bool:
        """Remember keys; tell whether none was seen before and no two are the same.

        Raises:
            StoreError: there is no room for them.
        """
        return self._add((key,) for key in keys) == len(keys)

    def _add(self, rows: Iterable[tuple[bytes | int]]) -> int:
        before = self._table.total_changes
        try:
            self._table.executemany("INSERT OR IGNORE INTO seen VALUES (?)", rows)
        except sqlite3.Error as error:
            raise scratch_error(error) from error
        return self._table.total_changes - before

    def close(self) -> None:
        """Forget them."""
        self._table.close()
