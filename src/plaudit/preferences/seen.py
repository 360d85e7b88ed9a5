"""Keys that were seen before, in memory that does not grow with their number."""

import sqlite3
from collections.abc import Collection, Iterable

from plaudit.io.partial import scratch_error


def _table(columns: str) -> sqlite3.Connection:
    table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    table.execute("PRAGMA journal_mode = OFF")
    table.execute(f"CREATE TABLE seen ({columns}) WITHOUT ROWID")
    table.execute("BEGIN")
    return table


class Seen:
    """Remembers keys: bytes, or whole numbers of 64 bits.

    In a table of SQLite's own temporary files, which lie on disk beyond some megabytes and have no
    name.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._table = _table("key PRIMARY KEY")

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


class BothSides:
    """The keys that occur on both of two sides; in the same kind of table."""

    def __init__(self, sided: Iterable[tuple[bytes, bool]]) -> None:
        """Take all keys with their sides.

        Raises:
            StoreError: there is no room for them.
        """
        self._table = _table("key PRIMARY KEY, sides INTEGER, count INTEGER")
        try:
            self._table.executemany(
                "INSERT INTO seen VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE "
                "SET sides = sides | excluded.sides, count = count + 1",
                ((key, 1 + side) for key, side in sided),
            )
            (found,) = self._table.execute("SELECT sum(count) FROM seen WHERE sides = 3").fetchone()
        except sqlite3.Error as error:
            self.close()
            raise scratch_error(error) from error
        self.count: int = found or 0
        """How often such keys occur."""

    def __contains__(self, key: bytes) -> bool:
        """Whether a key occurs on both sides."""
        if not self.count:
            return False
        found = self._table.execute("SELECT sides FROM seen WHERE key = ?", (key,)).fetchone()
        return found == (3,)

    def close(self) -> None:
        """Forget them."""
        self._table.close()
