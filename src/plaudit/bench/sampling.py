"""A part of a set to judge: so many rows, spread over its subsets as the whole set is."""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from plaudit.errors import ArgumentError
from plaudit.types import Json

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Drawn(NamedTuple):
    """Rows that are drawn together, with the number by which they are chosen."""

    order: int
    """Negative of the number, for a heap with the largest on top."""
    place: int
    """Of the first row in the set."""
    rows: list[dict[str, Json]]


class _Subset:
    """Candidates of one subset: units with the smallest numbers, of at most `limit` rows."""

    def __init__(self, limit: int) -> None:
        self.seen = 0
        self._limit = limit
        self._held = 0
        self._units: list[_Drawn] = []

    def add(self, unit: _Drawn) -> None:
        """Take a unit; let go of those with the largest numbers that are no longer needed."""
        self.seen += len(unit.rows)
        self._held += len(unit.rows)
        heapq.heappush(self._units, unit)
        while self._held - len(self._units[0].rows) >= self._limit:
            self._held -= len(heapq.heappop(self._units).rows)

    def units(self) -> list[_Drawn]:
        """Return the candidates, smallest number first."""
        return sorted(self._units, reverse=True)


def draw_rows(
    rows: Iterable[Mapping[str, Json]], limit: int, seed: int = 0
) -> list[dict[str, Json]]:
    """Draw rows from each subset, as many as its share of the set.

    Each subset gets one row at least, as far as the limit goes. Rows of one item, which have one
    `cluster` and a tag `pairs`, are drawn together or not at all. What is drawn depends on the
    content of the rows and the seed, not on their order; the rows keep their order.

    Args:
        rows: with a `subset`, as `load_dataset` gives them; read once.
        limit: most rows, at least 1. Memory grows with it and the number of subsets.
        seed: gives another draw.

    Raises:
        ArgumentError: the limit is below 1, or too small for one item.
    """
    if limit < 1:
        raise ArgumentError("limit", f"must be at least 1, not {limit}")
    subsets: defaultdict[str, _Subset] = defaultdict(lambda: _Subset(limit))
    largest = 0
    for subset, unit in _units(rows, seed):
        subsets[subset].add(unit)
        largest = max(largest, len(unit.rows))
    taken = sorted(_shared(list(subsets.values()), limit), key=lambda unit: unit.place)
    if subsets and not taken:
        raise ArgumentError("limit", f"{limit} is too small: an item here has {largest} rows")
    return [row for unit in taken for row in unit.rows]


def _shared(subsets: Sequence[_Subset], limit: int) -> Iterator[_Drawn]:
    """Share a limit among subsets: one unit each, the largest first, then by size.

    The next unit goes to the subset that is furthest behind its share (Sainte-Lague 1910).
    """
    waiting = [(0, -float(subset.seen), n) for n, subset in enumerate(subsets)]
    heapq.heapify(waiting)
    units = [iter(subset.units()) for subset in subsets]
    rows = [0] * len(subsets)
    while waiting and limit:
        _, _, n = heapq.heappop(waiting)
        unit = next(units[n], None)
        if unit is not None and len(unit.rows) <= limit:
            yield unit
            limit -= len(unit.rows)
            rows[n] += len(unit.rows)
            behind = (rows[n] + len(unit.rows) / 2) / subsets[n].seen
            heapq.heappush(waiting, (1, behind, n))


def _units(rows: Iterable[Mapping[str, Json]], seed: int) -> Iterator[tuple[str, _Drawn]]:
    """Group neighbouring rows of one item, and number each unit by its content."""
    held: list[dict[str, Json]] = []
    key: object = None
    place = 0
    for row in rows:
        own = _unit_key(row)
        if held and (own is None or own != key):
            yield _unit(held, place - len(held), seed)
            held = []
        key = own
        held.append(dict(row))
        place += 1
    if held:
        yield _unit(held, place - len(held), seed)


def _unit_key(row: Mapping[str, Json]) -> tuple[str, str] | None:
    tags: Json = row.get("tags")
    if not isinstance(tags, dict) or "pairs" not in cast("dict[str, Json]", tags):
        return None
    return str(row.get("subset")), str(row.get("cluster"))


def _unit(rows: Sequence[dict[str, Json]], place: int, seed: int) -> tuple[str, _Drawn]:
    hashed = hashlib.blake2b(str(seed).encode(), digest_size=8)
    for row in rows:
        hashed.update(_encode(row))
    number = int.from_bytes(hashed.digest())
    return str(rows[0].get("subset") or ""), _Drawn(-number, place, list(rows))
