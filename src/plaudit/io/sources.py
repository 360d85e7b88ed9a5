"""Rows from a file, a folder or standard input, recognised by content and streamed.

A row that cannot be read is a `Row` with an error, never an exception, so that one bad line does
not cost a night's run; only `strict` raises. Memory does not grow with the input.
"""

import contextlib
import gzip
import io
import itertools
import sys
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar, cast

from plaudit._util.paths import possible
from plaudit.errors import InputError
from plaudit.io.output import RejectWriter
from plaudit.io.progress import Progress
from plaudit.io.rows import SIZES, Position, Row, Sizes, decode, decode_row, rejected
from plaudit.io.table_rows import folder_rows, folder_size, parquet_rows
from plaudit.io.values import Scanner, value_rows
from plaudit.types import Json

_GZIP = b"\x1f\x8b"
_BUFFER = 2**18
_BOM = b"\xef\xbb\xbf"
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): decompress it with unzstd first",
    b"\xfd7zXZ": "is compressed (xz): decompress it with unxz first",
    b"PK\x03\x04": "is a ZIP archive or an Office file: give what is in it as JSON Lines",
    b"\xff\xfe": "is UTF-16 text: convert it to UTF-8 first",
    b"\xfe\xff": "is UTF-16 text: convert it to UTF-8 first",
    b"SQLite format 3": "is a SQLite database: export its rows as JSON Lines first",
}

T = TypeVar("T")


class RowReader(Iterator[Row]):
    """The rows of one source, in order. Closed by reading it to the end, `close` or `with`."""

    def __init__(self, source: str | Path, strict: bool = False, sizes: Sizes = SIZES) -> None:
        """Open a source.

        Args:
            source: a file of JSON Lines, a JSON array, JSON objects or Parquet, a folder written by
                `datasets.save_to_disk`, or `-` for standard input.
            strict: raise at the first row that cannot be read.
            sizes: how much is read at a time.

        Raises:
            InputError: there is no such source, it has no rows, or (strict) a row cannot be read.
            UsageError: the folder holds several splits.
            MissingDependencyError: Parquet or a datasets folder, whose package is not installed.
        """
        self._position = Position(sizes)
        self._source = open_source(source, self._position, _line_rows)
        first = next(self._source, None)
        if first is None:
            raise InputError(f"{source_name(source)} is empty: no rows to judge")
        rows = itertools.chain((first,), self._source)
        self._rows = _strictly(rows, self._source) if strict else rows
        if strict and first.error:
            next(self._rows)

    @property
    def bytes_read(self) -> int:
        """How much of `count_hint(source)` has been read, for a progress display."""
        return self._position.bytes_read

    def __iter__(self) -> Iterator[Row]:
        return self._rows  # Not self, which would cost a Python call a row.

    def __next__(self) -> Row:
        return next(self._rows)

    def __enter__(self) -> "RowReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Intake(Generic[T]):
    """Takes a run's items from the rows of a file, and sets aside what it cannot take."""

    def __init__(
        self,
        rows: RowReader,
        read_row: Callable[[Mapping[str, Json], int], Sequence[T]],
        rejects: RejectWriter | None = None,
        progress: Progress | None = None,
        *,
        limit: int | None = None,
        strict: bool = False,
    ) -> None:
        """Join rows and what reads them.

        Args:
            rows: the rows.
            read_row: returns the items of a row, given how many were taken before it; raises
                `InputError` for a malformed one.
            rejects: where malformed rows go; None: they are only counted.
            progress: shows how far the input has been read.
            limit: most items.
            strict: whether the first malformed row ends the run.
        """
        self._rows = rows
        self._read_row = read_row
        self.rejects = rejects or RejectWriter(None)
        """Where malformed rows go."""
        self._limit = limit
        self._strict = strict
        self.rejected = 0
        """Rows that nothing could be taken from."""
        self.taken = 0
        """Items that were taken."""
        self.where = ""
        """Place of the row that is read, for a person."""
        if progress is not None:
            progress.follow(self)

    @property
    def bytes_read(self) -> int:
        """How much of the source has been read."""
        return self._rows.bytes_read

    def items(self) -> Iterator[T]:
        """Yield the items.

        Raises:
            InputError: a row is malformed, and the intake is strict.
        """
        for row in self._rows:
            for item in self._take(row):
                if self._limit is not None and self.taken >= self._limit:
                    return
                self.taken += 1
                yield item

    def _take(self, row: Row) -> Sequence[T]:
        error, self.where = row.error, row.where
        if row.data is not None:
            try:
                return self._read_row(row.data, self.taken)
            except InputError as wrong:
                error = str(wrong)
        if self._strict:
            raise InputError(f"{row.where}: {error}")
        self.rejected += 1
        self.rejects.write(row, str(error))
        return ()


def count_hint(source: str | Path) -> int | None:
    """Return the size in bytes that `RowReader.bytes_read` grows to; None if unknown."""
    if str(source) == "-":
        return None
    path = possible(source)
    if path.is_dir():
        return folder_size(path)
    if not path.is_file() or path.suffix == ".gz":
        return None
    return path.stat().st_size


def source_name(source: str | Path) -> str:
    """Return what a source is called in messages."""
    return "standard input" if str(source) == "-" else str(source)


def _strictly(rows: Iterator[Row], source: Generator[Row]) -> Iterator[Row]:
    for row in rows:
        if row.error:
            source.close()
            raise InputError(f"{row.where}: {row.error}")
        yield row


ReadLines = Callable[[str, bytes, int, BinaryIO, Position], Generator[T]]
"""Reads JSON Lines: the source's name, what was read of it, the number of the line that this begins
with, from 1, and the rest of the source."""


def open_source(
    source: str | Path, position: Position, read_lines: ReadLines[T]
) -> Generator[T | Row]:
    """Open a source: JSON Lines are left to `read_lines`, all else is rows.

    Raises:
        InputError: there is no such source.
    """
    if str(source) == "-":
        opened = contextlib.nullcontext(sys.stdin.buffer)
        return _text_rows(source_name(source), opened, position, read_lines)
    path = Path(source)
    try:
        opened = path.open("rb", buffering=_BUFFER)
        return _text_rows(str(path), opened, position, read_lines)
    except IsADirectoryError:
        return folder_rows(path, position)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}") from error


# Text: JSON Lines, an array, objects over many lines


def _text_rows(
    name: str,
    opened: "contextlib.AbstractContextManager[BinaryIO]",
    position: Position,
    read_lines: ReadLines[T],
) -> Generator[T | Row]:
    with opened as file, _unpacked(name, file) as file:
        head, line = _first_line(name, file, position.sizes.head)
        if head.startswith(b"PAR1"):
            if name == "standard input":
                raise InputError("Parquet cannot be read from standard input: give the file")
            yield from parquet_rows(Path(name), position)
        elif head:
            head, is_lines = _find_form(head, file, position.sizes)
            if is_lines:
                yield from read_lines(name, head, line, file, position)
            else:
                yield from value_rows(name, head, file, position)


@contextlib.contextmanager
def _unpacked(name: str, file: BinaryIO) -> Generator[BinaryIO]:
    """Give a file as it is, or decompress it."""
    held = cast(io.BufferedReader, file)
    if not hasattr(file, "peek"):
        held = io.BufferedReader(cast(io.RawIOBase, file))
    if held.peek(2)[:2] != _GZIP:
        yield held
        return
    try:
        with gzip.GzipFile(fileobj=held) as unpacked:
            yield cast(BinaryIO, io.BufferedReader(unpacked, _BUFFER))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name} cannot be decompressed (gzip): {error}") from error


def _first_line(name: str, file: BinaryIO, most: int) -> tuple[bytes, int]:
    """Return the first line that is not blank, cut to `most` bytes, and its number from 1."""
    head = file.readline(most)
    for magic, problem in _UNREADABLE.items():
        if head.startswith(magic):
            raise InputError(f"{name} {problem}")
    head = head.removeprefix(_BOM)
    line = 1
    while head and not head.strip():
        line += head.endswith(b"\n")
        head = file.readline(most)
    return head, line


def _find_form(head: bytes, file: BinaryIO, sizes: Sizes) -> tuple[bytes, bool]:
    """Find whether a file is JSON Lines (True), or an array or objects over many lines.

    Returns:
        What was read of the file so far, and the answer.
    """
    opening = head.lstrip()[:1]
    whole = head.endswith(b"\n") or len(head) < sizes.head
    if opening == b"[":
        if not whole or not _is(list, head):
            return head, False
        while (following := file.readline(sizes.head)) and not following.strip():
            head += following
        return head + following, bool(following)
    if not whole:
        head += file.readline(sizes.row)
    if opening != b"{" or _is(dict, head):
        return head, True
    return _find_document(head, file, sizes)


def _find_document(head: bytes, file: BinaryIO, sizes: Sizes) -> tuple[bytes, bool]:
    """Find whether a first line that is not JSON is bad (True), or begins a longer object."""
    first_line = len(head)
    scanner = Scanner(head, file, sizes.chunk)
    end = scanner.value_end(sizes.document)
    document = end is not None and end > first_line and _is(dict, bytes(scanner.buffer[:end]))
    read = bytes(scanner.buffer)
    if not document and not read.endswith(b"\n"):
        read += file.readline(sizes.row)
    return read, not document


def _is(kind: type, text: bytes) -> bool:
    try:
        return type(decode(text)) is kind
    except (ValueError, RecursionError):
        return False


def _line_rows(
    name: str, head: bytes, first_line: int, file: BinaryIO, position: Position
) -> Generator[Row]:
    number, most = 0, position.sizes.row
    for line, raw in enumerate(_lines(head, file, most), first_line):
        size = len(raw)
        position.bytes_read += size
        if size > most:
            _pass_rest(raw, file, position.sizes.chunk)
        where = f"{name}:{line}"
        try:
            yield Row(number, where, decode_row(raw))
        except (ValueError, RecursionError) as error:
            if not raw.strip():
                continue
            yield rejected(number, where, raw, error, most)
        number += 1


def _lines(head: bytes, file: BinaryIO, most: int) -> Iterator[bytes]:
    """Return the lines of what was read and of the file, each cut at one byte too many."""
    first = io.BytesIO(head)
    return itertools.chain(
        iter(partial(first.readline, most + 1), b""),
        iter(partial(file.readline, most + 1), b""),
    )


def _pass_rest(line: bytes, file: BinaryIO, chunk: int) -> None:
    """Read on to the end of a line of which the beginning was read."""
    while not line.endswith(b"\n") and (line := file.readline(chunk)):
        pass
