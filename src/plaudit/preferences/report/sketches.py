"""Counts in memory that does not grow: exact while there is little, then samples that say so.

Hashes are arrays of unsigned 64-bit numbers. NumPy is loaded when one of these is made.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from plaudit._util.packages import load_package
from plaudit.preferences.candidate import Id

MOST_KEYS = 2**18
"""Keys of a `HashSums` that are kept."""

MOST_ROWS = 100_000
"""Rows of a `RowSample` that are kept."""

_ALL = 2**64 - 1


class HashSums:
    """Sums by key, of all keys or, where these are too many, of those whose hash is low.

    Whether a key is kept depends on its hash alone, so that the sums of those that are kept are
    whole (distinct sampling, Gibbons 2001).
    """

    def __init__(self, columns: int, most: int = MOST_KEYS) -> None:
        """Begin; each key has so many sums."""
        self._np = np = load_package("numpy", "stats")
        self._most = most
        self._limit = _ALL
        self._parts: list[tuple[Any, Any]] = []
        self._waiting = 0
        self.keys: Any = np.zeros(0, np.uint64)
        """Those kept, ascending; up to date after `settle`."""
        self.sums: Any = np.zeros((0, columns))
        """A row for each key."""

    @property
    def exact(self) -> bool:
        """Whether all keys are kept."""
        return self._limit == _ALL

    @property
    def share(self) -> float:
        """Share of all keys that are kept."""
        return (self._limit + 1) / (_ALL + 1)

    def add(self, keys: Any, values: Any) -> None:
        """Add values.

        Args:
            keys: hashes, shape (n,).
            values: shape (n, columns).
        """
        if not self.exact:
            low = keys <= self._np.uint64(self._limit)
            keys, values = keys[low], values[low]
        self._parts.append((keys, values))
        self._waiting += len(keys)
        if self._waiting > self._most:
            self.settle()

    def settle(self) -> None:
        """Add up what was added since."""
        np = self._np
        keys = np.concatenate([self.keys, *(part[0] for part in self._parts)])
        values = np.concatenate([self.sums, *(part[1] for part in self._parts)])
        self._parts, self._waiting = [], 0
        self.keys, place = np.unique(keys, return_inverse=True)
        columns = [np.bincount(place, column, len(self.keys)) for column in values.T]
        self.sums = np.stack(columns, axis=1) if columns else np.zeros((len(self.keys), 0))
        while len(self.keys) > self._most:
            self._limit >>= 1
            kept = int(np.searchsorted(self.keys, np.uint64(self._limit), side="right"))
            self.keys, self.sums = self.keys[:kept], self.sums[:kept]


class RowSample:
    """A uniform sample of rows of numbers; all of them while they are few."""

    def __init__(self, columns: int, seed: int, most: int = MOST_ROWS) -> None:
        """Begin."""
        self._np = np = load_package("numpy", "stats")
        self._random = np.random.default_rng(abs(seed))
        self._most = most
        self.seen = 0
        """Rows added."""
        self._ranks: Any = np.zeros(0)
        self._rows: Any = np.zeros((0, columns))

    def add(self, rows: Any) -> None:
        """Add rows, shape (n, columns)."""
        np = self._np
        self.seen += len(rows)
        self._ranks = np.concatenate([self._ranks, self._random.random(len(rows))])
        self._rows = np.concatenate([self._rows, rows])
        if len(self._ranks) > self._most:
            kept = np.argpartition(self._ranks, self._most)[: self._most]
            kept.sort()
            self._ranks, self._rows = self._ranks[kept], self._rows[kept]

    @property
    def rows(self) -> Any:
        """The rows drawn, in the order read."""
        return self._rows

    @property
    def drawn(self) -> int | None:
        """How many rows were drawn; None where all are there."""
        return None if self.seen == len(self._rows) else len(self._rows)


class Heaviest:
    """The keys with the greatest counts: exact while there are few keys.

    Beyond, each count is short by at most `missed` (Misra and Gries 1982, in batches).
    """

    def __init__(self, most: int = 10_000) -> None:
        """Begin; up to twice as many keys are kept."""
        self._most = most
        self._counts: dict[Id, int] = {}
        self.missed = 0

    def add(self, key: Id, count: int) -> None:
        """Add to a key's count."""
        self._counts[key] = self._counts.get(key, 0) + count
        if len(self._counts) > 2 * self._most:
            self._shrink()

    def top(self, number: int) -> Sequence[tuple[Id, int]]:
        """Return the keys with the greatest counts, those first added first where equal."""
        return heapq.nlargest(number, self._counts.items(), key=lambda item: item[1])

    def _shrink(self) -> None:
        counts: Mapping[Id, int] = self._counts
        cut = heapq.nlargest(self._most + 1, counts.values())[-1]
        self.missed += cut
        self._counts = {key: n - cut for key, n in counts.items() if n > cut}


class Moments:
    """Means, spreads and the correlation of two columns (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        """Begin."""
        self._np = load_package("numpy", "stats")
        self.count = 0
        self._means: Any = self._np.zeros(2)
        self._products: Any = self._np.zeros((2, 2))

    def add(self, rows: Any) -> None:
        """Add rows, shape (n, 2), n at least 1."""
        np = self._np
        with np.errstate(all="ignore"):
            means = rows.mean(axis=0)
            apart = rows - means
            total = self.count + len(rows)
            step = means - self._means
            between = np.outer(step, step) * (self.count * len(rows) / total)
            self._products = self._products + apart.T @ apart + between
            self._means = self._means + step * (len(rows) / total)
        self.count = total

    @property
    def means(self) -> tuple[float, float]:
        """The means of both columns."""
        return float(self._means[0]), float(self._means[1])

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation; None where a column never changes, or its squares are too big."""
        with self._np.errstate(all="ignore"):
            scale = float(self._np.sqrt(self._products[0, 0]) * self._np.sqrt(self._products[1, 1]))
            found = float(self._products[0, 1]) / scale if scale > 0 else float("nan")
        return min(max(found, -1.0), 1.0) if abs(found) < 2 else None
