"""The pages of a comparison."""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from aiohttp import web

from plaudit.viewer import rows
from plaudit.viewer.compare import FileComparison, Flips, settings_apart
from plaudit.viewer.filters import TableView
from plaudit.viewer.library import ViewedFile
from plaudit.viewer.site import NotFoundError, Site
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


def _flip_lines(found: FileComparison, page: Flips) -> list[FlipLine]:
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


def _sides(found: FileComparison, row: int, second: int, whole: bool) -> list[Any]:
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


async def show_choose(site: Site, request: web.Request) -> web.StreamResponse:
    """Go to the comparison that was chosen."""
    del site
    first, second = (quote(request.query.get(name, ""), safe="") for name in ("first", "second"))
    return web.Response(status=303, headers={"Location": f"/compare/{first}/{second}"})


@functools.lru_cache(4)
def _comparison(first: Table, second: Table) -> FileComparison:
    return FileComparison(first, second)


async def _compared(
    site: Site, request: web.Request
) -> tuple[ViewedFile, ViewedFile, FileComparison]:
    """Return two documents and what they share.

    Raises:
        UsageError: they hold no verdicts, or share no row.
    """
    first, one = await site.opened(request, "first")
    second, other = await site.opened(request, "second")
    return first, second, await asyncio.to_thread(_comparison, one, other)


async def show_compare(site: Site, request: web.Request) -> web.StreamResponse:
    """Show what two files say of the rows that both have."""
    first, second, found = await _compared(site, request)
    cell = None
    if "first" in request.query or "second" in request.query:
        cell = request.query.get("first", ""), request.query.get("second", "")
    all_rows = "all" in request.query
    start = request.query.get("after", "0")
    page = await asyncio.to_thread(
        functools.partial(
            found.page, cell, all_rows=all_rows, start=int(start) if start.isdigit() else 0
        )
    )
    words, cells = found.confusion()
    kept: dict[str, Any] = {"all": "1"} if all_rows else {}
    if cell is not None:
        kept = {"first": cell[0], "second": cell[1]}
    records = [await asyncio.to_thread(site.library.record_of, one) for one in (first, second)]
    return site.page(
        "compare.html.jinja",
        title=f"{first.title} beside {second.title}",
        first=first,
        second=second,
        found=found,
        mcnemar=found.mcnemar(),
        difference=found.difference(),
        words=words,
        cells=cells,
        settings=settings_apart(*records) if all(records) else [],
        cell=cell,
        all_rows=all_rows,
        page=page,
        lines=_flip_lines(found, page),
        query=functools.partial(_place, kept),
    )


def _place(kept: Mapping[str, Any], place: int) -> str:
    """Return the query of a page of shared rows."""
    return urlencode({**kept, "after": place})


async def show_flip(site: Site, request: web.Request) -> web.StreamResponse:
    """Show both verdicts of a shared row."""
    first, second, found = await _compared(site, request)
    row = int(request.match_info["row"])
    other = found.partner(row)
    if other is None:
        raise NotFoundError(f"{second.title} has no row that goes with row {row}")
    return site.page(
        "flip.html.jinja",
        title="both verdicts",
        first=first,
        second=second,
        row=row,
        other=other,
        shown=_sides(found, row, other, "whole" in request.query),
        view=TableView(),
    )
