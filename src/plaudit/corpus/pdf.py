"""PDF: the text of its pages, each under a heading of its own, as pypdf finds it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plaudit._util.packages import load_package
from plaudit.corpus.document import Heading, Part
from plaudit.errors import InputError


def read_pdf(path: Path) -> tuple[str, Iterator[Part]]:
    """Return the title and the text of a PDF file, page by page.

    Raises:
        InputError: it needs a password, is broken, or holds no text (scanned pages).
        MissingDependencyError: pypdf is not installed.
    """
    pypdf = load_package("pypdf", "corpus")
    logging.getLogger("pypdf").setLevel(logging.ERROR)  # It warns of every oddity.
    try:
        with path.open("rb") as file:
            reader = pypdf.PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise InputError(f"{path} is encrypted: save it without its password first")
            title = reader.metadata.title if reader.metadata else None
            pages = [_clean(page.extract_text()) for page in reader.pages]
    except InputError:
        raise
    except Exception as error:  # As pypdf says of itself, broken files make it raise anything.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read as PDF: {reason}") from error
    if not any(page.strip() for page in pages):
        raise InputError(f"{path} holds no text: scanned pages need text recognition first")
    return _clean(title).strip(), _parts(pages)


def _parts(pages: list[str]) -> Iterator[Part]:
    for number, page in enumerate(pages, 1):
        yield Heading(1, f"page {number}")
        yield f"{page}\n\n"


def _clean(text: Any) -> str:
    """Return text that UTF-8 can hold; a font's table may give halves of characters."""
    if not isinstance(text, str):
        return ""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ")
