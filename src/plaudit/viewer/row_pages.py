"""The pages of files and of their rows."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiohttp import web

from plaudit.errors import InputError, PlauditError
from plaudit.types import Json
from plaudit.viewer import rows
from plaudit.viewer.filters import NumberRange, TableView, read_view
from plaudit.viewer.groups import group_of
from plaudit.viewer.kinds import TRACES, VERDICTS
from plaudit.viewer.library import ViewedFile
from plaudit.viewer.prompts import PromptTurn
from plaudit.viewer.site import NotFoundError, Site
from plaudit.viewer.snippets import snippet
from plaudit.viewer.table import Table, TablePage
from plaudit.viewer.texts import cut

_WAIT_S = 0.25
"""Seconds that a page waits for an index before it shows how far the index is."""


class _Line(NamedTuple):
    """A row of the table."""

    row: int
    id: str
    facts: list[str | float | int | None]
    snippet: str


class _DrawnBar(NamedTuple):
    """A bar of the histogram, and the filter that it is."""

    bounds: NumberRange
    rows: int
    query: str


async def show_home(site: Site, request: web.Request) -> web.StreamResponse:
    """Show what is open, and the runs of the store."""
    wanted = request.query.get("search", "").strip()
    problem = ""
    try:
        runs = await asyncio.to_thread(site.library.runs)
    except PlauditError as error:
        runs, problem = [], str(error)
    found = [run for run in runs if wanted.lower() in " ".join(map(str, run)).lower()]
    return site.page(
        "home.html.jinja",
        title="plaudit view",
        runs=found,
        all_runs=len(runs),
        search=wanted,
        problem=problem,
    )


async def show_run(site: Site, request: web.Request) -> web.StreamResponse:
    """Open a run, and go to it."""
    document = await asyncio.to_thread(site.library.add_run, request.match_info["name"])
    return web.Response(status=303, headers={"Location": f"/d/{document.slug}"})


async def show_table(site: Site, request: web.Request) -> web.StreamResponse:
    """Show the rows of a file, or how far its index is."""
    document = site.document(request)
    table = await document.ready(_WAIT_S)
    if table is None:
        share = document.read / document.size if document.size else 0.0
        return site.page(
            "indexing.html.jinja", title=document.title, document=document, share=share
        )
    view = read_view(table.kind, request.query.items())
    page = await asyncio.to_thread(table.page, view)
    values = await asyncio.to_thread(_table_values, document, table, view, page)
    return site.page("table.html.jinja", **values)


def exported_table(
    site: Site, document: ViewedFile, table: Table, view: TableView, found: list[int]
) -> str:
    """Return the page that lists the rows of an export."""
    values = _table_values(document, table, view, TablePage(found, None, None))
    return site.text("table.html.jinja", exported=True, **values)


def _table_values(
    document: ViewedFile, table: Table, view: TableView, page: TablePage
) -> dict[str, Any]:
    counts = table.counts(view.filter)
    columns = view.columns or table.kind.shown
    return {
        "title": document.title,
        "document": document,
        "table": table,
        "view": view,
        "page": page,
        "counts": counts,
        "columns": columns,
        "lines": _lines_of(table, page.rows, columns),
        "bars": _bars(view, counts.histogram, counts.measure),
        "most": max((bar.rows for bar in counts.histogram), default=0),
    }


def _lines_of(table: Table, found: list[int], columns: Sequence[str]) -> list[_Line]:
    return [
        _Line(row, table.id(row), [table.fact(row, name) for name in columns], snippet(table, row))
        for row in found
    ]


def _bars(view: TableView, histogram: Any, measure: str) -> list[_DrawnBar]:
    return [
        _DrawnBar(bar.bounds, bar.rows, view.ranged(measure, bar.bounds).query())
        for bar in histogram
    ]


async def show_row(site: Site, request: web.Request) -> web.StreamResponse:
    """Show one row."""
    document, table = await site.opened(request)
    number = int(request.match_info["row"])
    own = {"whole", "from"}
    view = read_view(table.kind, ((k, v) for k, v in request.query.items() if k not in own))
    first = request.query.get("from", "0")
    values = await asyncio.to_thread(
        _row_values,
        table,
        number,
        first=int(first) if first.isdigit() else 0,
        whole="whole" in request.query,
    )
    before, after = await asyncio.to_thread(_neighbours, table, view, number)
    return site.page(**values, document=document, view=view, before=before, after=after, status=200)


def exported_row(site: Site, document: ViewedFile, table: Table, row: int) -> str:
    """Return the page of a row of an export, with all of its text."""
    values = _row_values(table, row, whole=True)
    more: dict[str, Any] = {
        "document": document,
        "view": TableView(),
        "before": None,
        "after": None,
    }
    return site.text(**values, **more, exported=True)


def _row_values(
    table: Table, number: int, *, first: int = 0, whole: bool = False
) -> dict[str, Any]:
    """Return the template of a row, and what it shows."""
    line, where = table.line(number), table.where(number)
    values: dict[str, Any] = {"table": table, "number": number, "where": where}
    try:
        found = rows.decode_row(line, where)
    except InputError as error:
        text = cut(line.decode(errors="backslashreplace"), whole)
        return values | {
            "template": "malformed.html.jinja",
            "title": f"row {number}",
            "shown": text,
            "problem": str(error),
        }
    if table.kind is TRACES:
        values["group"] = group_of(table, number)
    template, shown = _shown(table.kind.name, found, first, whole)
    return values | {
        "template": template,
        "title": shown.id or f"row {number}",
        "shown": shown,
    }


def _shown(kind: str, found: dict[str, Any], first: int, whole: bool) -> tuple[str, Any]:
    match kind:
        case "verdicts":
            return "verdict.html.jinja", rows.verdict_page(found, whole)
        case "traces":
            return "trace.html.jinja", rows.trace_page(found, first, whole)
        case "pairs":
            return "pair.html.jinja", rows.pair_page(found, whole)
        case _:
            return "row.html.jinja", rows.row_page(found, whole)


def _neighbours(table: Table, view: TableView, row: int) -> tuple[int | None, int | None]:
    """Return the rows before and after a row in a view."""
    before = table.page(view._replace(before=row, after=None), 1).rows
    after = table.page(view._replace(after=row, before=None), 1).rows
    return (before[0] if before else None), (after[0] if after else None)


async def show_raw(site: Site, request: web.Request) -> web.StreamResponse:
    """Send a row as it stands in its file."""
    _, table = await site.opened(request)
    line = table.line(int(request.match_info["row"]))
    return web.Response(body=line, content_type="text/plain", charset="utf-8")


async def show_asked(site: Site, request: web.Request) -> web.StreamResponse:
    """Show the prompts about a verdict as they were sent, and what came back."""
    document, table = await site.opened(request)
    number = int(request.match_info["row"])
    found = rows.decode_row(table.line(number), table.where(number))
    if table.kind is not VERDICTS:
        raise NotFoundError(f"{document.title} holds {table.kind.name}: no judge was asked")
    index = found.get("index")
    kept = None
    if isinstance(index, int):
        kept = await asyncio.to_thread(
            site.library.kept_of, document, index, str(found.get("id", ""))
        )
    prompts, problem = await _prompts(site, document, rows.judged_row(found))
    if not prompts and kept is None:
        raise NotFoundError(problem)
    return site.page(
        "prompt.html.jinja",
        title="as it was sent",
        document=document,
        number=number,
        prompts=prompts,
        problem=problem,
        kept=kept,
        view=TableView(),
        replies=[cut(text, "whole" in request.query) for text in (kept.replies if kept else ())],
    )


async def _prompts(
    site: Site, document: ViewedFile, row: dict[str, Json]
) -> tuple[list[list[PromptTurn]], str]:
    """Return the prompts about a row; where there are none, why not."""
    info = await asyncio.to_thread(site.library.run_of, document)
    if info is None or not row:
        return [], (
            "the prompt cannot be shown: it is rendered again from the run in the store and from "
            "what was judged, and one of them is missing"
        )
    try:
        return await site.prompts.of(info.config, row), ""
    except PlauditError as error:
        return [], f"the prompt cannot be shown: {error}"
