"""The rows of a file as a table: filtered, ordered and paged by its index, searched in its text."""

import math
import os
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import InputError
from plaudit.viewer.filters import Filter, NumberRange, TableView
from plaudit.viewer.index import EXTRA, MISSING, Index, IndexProgress, key_of, open_index
from plaudit.viewer.kinds import RowKind

PAGE = 50
"""Rows of a page."""
BINS = 40
"""Bars of a histogram."""
_SEARCH_S = 0.4
"""Seconds after which a search pauses, and shows what it found."""
_MASKS = 16
"""Filters whose rows are remembered."""


class Bar(NamedTuple):
    """A bar of a histogram."""

    bounds: NumberRange
    rows: int


class TablePage(NamedTuple):
    """Rows that follow each other in a view."""

    rows: list[int]
    """Their numbers, from 0."""
    previous: int | None
    """Show what is before this row; None: there is nothing."""
    next: int | None
    """Show what is after this row; None: there is nothing."""
    searched: int | None = None
    """The row up to which a search came before it paused; it goes on after it."""


class FilterCounts(NamedTuple):
    """What a filter lets in."""

    rows: int
    facets: Mapping[str, list[tuple[str, int]]]
    """By column: its words with the number of rows, most first; an empty word: none."""
    histogram: list[Bar]
    measure: str
    mean: float | None
    """Of the measure, over the rows that have it; None: no row has it."""


class Table:
    """A file of rows. Safe to use from several threads."""

    def __init__(self, path: Path, progress: IndexProgress | None = None) -> None:
        """Index the file, or take the index that is kept.

        Raises:
            InputError: the file cannot be read.
        """
        self._np = load_package("numpy", EXTRA)
        self.path = path
        self.index: Index = open_index(path, progress)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._mask = lru_cache(_MASKS)(self._masked)
        self._order = lru_cache(_MASKS)(self._ordered)
        self._counted = lru_cache(_MASKS)(self._count)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @property
    def kind(self) -> RowKind:
        """The kind of its rows."""
        return self.index.kind

    @property
    def status(self) -> str:
        """How the file is now: `same`, `grown`, `cut` or `gone`."""
        try:
            now, then = self.path.stat(), os.fstat(self._descriptor)
        except OSError:
            return "gone"
        if (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino):
            return "cut"
        size = self.index.end + self.index.tail
        return "same" if now.st_size == size else "grown" if now.st_size > size else "cut"

    def line(self, row: int) -> bytes:
        """Return a row as it stands in the file.

        Raises:
            InputError: there is no such row, or the file was cut.
        """
        if not 0 <= row < len(self.index):
            raise InputError(f"{self.path} has {len(self.index)} rows, and no row {row}")
        length = int(self.index.lengths[row])
        line = os.pread(self._descriptor, length, int(self.index.offsets[row]))
        if len(line) < length:
            raise InputError(f"{self.path} was cut after it was indexed; open it again")
        return line

    def id(self, row: int) -> str:
        """Return the id of a row; empty where it has none."""
        try:
            return self.kind.read(self.line(row))[0]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""

    def where(self, row: int) -> str:
        """Return the place of a row, as errors name it."""
        return f"{self.path.name}:{int(self.index.lines[row])}"

    def fact(self, row: int, column: str) -> str | float | int | None:
        """Return what a row has in a column; None where it has nothing."""
        value = self.index.columns[column][row]
        match self.kind.by_name[column].type:
            case "word":
                return None if value < 0 else self.index.words[column][int(value)]
            case "number":
                return None if math.isnan(value) else float(value)
            case "whole":
                return None if value == MISSING else int(value)
            case "key":
                return None

    def find(self, id: str) -> int | None:
        """Return the first row of an id."""
        found = self._np.flatnonzero(self.index.keys == self._np.uint64(key_of(id)))
        return int(found[0]) if id and len(found) else None

    def alike(self, row: int, column: str, most: int = 64) -> list[int]:
        """Return the first rows that have the key of a row in a column, itself among them."""
        keys = self.index.columns[column]
        if not keys[row]:
            return []
        return self._np.flatnonzero(keys == keys[row])[:most].tolist()

    # Pages

    def page(self, view: TableView, size: int = PAGE) -> TablePage:
        """Return a page of a view. A search by text pauses after 0.4 s; see `RowPage.searched`."""
        backwards = view.before is not None and view.after is None
        start = view.before if backwards else view.after
        rows = self.rows(view, start, backwards=backwards)
        found: list[int] = []
        searched: int | None = None
        if view.filter.text:
            found, searched = self._search(rows, view.filter.text, size + 1)
        else:
            found = [row for row, _ in zip(rows, range(size + 1), strict=False)]
        more, found = len(found) > size, found[:size]
        if backwards:
            found.reverse()
        if not found:
            return TablePage([], None, None, searched)
        ends = (
            (found[0], more if backwards else view.after is not None),
            (
                found[-1],
                backwards or more,
            ),
        )
        (first, has_previous), (last, has_next) = ends
        return TablePage(
            found, first if has_previous else None, last if has_next else None, searched
        )

    def rows(
        self, view: TableView, start: int | None = None, *, backwards: bool = False
    ) -> Iterator[int]:
        """Yield the rows of a view, but for its text, from the one after `start`."""
        np = self._np
        mask, order = self._mask(view.filter.without_text), self._order(view.sort)
        place = -1
        if start is not None and start < len(self.index):
            place = start if order is None else int(np.flatnonzero(order == start)[0])
        if start is None:
            place = len(self.index) if backwards else -1
        step = 65_536
        while True:
            low, high = (
                (max(place - step, 0), place) if backwards else (place + 1, place + 1 + step)
            )
            if low >= min(high, len(self.index)):
                return
            part = np.arange(low, min(high, len(self.index))) if order is None else order[low:high]
            chosen = part[mask[part]]
            yield from (chosen[::-1] if backwards else chosen).tolist()
            place = low if backwards else high - 1

    def _search(self, rows: Iterator[int], text: str, most: int) -> tuple[list[int], int | None]:
        needle, end = _needle(text), time.monotonic() + _SEARCH_S
        found: list[int] = []
        for number, row in enumerate(rows):
            if needle in self.line(row).lower():
                found.append(row)
                if len(found) == most:
                    break
            if not number & 0xFF and time.monotonic() > end:
                return found, row
        return found, None

    # Filters and orders

    def _masked(self, filter: Filter) -> Any:
        """Return which rows a filter lets in, as an array of N truths."""
        np, index = self._np, self.index
        mask = np.ones(len(index), bool)
        for name, words in filter.words:
            numbers = {word: number for number, word in enumerate(index.words[name])}
            wanted = [-1 if word == "" else numbers.get(word, -2) for word in words]
            mask &= np.isin(index.columns[name], wanted)
        for name, bounds in filter.ranges:
            column = index.columns[name]
            mask &= (column >= bounds.low) & (column <= bounds.high)
        if filter.id:
            mask &= index.keys == np.uint64(key_of(filter.id))
        return mask

    def _ordered(self, sort: str) -> Any:
        """Return the rows in an order; missing values last. None: the order of the file."""
        if not sort:
            return None
        np, name = self._np, sort.removeprefix("-")
        column = np.asarray(self.index.columns[name], dtype=float)
        if self.kind.by_name[name].type == "word":
            words = self.index.words[name]
            ranks = np.empty(len(words) + 1)
            ranks[np.argsort(np.array(words, dtype=object))] = np.arange(len(words))
            ranks[-1] = np.nan
            column = ranks[self.index.columns[name]]
        elif self.kind.by_name[name].type == "whole":
            column = np.where(column == MISSING, np.nan, column)
        return np.argsort(-column if sort.startswith("-") else column, kind="stable")

    # Counts

    def counts(self, filter: Filter) -> FilterCounts:
        """Return what a filter lets in; its text is not looked at."""
        return self._counted(filter.without_text)

    def _count(self, filter: Filter) -> FilterCounts:
        np, index = self._np, self.index
        mask = self._mask(filter)
        facets: dict[str, list[tuple[str, int]]] = {}
        for column in self.kind.columns:
            if not column.facet:
                continue
            # What its own words let in is counted as if they were not chosen: they are choices.
            others = tuple(one for one in filter.words if one[0] != column.name)
            own = mask if others == filter.words else self._mask(filter._replace(words=others))
            words = index.words[column.name]
            counts = np.bincount(index.columns[column.name][own] + 1, minlength=len(words) + 1)
            named = [(word, int(n)) for word, n in zip(["", *words], counts, strict=True) if n]
            facets[column.name] = sorted(named, key=lambda one: (-one[1], one[0]))
        measure = self.kind.measure
        values = index.columns[measure] if measure else np.array([])
        given = values[mask] if measure else values
        given = given[np.isfinite(given)]
        return FilterCounts(
            rows=int(mask.sum()),
            facets=facets,
            histogram=self._histogram(values, given),
            measure=measure,
            mean=float(given.mean()) if len(given) else None,
        )

    def _histogram(self, values: Any, given: Any) -> list[Bar]:
        """Return the bars of some values, over the range of all."""
        np = self._np
        finite = values[np.isfinite(values)]
        if not len(finite):
            return []
        low, high = float(finite.min()), float(finite.max())
        if low == high:
            return [Bar(NumberRange(low, high), len(given))]
        counts, edges = np.histogram(given, bins=BINS, range=(low, high))
        ends = edges.tolist()
        return [
            Bar(NumberRange(*ends[number : number + 2]), int(count))
            for number, count in enumerate(counts)
        ]


def _needle(text: str) -> bytes:
    """Return a text as it stands in JSON, in lower case."""
    return msgspec.json.encode(text)[1:-1].lower()
