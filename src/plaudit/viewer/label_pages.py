"""The pages on which people label."""

import asyncio

from aiohttp import web

from plaudit.errors import PlauditError, UsageError
from plaudit.viewer.filters import TableView
from plaudit.viewer.labelling import Labelling, LookPromise
from plaudit.viewer.labels import LOOKS
from plaudit.viewer.library import ViewedFile
from plaudit.viewer.site import Site


async def _labelling(site: Site, request: web.Request) -> tuple[ViewedFile, Labelling]:
    """Return the labels of a document, which is opened where it is not yet.

    Raises:
        UsageError: it holds no verdicts.
    """
    document, table = await site.opened(request)
    known = site.labellings.get(document.slug)
    if known is None or known.table is not table:
        known = await asyncio.to_thread(Labelling, document, table, site.options)
        site.labellings[document.slug] = known
    return document, known


async def show_label(site: Site, request: web.Request) -> web.StreamResponse:
    """Show the next sample to be labelled."""
    document, labelling = await _labelling(site, request)
    return await _label_page(site, document, labelling)


async def take_answer(site: Site, request: web.Request) -> web.StreamResponse:
    """Take an answer of a person, then show the next sample."""
    document, labelling = await _labelling(site, request)
    form = await request.post()
    said, row = str(form.get("answer", "")), str(form.get("row", ""))
    try:
        if said == "calibrate":
            target, delta = (_share(str(form.get(name, ""))) for name in ("target", "delta"))
            promised = await labelling.calibrate(target, delta)
            return await _label_page(site, document, labelling, promised=promised)
        await labelling.answer(int(row) if row.isdigit() else -1, said)
    except PlauditError as error:
        return await _label_page(site, document, labelling, problem=str(error))
    return web.Response(status=303, headers={"Location": f"/label/{document.slug}"})


async def _label_page(
    site: Site,
    document: ViewedFile,
    labelling: Labelling,
    *,
    problem: str = "",
    promised: LookPromise | None = None,
) -> web.Response:
    return site.page(
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
        view=TableView(),
    )


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no share: write it as 0.8") from None
