"""Documents from files: what is in a file, told or refused with a reason."""

import codecs
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from plaudit.corpus.document import Document, Part
from plaudit.corpus.html import html_parts
from plaudit.corpus.inputs import Input
from plaudit.corpus.layout import digest_of
from plaudit.corpus.markdown import markdown_parts
from plaudit.corpus.pdf import read_pdf
from plaudit.errors import InputError, StoreError
from plaudit.io.sources import RowReader
from plaudit.judges.rows import json_type, take_optional_text, take_text

OnProblem = Callable[[str], None]
"""Told what of a file could not be read; the rest was."""

_BLOCK = 2**20
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def digest_file(path: Path) -> str:
    """Return a hash of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    hasher = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return hasher.hexdigest()


def read_documents(source: Input, digest: str, on_problem: OnProblem) -> Iterator[Document]:
    """Read the documents of a file, one after the other.

    Args:
        source: the file.
        digest: hash of its bytes.
        on_problem: told of each row that could not be read.

    Raises:
        InputError: the file cannot be read; the message names it and says why.
    """
    try:
        if not source.path.stat().st_size:
            raise InputError(f"{source.path} is empty")
        if source.kind == "rows":
            yield from _row_documents(source, on_problem)
        else:
            yield _document(source, digest)
    except OSError as error:
        raise InputError(f"{source.path} cannot be read: {error.strerror}") from error


def _document(source: Input, digest: str) -> Document:
    path = source.path
    title, parts = "", iter(())
    if source.kind == "text":
        _check_text(path)
        parts = _blocks(path)
    elif source.kind == "markdown":
        title, parts = markdown_parts(_decode(path.read_bytes(), path), path)
    elif source.kind == "html":
        title, parts = html_parts(_decode_html(path.read_bytes(), path), path)
    else:
        title, parts = read_pdf(path)
    return Document(source.name, digest, parts, title)


def _row_documents(source: Input, on_problem: OnProblem) -> Iterator[Document]:
    taken: dict[str, str] = {}
    with RowReader(source.path) as rows:
        for row in rows:
            try:
                if row.data is None:
                    raise InputError(row.error or "cannot be read")
                document = _row_document(source.name, row.data)
                first = taken.setdefault(document.name, row.where)
                if first is not row.where:
                    raise InputError(f"another document with its id or text stands at {first}")
            except InputError as error:
                on_problem(f"{row.where}: {error}")
            else:
                yield document


def _row_document(name: str, row: dict[str, Any]) -> Document:
    """Take a document from a row; one without an id is called after its content."""
    text, title = take_text(row, "text"), take_optional_text(row, "title") or ""
    if not text.strip():
        raise InputError("the text is empty")
    digest, given = digest_of(title, text), row.get("id")
    if given is not None and not isinstance(given, str | int):
        raise InputError(f"'id' must be text or a number, not {json_type(given)}")
    own = digest[:16] if given is None else str(given)
    return Document(f"{name}#{own}", digest, (text,), title)


# Text


def _check_text(path: Path) -> None:
    """Read a file once to its end, before anything of it goes into an index.

    Raises:
        InputError: it is no UTF-8 text.
    """
    decoder, place = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            _refuse_binary(block, path, place)
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise _not_text(path, place + error.start) from None
            place += len(block)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_text(path, place) from None


def _blocks(path: Path) -> Iterator[Part]:
    try:
        with path.open("rb") as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            while block := text.read(_BLOCK):
                yield block
    except (OSError, UnicodeError) as error:  # Some of its chunks are written already.
        raise StoreError(f"{path} changed while it was read: give the command again") from error


def _decode(data: bytes, path: Path) -> str:
    _refuse_binary(data, path, 0)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(path, error.start) from None


def _decode_html(data: bytes, path: Path) -> str:
    """Decode a page as it says that it is encoded, else as UTF-8."""
    _refuse_binary(data, path, 0)
    declared = _CHARSET.search(data, 0, 4096)
    name = declared[1].decode("ascii", "replace") if declared else "utf-8"
    if name.lower().replace("-", "").startswith("utf"):
        return _decode(data, path)
    try:
        return data.decode(name)
    except (LookupError, UnicodeError):
        raise InputError(f"{path} is not text in the encoding that it names, {name}") from None


def _refuse_binary(data: bytes, path: Path, place: int) -> None:
    if not place and data.startswith(_UTF_16):
        raise InputError(f"{path} is UTF-16 text: convert it to UTF-8 first")
    nul = data.find(b"\0")
    if nul >= 0:
        raise InputError(f"{path} is no text: there is a NUL at byte {place + nul + 1}")


def _not_text(path: Path, place: int) -> InputError:
    return InputError(f"{path} is not UTF-8 text: the bytes from {place + 1} on are none")
