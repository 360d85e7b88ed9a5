"""The viewer over HTTP: pages made on the server, each state a URL."""

import asyncio
import functools
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from aiohttp import web

from plaudit._util.pages import render
from plaudit.errors import InputError, PlauditError, UsageError
from plaudit.server.security import Gatekeeper
from plaudit.viewer import rows
from plaudit.viewer.compare import Comparison, settings_apart
from plaudit.viewer.compare_pages import flip_lines, sides
from plaudit.viewer.filters import Bounds, View, read_view
from plaudit.viewer.groups import group_of
from plaudit.viewer.kinds import TRACES
from plaudit.viewer.label_pages import Labelling, LabelOptions, Promised
from plaudit.viewer.labels import LOOKS
from plaudit.viewer.library import Document, Library
from plaudit.viewer.snippets import snippet
from plaudit.viewer.table import Table
from plaudit.viewer.texts import markdown

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_PAGES = "plaudit.viewer.pages"
_STATIC = {"viewer.css": "text/css", "viewer.js": "text/javascript"}
_WAIT_S = 0.25
"""Seconds that a page waits for an index before it shows how far the index is."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class NotFoundError(PlauditError):
    """There is no such page."""


class _Line(NamedTuple):
    """A row of the table."""

    row: int
    id: str
    facts: list[str | float | int | None]
    snippet: str


class _DrawnBar(NamedTuple):
    """A bar of the histogram, and the filter that it is."""

    bounds: Bounds
    rows: int
    query: str


class _App(NamedTuple):
    """What the handlers have in common."""

    library: Library
    keeper: Gatekeeper
    token: str
    options: LabelOptions
    labellings: dict[str, Labelling]
    """By the slug of the document."""


def make_app(
    library: Library,
    token: str,
    names: tuple[str, ...] = (),
    options: LabelOptions | None = None,
) -> web.Application:
    """Return the application of the viewer; nothing is started.

    Args:
        library: what is looked at.
        token: the first page's URL holds it, and a cookie the requests after it.
        names: under which the viewer may be asked, besides those of this machine.
        options: how people label.
    """
    app = _App(library, Gatekeeper(None, names), token, options or LabelOptions(), {})
    made = web.Application(middlewares=[web.middleware(functools.partial(_around, app))])
    pages: Mapping[str, Callable[[_App, web.Request], Awaitable[web.StreamResponse]]] = {
        "/": _home,
        "/run/{name}": _run,
        "/d/{slug}": _table,
        "/d/{slug}/rows.jsonl": _lines,
        "/d/{slug}/{row:[0-9]+}": _row,
        "/d/{slug}/{row:[0-9]+}.json": _raw,
        "/compare": _choose,
        "/compare/{first}/{second}": _compare,
        "/compare/{first}/{second}/{row:[0-9]+}": _flip,
        "/label/{slug}": _label,
        "/static/{name}": _static,
    }
    for path, handler in pages.items():
        made.router.add_get(path, functools.partial(handler, app))
    made.router.add_post("/label/{slug}", functools.partial(_answer, app))
    return made


# Around every page


async def _around(app: _App, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = _refused(app, request) or await handler(request)
    except web.HTTPException as error:
        response = _problem(app, error.status, error.reason)
    except NotFoundError as error:
        response = _problem(app, 404, str(error))
    except (UsageError, InputError) as error:
        response = _problem(app, 400, str(error))
    except PlauditError as error:
        response = _problem(app, 500, str(error))
    if not response.prepared:
        response.headers.update(_HEADERS)
    return response


def _refused(app: _App, request: web.Request) -> web.Response | None:
    """Return the answer to who may not look, or who comes for the first time."""
    if not app.keeper.knows(request.host):
        return web.Response(status=403, text="the viewer is not asked under this name")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        return web.Response(status=403, text="another site asks")
    cookie = _cookie(request)
    given = request.query.get("token", "")
    if hmac.compare_digest(given.encode(), app.token.encode()):
        left = request.rel_url.with_query(
            [(name, text) for name, text in request.query.items() if name != "token"]
        )
        answer = web.Response(status=303, headers={"Location": str(left)})
        answer.set_cookie(cookie, app.token, httponly=True, samesite="Strict")
        return answer
    if not hmac.compare_digest(request.cookies.get(cookie, "").encode(), app.token.encode()):
        return web.Response(
            status=401, text="open the URL that `plaudit view` printed: it holds a token"
        )
    return None


def _cookie(request: web.Request) -> str:
    """Return the name of the cookie; cookies do not know ports, so it does."""
    return f"plaudit_view_{urlsplit(f'//{request.host}').port or 80}"


def _page(app: _App, template: str, status: int = 200, **values: Any) -> web.Response:
    documents = list(app.library.documents.values())
    text = render(_PAGES, template, documents=documents, markdown=markdown, **values)
    return web.Response(text=text, status=status, content_type="text/html")


def _problem(app: _App, status: int, message: str) -> web.Response:
    return _page(app, "problem.html.jinja", status, title="Not shown", message=message)


# Pages


async def _home(app: _App, request: web.Request) -> web.StreamResponse:
    wanted = request.query.get("search", "").strip()
    problem = ""
    try:
        runs = await asyncio.to_thread(app.library.runs)
    except PlauditError as error:
        runs, problem = [], str(error)
    found = [run for run in runs if wanted.lower() in " ".join(map(str, run)).lower()]
    return _page(
        app,
        "home.html.jinja",
        title="plaudit view",
        runs=found,
        all_runs=len(runs),
        search=wanted,
        problem=problem,
    )


async def _run(app: _App, request: web.Request) -> web.StreamResponse:
    document = await asyncio.to_thread(app.library.add_run, request.match_info["name"])
    return web.Response(status=303, headers={"Location": f"/d/{document.slug}"})


async def _table(app: _App, request: web.Request) -> web.StreamResponse:
    document = _document(app, request)
    table = await document.ready(_WAIT_S)
    if table is None:
        share = document.read / document.size if document.size else 0.0
        return _page(
            app, "indexing.html.jinja", title=document.title, document=document, share=share
        )
    view = read_view(table.kind, request.query.items())
    page, counts = await asyncio.to_thread(_look, table, view)
    columns = view.columns or table.kind.shown
    lines = await asyncio.to_thread(_lines_of, table, page.rows, columns)
    return _page(
        app,
        "table.html.jinja",
        title=document.title,
        document=document,
        table=table,
        view=view,
        page=page,
        counts=counts,
        columns=columns,
        lines=lines,
        bars=_bars(view, counts.histogram, counts.measure),
        most=max((bar.rows for bar in counts.histogram), default=0),
    )


def _lines_of(table: Table, found: list[int], columns: Sequence[str]) -> list[_Line]:
    return [
        _Line(row, table.id(row), [table.fact(row, name) for name in columns], snippet(table, row))
        for row in found
    ]


def _look(table: Table, view: View) -> tuple[Any, Any]:
    return table.page(view), table.counts(view.filter)


def _bars(view: View, histogram: Any, measure: str) -> list[_DrawnBar]:
    return [
        _DrawnBar(bar.bounds, bar.rows, view.ranged(measure, bar.bounds).query())
        for bar in histogram
    ]


async def _row(app: _App, request: web.Request) -> web.StreamResponse:
    document, table = await _opened(app, request)
    number = int(request.match_info["row"])
    own = {"whole", "from"}
    view = read_view(table.kind, ((k, v) for k, v in request.query.items() if k not in own))
    whole = "whole" in request.query
    before, after = await asyncio.to_thread(_neighbours, table, view, number)
    line = table.line(number)
    values: dict[str, Any] = {
        "document": document,
        "table": table,
        "number": number,
        "where": table.where(number),
        "view": view,
        "before": before,
        "after": after,
        "whole": whole,
    }
    try:
        found = rows.decode_row(line, table.where(number))
    except InputError as error:
        text = rows.cut(line.decode(errors="backslashreplace"), whole)
        return _page(
            app, "malformed.html.jinja", title="malformed", shown=text, problem=str(error), **values
        )
    first = request.query.get("from", "0")
    template, shown = _shown(table.kind.name, found, int(first) if first.isdigit() else 0, whole)
    if table.kind is TRACES:
        values["group"] = group_of(table, number)
    return _page(app, template, title=shown.id or f"row {number}", shown=shown, **values)


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


def _neighbours(table: Table, view: View, row: int) -> tuple[int | None, int | None]:
    """Return the rows before and after a row in a view."""
    before = table.page(view._replace(before=row, after=None), 1).rows
    after = table.page(view._replace(after=row, before=None), 1).rows
    return (before[0] if before else None), (after[0] if after else None)


async def _raw(app: _App, request: web.Request) -> web.StreamResponse:
    _, table = await _opened(app, request)
    line = table.line(int(request.match_info["row"]))
    return web.Response(body=line, content_type="text/plain", charset="utf-8")


async def _lines(app: _App, request: web.Request) -> web.StreamResponse:
    """Send what is filtered, as JSON Lines."""
    document, table = await _opened(app, request)
    view = read_view(table.kind, request.query.items())
    answer = web.StreamResponse(
        headers={
            "Content-Type": "application/jsonl",
            "Content-Disposition": f'attachment; filename="{document.slug}.jsonl"',
            **_HEADERS,
        }
    )
    await answer.prepare(request)
    async for block in _blocks(table, view):
        await answer.write(block)
    await answer.write_eof()
    return answer


async def _blocks(table: Table, view: View, size: int = 500) -> AsyncIterator[bytes]:
    view = view._replace(after=None, before=None)
    while True:
        page = await asyncio.to_thread(table.page, view, size)
        if page.rows:
            yield b"".join(table.line(row) + b"\n" for row in page.rows)
        last = page.next if page.searched is None else page.searched
        if last is None:
            return
        view = view._replace(after=last)


async def _choose(app: _App, request: web.Request) -> web.StreamResponse:
    del app
    first, second = (quote(request.query.get(name, ""), safe="") for name in ("first", "second"))
    return web.Response(status=303, headers={"Location": f"/compare/{first}/{second}"})


@functools.lru_cache(4)
def _comparison(first: Table, second: Table) -> Comparison:
    return Comparison(first, second)


async def _compared(app: _App, request: web.Request) -> tuple[Document, Document, Comparison]:
    """Return two documents and what they share.

    Raises:
        UsageError: they hold no verdicts, or share no row.
    """
    first, one = await _opened(app, request, "first")
    second, other = await _opened(app, request, "second")
    return first, second, await asyncio.to_thread(_comparison, one, other)


async def _compare(app: _App, request: web.Request) -> web.StreamResponse:
    first, second, found = await _compared(app, request)
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
    records = [await asyncio.to_thread(app.library.record_of, one) for one in (first, second)]
    return _page(
        app,
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
        lines=flip_lines(found, page),
        query=functools.partial(_place, kept),
    )


def _place(kept: Mapping[str, Any], place: int) -> str:
    """Return the query of a page of shared rows."""
    return urlencode({**kept, "after": place})


async def _flip(app: _App, request: web.Request) -> web.StreamResponse:
    first, second, found = await _compared(app, request)
    row = int(request.match_info["row"])
    other = found.partner(row)
    if other is None:
        raise NotFoundError(f"{second.title} has no row that goes with row {row}")
    return _page(
        app,
        "flip.html.jinja",
        title="both verdicts",
        first=first,
        second=second,
        row=row,
        other=other,
        shown=sides(found, row, other, "whole" in request.query),
        view=View(),
    )


async def _labelling(app: _App, request: web.Request) -> tuple[Document, Labelling]:
    """Return the labels of a document, which is opened where it is not yet.

    Raises:
        UsageError: it holds no verdicts.
    """
    document, table = await _opened(app, request)
    known = app.labellings.get(document.slug)
    if known is None or known.table is not table:
        known = await asyncio.to_thread(Labelling, document, table, app.options)
        app.labellings[document.slug] = known
    return document, known


async def _label(app: _App, request: web.Request) -> web.StreamResponse:
    document, labelling = await _labelling(app, request)
    return await _label_page(app, document, labelling)


async def _answer(app: _App, request: web.Request) -> web.StreamResponse:
    """Take an answer of a person, then show the next sample."""
    document, labelling = await _labelling(app, request)
    form = await request.post()
    said, row = str(form.get("answer", "")), str(form.get("row", ""))
    try:
        if said == "calibrate":
            target, delta = (_share(str(form.get(name, ""))) for name in ("target", "delta"))
            promised = await labelling.calibrate(target, delta)
            return await _label_page(app, document, labelling, promised=promised)
        await labelling.answer(int(row) if row.isdigit() else -1, said)
    except PlauditError as error:
        return await _label_page(app, document, labelling, problem=str(error))
    return web.Response(status=303, headers={"Location": f"/label/{document.slug}"})


async def _label_page(
    app: _App,
    document: Document,
    labelling: Labelling,
    *,
    problem: str = "",
    promised: Promised | None = None,
) -> web.Response:
    return _page(
        app,
        "label.html.jinja",
        400 if problem else 200,
        title=f"Label {document.title}",
        document=document,
        labelling=labelling,
        problem=problem,
        promised=promised,
        shown=await labelling.shown(),
        last=labelling.last(),
        progress=labelling.queue.progress(),
        looks=LOOKS,
        view=View(),
    )


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no share: write it as 0.8") from None


async def _static(app: _App, request: web.Request) -> web.StreamResponse:
    del app
    name = request.match_info["name"]
    if name not in _STATIC:
        raise NotFoundError(f"there is no {name}")
    text = resources.files("plaudit.viewer.static").joinpath(name).read_text(encoding="utf-8")
    if name.endswith(".css"):
        common = resources.files("plaudit._util.pages").joinpath("style.css")
        text = common.read_text(encoding="utf-8") + text
    return web.Response(text=text, content_type=_STATIC[name])


async def _opened(app: _App, request: web.Request, name: str = "slug") -> tuple[Document, Table]:
    """Return a document whose index is made.

    Raises:
        InputError: the file cannot be read.
    """
    document = _document(app, request, name)
    while (table := await document.ready(5.0)) is None:
        pass
    return document, table


def _document(app: _App, request: web.Request, name: str = "slug") -> Document:
    document = app.library.documents.get(request.match_info[name])
    if document is None:
        raise NotFoundError("this file is not open: start `plaudit view` with it")
    return document
