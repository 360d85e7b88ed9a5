"""A view as a folder of pages that open without a server, packed as a ZIP file."""

import html
import io
import re
import zipfile
from collections.abc import Callable, Mapping

MOST_ROWS = 1_000
"""Rows of an export; each has a page of its own."""

_LINK = re.compile(r' (href|src)="([^"]*)"')
_TABLE = re.compile(r"/d/[^/?]+(?:\?|$)")
_ROW = re.compile(r"/d/[^/?]+/(\d+)(?:\?|$)")


def pack(name: str, pages: Mapping[str, str], style: str) -> bytes:
    """Return a ZIP file with a folder of pages.

    Args:
        name: of the folder.
        pages: HTML of the viewer by file name, `index.html` and `ROW.html` of each row. Links to
            pages that are not among them are taken out, with whatever needs the server.
        style: the style sheet.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:

        def write(file: str, text: str) -> None:
            about = zipfile.ZipInfo(f"{name}/{file}")  # Without a time: equal views, equal bytes.
            about.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(about, text)

        write("viewer.css", style)
        for file, page in pages.items():
            write(file, alone(page, lambda row: f"{row}.html" in pages))
    return data.getvalue()


def alone(page: str, has: Callable[[int], bool]) -> str:
    """Return a page with links to pages beside it, and no others."""

    def link(found: re.Match[str]) -> str:
        target = html.unescape(found[2])
        if target.startswith("#"):
            return found[0]
        if target == "/static/viewer.css":
            return ' href="viewer.css"'
        row = _ROW.match(target)
        if row is not None and has(int(row[1])):
            return f' href="{row[1]}.html"'
        if _TABLE.match(target):
            return ' href="index.html"'
        return ""

    return _LINK.sub(link, page)
