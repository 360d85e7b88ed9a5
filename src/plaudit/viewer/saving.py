"""What is filtered, saved: its lines, or its pages as a folder."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from plaudit.viewer import row_pages
from plaudit.viewer.exporting import MOST_ROWS, pack
from plaudit.viewer.filters import TableView, read_view
from plaudit.viewer.site import Site, static_text
from plaudit.viewer.table import Table


async def save_lines(site: Site, request: web.Request) -> web.StreamResponse:
    """Send what is filtered, as JSON Lines."""
    document, table = await site.opened(request)
    view = read_view(table.kind, request.query.items())
    answer = web.StreamResponse(
        headers={
            "Content-Type": "application/jsonl",
            "Content-Disposition": f'attachment; filename="{document.slug}.jsonl"',
        }
    )
    await answer.prepare(request)
    async for found in _row_blocks(table, view):
        await answer.write(b"".join(table.line(row) + b"\n" for row in found))
    await answer.write_eof()
    return answer


async def save_pages(site: Site, request: web.Request) -> web.StreamResponse:
    """Send a page for each row that is filtered, and one that lists them, as a ZIP file."""
    document, table = await site.opened(request)
    view = read_view(table.kind, request.query.items())._replace(after=None, before=None)
    found: list[int] = []
    async for some in _row_blocks(table, view):
        found += some
        if len(found) >= MOST_ROWS:
            break
    found = found[:MOST_ROWS]

    def packed() -> bytes:
        pages = {"index.html": row_pages.exported_table(site, document, table, view, found)}
        for row in found:
            pages[f"{row}.html"] = row_pages.exported_row(site, document, table, row)
        return pack(document.slug, pages, static_text("viewer.css"))

    return web.Response(
        body=await asyncio.to_thread(packed),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{document.slug}.zip"'},
    )


async def _row_blocks(table: Table, view: TableView, size: int = 500) -> AsyncIterator[list[int]]:
    """Yield the rows of a view, some at a time; a search that pauses goes on."""
    view = view._replace(after=None, before=None)
    while True:
        page = await asyncio.to_thread(table.page, view, size)
        yield page.rows
        last = page.next if page.searched is None else page.searched
        if last is None:
            return
        view = view._replace(after=last)
