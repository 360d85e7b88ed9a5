"""What the pages of the viewer have in common: documents, labels, and how a page is made."""

from importlib import resources
from typing import Any, NamedTuple

from aiohttp import web

from plaudit._util.pages import render
from plaudit.errors import PlauditError
from plaudit.viewer.labelling import Labelling, LabelOptions
from plaudit.viewer.library import Library, ViewedFile
from plaudit.viewer.prompts import SentPrompts
from plaudit.viewer.table import Table
from plaudit.viewer.texts import markdown

_PAGES = "plaudit.viewer.pages"


def static_text(name: str) -> str:
    """Return the style or the script; the style begins with that of all pages of plaudit."""
    text = resources.files("plaudit.viewer.static").joinpath(name).read_text(encoding="utf-8")
    if not name.endswith(".css"):
        return text
    common = resources.files("plaudit._util.pages").joinpath("style.css")
    return common.read_text(encoding="utf-8") + text


class NotFoundError(PlauditError):
    """There is no such page."""


class Site(NamedTuple):
    """The viewer, as its handlers see it."""

    library: Library
    options: LabelOptions
    labellings: dict[str, Labelling]
    """By the slug of the document."""
    prompts: SentPrompts

    def text(self, template: str, **values: Any) -> str:
        """Return a page as HTML."""
        known = {"documents": list(self.library.documents.values()), "markdown": markdown}
        return render(_PAGES, template, **{"exported": False, **known, **values})

    def page(self, template: str, status: int = 200, **values: Any) -> web.Response:
        """Return a page as a response."""
        return web.Response(
            text=self.text(template, **values), status=status, content_type="text/html"
        )

    def problem(self, status: int, message: str) -> web.Response:
        """Return a page that says what is wrong."""
        return self.page("problem.html.jinja", status, title="Not shown", message=message)

    def document(self, request: web.Request, name: str = "slug") -> ViewedFile:
        """Return the document that a path names.

        Raises:
            NotFoundError: it is not open.
        """
        document = self.library.documents.get(request.match_info[name])
        if document is None:
            raise NotFoundError("this file is not open: start `plaudit view` with it")
        return document

    async def opened(self, request: web.Request, name: str = "slug") -> tuple[ViewedFile, Table]:
        """Return a document, and its table as soon as it is indexed.

        Raises:
            InputError: the file cannot be read.
            NotFoundError: it is not open.
        """
        document = self.document(request, name)
        while (table := await document.ready(5.0)) is None:
            pass
        return document, table
