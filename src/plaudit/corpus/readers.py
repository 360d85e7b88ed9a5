"""Documents from files: Markdown, text, HTML, PDF and rows; what cannot be read has a reason."""

import codecs
import hashlib
import io
import logging
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from plaudit._util.packages import load_package
from plaudit.corpus.chunks import Document, Heading, Part
from plaudit.corpus.html import html_parts
from plaudit.corpus.inputs import SourceFile
from plaudit.corpus.layout import digest_of
from plaudit.errors import InputError, StoreError
from plaudit.io.sources import RowReader
from plaudit.judges.rows import json_type, take_optional_text, take_text

OnProblem = Callable[[str], None]
"""Called with what could not be read of a file; the rest was read."""

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


def read_documents(source: SourceFile, digest: str, on_problem: OnProblem) -> Iterator[Document]:
    """Read the documents of a file, one after the other.

    Args:
        source: the file.
        digest: hash of its bytes.
        on_problem: called for each row that could not be read.

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


def _document(source: SourceFile, digest: str) -> Document:
    path = source.path
    title, parts = "", iter(())
    if source.kind == "text":
        _check_text(path)
        parts = _text_blocks(path)
    elif source.kind == "markdown":
        title, parts = markdown_parts(_decode(path.read_bytes(), path), path)
    elif source.kind == "html":
        title, parts = html_parts(_decode_html(path.read_bytes(), path), path)
    else:
        title, parts = read_pdf(path)
    return Document(source.name, digest, parts, title)


def _row_documents(source: SourceFile, on_problem: OnProblem) -> Iterator[Document]:
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


def _text_blocks(path: Path) -> Iterator[Part]:
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


_LINE_END = re.compile(r"\r\n|\r|\n")
# A rule may stand at the beginning, too: front matter begins with the name of a field.
_FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(?=[\w-]+[ \t]*:)(.*?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL
)
_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t\r]*$", re.MULTILINE)


def markdown_parts(text: str, path: Path = Path("the document")) -> tuple[str, Iterator[Part]]:
    """Return the title of a Markdown text, if its front matter has one, and the text with headings.

    Blocks of raw HTML, such as tables, become the text that a reader of the page sees; all other
    text is not changed. Only headings of the document itself count, not those in quotations or
    lists; `#` in code is none, and front matter (YAML between two lines of `---`) has none.

    Args:
        text: the document.
        path: what it was read from, for messages.

    Raises:
        MissingDependencyError: markdown-it-py or selectolax is not installed.
    """
    front = _FRONT_MATTER.match(text)
    title = _TITLE.search(front[1]) if front else None
    place = front.end() if front else 0
    return title[1].strip("\"'") if title else "", _parts(text, place, path)


def _parts(text: str, place: int, path: Path) -> Iterator[Part]:
    """Take the document apart whose Markdown begins at a place."""
    lines = [place, *(match.end() for match in _LINE_END.finditer(text, place)), len(text)]
    done = 0
    for first, last, heading in _blocks(text[place:]):
        yield text[done : lines[first]]
        done = lines[first]
        if heading is not None:
            yield heading
            continue
        done = lines[min(last, len(lines) - 1)]
        seen = list(html_parts(text[lines[first] : done], path)[1])
        if seen:
            yield from ("\n", *seen, "\n\n")
    yield text[done:]


def _blocks(text: str) -> list[tuple[int, int, Heading | None]]:
    """Find headings and raw HTML: first line and the one after the last, from 0, and the heading.

    Raw HTML has no heading.
    """
    parser = load_package("markdown_it", "corpus").MarkdownIt("commonmark").disable("inline")
    tokens = [token for token in parser.parse(text) if token.level == 0 or token.type == "inline"]
    found: list[tuple[int, int, Heading | None]] = []
    for token, content in pairwise([*tokens, *tokens[-1:]]):
        if token.type == "html_block":
            found.append((*token.map, None))
        elif token.type == "heading_open" and content.content.strip():
            heading = Heading(int(token.tag[1:]), content.content.strip())
            found.append((*token.map, heading))
    return found


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
    return _clean(title).strip(), _page_parts(pages)


def _page_parts(pages: list[str]) -> Iterator[Part]:
    for number, page in enumerate(pages, 1):
        yield Heading(1, f"page {number}")
        yield f"{page}\n\n"


def _clean(text: Any) -> str:
    """Return text that UTF-8 can hold; a font's table may give halves of characters."""
    if not isinstance(text, str):
        return ""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ")
