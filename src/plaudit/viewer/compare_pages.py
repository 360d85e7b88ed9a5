"""The pages of a comparison."""

from typing import Any, NamedTuple

from plaudit.viewer import rows
from plaudit.viewer.compare import Comparison, Flips
from plaudit.viewer.snippets import snippet
from plaudit.viewer.table import Table


class FlipLine(NamedTuple):
    """A shared row of the list."""

    first: int
    id: str
    said: tuple[str, str]
    rewards: tuple[float | None, float | None]
    label: str
    snippet: str


def flip_lines(found: Comparison, page: Flips) -> list[FlipLine]:
    """Return the lines of a page of shared rows."""
    return [
        FlipLine(
            one.first,
            found.first.id(one.first),
            (_said(found.first, one.first), _said(found.second, one.second)),
            (_reward(found.first, one.first), _reward(found.second, one.second)),
            str(found.first.fact(one.first, "label") or ""),
            snippet(found.first, one.first),
        )
        for one in page.rows
    ]


def sides(found: Comparison, row: int, second: int, whole: bool) -> list[Any]:
    """Return the verdicts of a shared row, for its page."""
    pairs = ((found.first, row), (found.second, second))
    return [
        rows.verdict_page(rows.decode_row(table.line(number), table.where(number)), whole)
        for table, number in pairs
    ]


def _said(table: Table, row: int) -> str:
    status = table.fact(row, "status")
    return str(table.fact(row, "value")) if status == "ok" else f"({status})"


def _reward(table: Table, row: int) -> float | None:
    value = table.fact(row, table.kind.measure)
    return None if value is None else float(value)
