"""Two files of verdicts side by side: which rows they share, and where they differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from plaudit._util.packages import load_package
from plaudit.errors import UsageError
from plaudit.viewer.index import EXTRA, Index
from plaudit.viewer.kinds import NO, STATUS, YES
from plaudit.viewer.table import PAGE, Table

_MOST_WORDS = 12
"""Rows and columns of a confusion matrix; others are together."""
OTHERS = "(others)"
_ODD = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, odd: it spreads the occurrences of a repeated id."""


class McNemar(NamedTuple):
    """Whether two judges are right equally often, by the rows of which one alone is right."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    """Two-sided, exact: binomial of `only_first` in both of them with 1/2."""


class RewardDifference(NamedTuple):
    """How rewards differ: second minus first, over rows that have both."""

    rows: int
    mean: float
    low: float
    high: float
    """Ends of the interval of 95 % by the normal law."""


class Flip(NamedTuple):
    """A shared row."""

    first: int
    second: int
    """Its numbers in the two files."""


class Flips(NamedTuple):
    """A page of shared rows."""

    rows: list[Flip]
    total: int
    next: int | None
    """Show what is after this place; None: there is nothing."""
    previous: int | None


class FileComparison:
    """What two files of verdicts say of the rows that both have."""

    def __init__(self, first: Table, second: Table) -> None:
        """Find the rows that both have, by their ids; a repeated id by its order.

        Raises:
            UsageError: they hold no verdicts, or have no row in common.
        """
        for table in (first, second):
            if "value" not in table.kind.by_name:
                raise UsageError(f"{table.path.name} holds {table.kind.name}, and no verdicts")
        np = self._np = load_package("numpy", EXTRA)
        self.first, self.second = first, second
        keys = [_occurrences(np, one.index.keys) for one in (first, second)]
        _, one, other = np.intersect1d(*keys, assume_unique=True, return_indices=True)
        order = np.argsort(one, kind="stable")
        self._rows = one[order], other[order]
        if not len(one):
            raise UsageError(
                f"{first.path.name} and {second.path.name} have no row in common, going by ids"
            )
        self.words, (self._one, self._other) = self._answers()

    def __len__(self) -> int:
        return len(self._one)

    @property
    def same(self) -> int:
        """Shared rows of which both say the same."""
        return int((self._one == self._other).sum())

    def _answers(self) -> tuple[list[str], tuple[Any, Any]]:
        """Return the words of both files, and each shared row's word in either.

        A verdict that is not `ok` says its status in brackets.
        """
        numbers: dict[str, int] = {}
        found = [
            _said(self._np, table.index, numbers)[rows]
            for table, rows in zip((self.first, self.second), self._rows, strict=True)
        ]
        return list(numbers), (found[0], found[1])

    def confusion(self) -> tuple[list[str], list[list[int]]]:
        """Return words, and how often the first file says one (row) and the second one (column).

        The 12 most frequent words have a row each; the others are one.
        """
        np, count = self._np, len(self.words)
        both = np.bincount(self._one, minlength=count) + np.bincount(self._other, minlength=count)
        order = [int(n) for n in np.argsort(-both, kind="stable") if both[n]]
        places = np.full(count, min(len(order), _MOST_WORDS))
        for place, number in enumerate(order[:_MOST_WORDS]):
            places[number] = place
        shown = [self.words[number] for number in order[:_MOST_WORDS]]
        shown += [OTHERS] if len(order) > _MOST_WORDS else []
        size = len(shown)
        cells = np.bincount(places[self._one] * size + places[self._other], minlength=size * size)
        return shown, cells.reshape(size, size).tolist()

    def mcnemar(self) -> McNemar | None:
        """Return whether both are right equally often; None where no shared row says it of both."""
        np = self._np
        right = [
            _truths(np, table.index)[rows]
            for table, rows in zip((self.first, self.second), self._rows, strict=True)
        ]
        known = (right[0] >= 0) & (right[1] >= 0)
        if not known.any():
            return None
        cells = np.bincount(right[0][known] * 2 + right[1][known], minlength=4).tolist()
        neither, only_second, only_first, both = cells
        apart = only_first + only_second
        p_value = 1.0
        if apart:
            stats = load_package("scipy.stats", EXTRA)
            p_value = float(stats.binomtest(only_first, apart, 0.5).pvalue)
        return McNemar(both, only_first, only_second, neither, p_value)

    def difference(self) -> RewardDifference | None:
        """Return how rewards differ; None where fewer than two rows have both."""
        one, other = self._rewards()
        gaps = (other - one)[self._np.isfinite(other - one)]
        if len(gaps) < 2:
            return None
        mean = float(gaps.mean())
        half = 1.959964 * float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
        return RewardDifference(len(gaps), mean, mean - half, mean + half)

    def _rewards(self) -> Sequence[Any]:
        tables = zip((self.first, self.second), self._rows, strict=True)
        return [t.index.columns[t.kind.measure][rows] for t, rows in tables]

    def page(
        self,
        cell: tuple[str, str] | None = None,
        *,
        all_rows: bool = False,
        start: int = 0,
        size: int = PAGE,
    ) -> Flips:
        """Return shared rows: where the two differ, by the size of the difference in reward.

        Args:
            cell: what the first and the second file say; then only these rows.
            all_rows: those of which both say the same, too.
            start: a place in the order.
            size: most rows.
        """
        np = self._np
        mask = np.ones(len(self), bool) if all_rows or cell else self._one != self._other
        if cell is not None:
            mask = self._is(self._one, cell[0]) & self._is(self._other, cell[1])
        one, other = self._rewards()
        gaps = np.nan_to_num(np.abs(other - one), nan=-1.0)
        chosen = np.flatnonzero(mask)
        chosen = chosen[np.argsort(-gaps[chosen], kind="stable")]
        part = chosen[start : start + size]
        pairs = zip(self._rows[0][part].tolist(), self._rows[1][part].tolist(), strict=True)
        end = start + len(part)
        return Flips(
            [Flip(*pair) for pair in pairs],
            len(chosen),
            end if end < len(chosen) else None,
            max(start - size, 0) if start else None,
        )

    def _is(self, said: Any, word: str) -> Any:
        if word != OTHERS:
            return said == (self.words.index(word) if word in self.words else -1)
        shown, _ = self.confusion()
        return ~self._np.isin(said, [self.words.index(one) for one in shown[:-1]])

    def partner(self, row: int) -> int | None:
        """Return the row of the second file that a row of the first one goes with."""
        found = self._np.flatnonzero(self._rows[0] == row)
        return int(self._rows[1][found[0]]) if len(found) else None


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of nested objects, each by its dotted name."""
    if not isinstance(value, Mapping):
        return {name: value}
    found: dict[str, Any] = {}
    for key, one in value.items():  # pyright: ignore[reportUnknownVariableType]
        found |= flat(one, f"{name}.{key}" if name else str(key))  # pyright: ignore[reportUnknownArgumentType]
    return found


def settings_apart(one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    """Return what differs between the records of two runs: name, first, second."""
    first, second = flat(one), flat(other)
    names = [*first, *(name for name in second if name not in first)]
    return [
        (name, first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    ]


def _occurrences(np: Any, keys: Any) -> Any:
    """Return keys that are all different: a repeated one is changed by its occurrence."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    places = np.arange(len(keys))
    starts = np.maximum.accumulate(np.where(new, places, 0))
    ranks = np.empty(len(keys), np.uint64)
    ranks[order] = (places - starts).astype(np.uint64)
    return keys + ranks * np.uint64(_ODD)


def _said(np: Any, index: Index, numbers: dict[str, int]) -> Any:
    """Return the number of what each row says, over the words of both files."""
    values = [numbers.setdefault(word, len(numbers)) for word in [*index.words["value"], "(none)"]]
    statuses = [
        -1 if word == "ok" else numbers.setdefault(f"({word})", len(numbers))
        for word in index.words[STATUS]
    ]
    by_value = np.array(values)[index.columns["value"]]  # -1, no value, is the last of them.
    by_status = np.array([*statuses, -1])[index.columns[STATUS]]
    return np.where(by_status >= 0, by_status, by_value)


def _truths(np: Any, index: Index) -> Any:
    """Return for each row 1 where it is right, 0 where it is not, -1 where nothing says it."""
    known = {YES: 1, NO: 0}
    return np.array([*(known.get(w, -1) for w in index.words["agrees"]), -1])[
        index.columns["agrees"]
    ]
