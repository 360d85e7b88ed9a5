"""Rows from a file, a folder or standard input, known by their content and streamed.

A row that cannot be read is a `Row` with an error, never an exception, so that one bad line does
not cost a night's run; only `strict` raises. Memory does not grow with the input.

A JSON array is cut into its elements here, and each is decoded on its own: an element that is not
JSON is rejected alone. (ijson would end at the first mistake, and turns a lone surrogate into "?".)
"""

import contextlib
import gzip
import io
import itertools
import math
import os
import re
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from plaudit._util.packages import load_package
from plaudit._util.paths import possible
from plaudit.errors import InputError, UsageError

MAX_ROW_BYTES = 256 * 2**20
"""A longer line or array element is rejected."""

MAX_DOCUMENT_BYTES = 64 * 2**20
"""An object written over many lines is looked for within so many bytes."""

_GZIP = b"\x1f\x8b"
_HEAD = 2**20
_CHUNK = 2**18
_BUFFER = 2**18
_BATCH = 1_000
_BOM = b"\xef\xbb\xbf"
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): decompress it with unzstd first",
    b"\xfd7zXZ": "is compressed (xz): decompress it with unxz first",
    b"PK\x03\x04": "is a ZIP archive or an Office file: give what is in it as JSON Lines",
    b"\xff\xfe": "is UTF-16 text: convert it to UTF-8 first",
    b"\xfe\xff": "is UTF-16 text: convert it to UTF-8 first",
    b"SQLite format 3": "is a SQLite database: export its rows as JSON Lines first",
}
_KINDS: dict[type, str] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}

_decode = msgspec.json.Decoder().decode


class Row(msgspec.Struct, frozen=True):
    """One row of the input."""

    number: int
    """Counts from 0; blank lines do not count, rejected rows do."""
    where: str
    """For a person: `file.jsonl:12`, `file.json, element 3` or `file.parquet, row 3`, from 1."""
    data: dict[str, Any] | None
    """The row; None if it was rejected."""
    error: str | None = None
    """Why it was rejected; does not repeat `where`."""
    text: str = ""
    """The first 200 characters of a rejected row."""


class Position:
    """How far a source has been read. Apart, so that a dropped reader closes its file at once."""

    bytes_read = 0


class RowReader(Iterator[Row]):
    """The rows of one source, in order. Closed by reading it to the end, `close` or `with`."""

    def __init__(self, source: str | Path, strict: bool = False) -> None:
        self._position = Position()
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def read_rows(source: str | Path, *, strict: bool = False) -> RowReader:
    """Open a source and return its rows.

    Args:
        source: a file of JSON Lines, a JSON array or JSON objects, each plain or gzip; Parquet; a
            folder written by `datasets.save_to_disk`; or `-` for standard input.
        strict: raise at the first row that cannot be read.

    Raises:
        InputError: there is no such source, it has no rows, or (strict) a row cannot be read.
        UsageError: the folder holds several splits.
        MissingDependencyError: Parquet or a datasets folder, whose package is not installed.
    """
    return RowReader(source, strict)


def count_hint(source: str | Path) -> int | None:
    """Return the size in bytes that `RowReader.bytes_read` grows to; None if unknown."""
    if str(source) == "-":
        return None
    path = possible(source)
    if path.is_dir():
        return sum(file.stat().st_size for file in path.glob("*.arrow"))
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


T = TypeVar("T")
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
        return _folder_rows(path, position)
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
        head, line = _first_line(name, file)
        if head.startswith(b"PAR1"):
            if name == "standard input":
                raise InputError("Parquet cannot be read from standard input: give the file")
            yield from _parquet_rows(Path(name), position)
        elif head:
            head, is_lines = _tell_lines(head, file)
            if is_lines:
                yield from read_lines(name, head, line, file, position)
            else:
                yield from _value_rows(name, head, file, position)


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


def _first_line(name: str, file: BinaryIO) -> tuple[bytes, int]:
    """Return the first line that is not blank, cut to 1 MiB, and its number from 1."""
    head = file.readline(_HEAD)
    for magic, problem in _UNREADABLE.items():
        if head.startswith(magic):
            raise InputError(f"{name} {problem}")
    head = head.removeprefix(_BOM)
    line = 1
    while head and not head.strip():
        line += head.endswith(b"\n")
        head = file.readline(_HEAD)
    return head, line


def _tell_lines(head: bytes, file: BinaryIO) -> tuple[bytes, bool]:
    """Tell JSON Lines (True) from an array or objects over many lines.

    Returns:
        What was read of the file so far, and the answer.
    """
    opening = head.lstrip()[:1]
    whole = head.endswith(b"\n") or len(head) < _HEAD
    if opening == b"[":
        if not whole or not _is(list, head):
            return head, False
        while (following := file.readline(_HEAD)) and not following.strip():
            head += following
        return head + following, bool(following)
    if not whole:
        head += file.readline(MAX_ROW_BYTES)
    if opening != b"{" or _is(dict, head):
        return head, True
    return _tell_document(head, file)


def _tell_document(head: bytes, file: BinaryIO) -> tuple[bytes, bool]:
    """Tell the first object of a file, whose first line is not JSON, from a bad first line."""
    first_line = len(head)
    scanner = _Scanner(head, file)
    end = scanner.value_end(MAX_DOCUMENT_BYTES)
    document = end is not None and end > first_line and _is(dict, bytes(scanner.buffer[:end]))
    read = bytes(scanner.buffer)
    if not document and not read.endswith(b"\n"):
        read += file.readline(MAX_ROW_BYTES)
    return read, not document


def _is(kind: type, text: bytes) -> bool:
    try:
        return type(_decode(text)) is kind
    except (ValueError, RecursionError):
        return False


def _line_rows(
    name: str, head: bytes, first_line: int, file: BinaryIO, position: Position
) -> Generator[Row]:
    number = 0
    for line, raw in enumerate(_lines(head, file), first_line):
        size = len(raw)
        position.bytes_read += size
        if size > MAX_ROW_BYTES:
            _pass_rest(raw, file)
        where = f"{name}:{line}"
        try:
            yield Row(number, where, _decode_row(raw))
        except (ValueError, RecursionError) as error:
            if not raw.strip():
                continue
            yield rejected(number, where, raw, error)
        number += 1


def _lines(head: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Return the lines of what was read and of the file, each cut at one byte too many."""
    first = io.BytesIO(head)
    return itertools.chain(
        iter(partial(first.readline, MAX_ROW_BYTES + 1), b""),
        iter(partial(file.readline, MAX_ROW_BYTES + 1), b""),
    )


def _pass_rest(line: bytes, file: BinaryIO) -> None:
    """Read on to the end of a line of which the beginning was read."""
    while not line.endswith(b"\n") and (line := file.readline(_CHUNK)):
        pass


def _value_rows(name: str, head: bytes, file: BinaryIO, position: Position) -> Generator[Row]:
    scanner = _Scanner(head, file)
    in_array = scanner.enter_array()
    number = 0
    while not scanner.at_end(in_array):
        where = f"{name}, element {number + 1}"
        end = scanner.value_end(MAX_ROW_BYTES)
        if end is None:
            text = _excerpt(scanner.buffer)
            yield Row(number, where, None, f"{scanner.problem}: nothing after it can be read", text)
            return
        yield _value_row(number, where, scanner.take(end))
        position.bytes_read = scanner.consumed
        number += 1
    more = in_array and scanner.has_more()
    position.bytes_read = scanner.consumed
    if more:
        problem = "text after the end of the array is not read"
        yield Row(number, f"{name}, after the array", None, problem, _excerpt(scanner.buffer))


def _value_row(number: int, where: str, raw: bytes) -> Row:
    try:
        return Row(number, where, _decode_row(raw))
    except (ValueError, RecursionError) as error:
        return rejected(number, where, raw, error)


_SPACE = re.compile(rb"[\s,]*+")
_SCALAR = re.compile(rb'[^\s,:\[\]{}"]++')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_UNTIL_BRACKET = re.compile(
    rb'[^\[\]{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^\[\]{}"]*+)*+', re.DOTALL
)
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


class _Scanner:
    """Finds where JSON values end, reading no more of the file than that takes."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self.buffer = bytearray(head)
        self.consumed = 0
        self.problem = ""
        self._read: Callable[[int], bytes] = getattr(file, "read1", file.read)

    def take(self, end: int) -> bytes:
        """Return and drop the first `end` bytes."""
        taken = bytes(self.buffer[:end])
        del self.buffer[:end]
        self.consumed += end
        return taken

    def has_more(self) -> bool:
        """Drop white space and commas; return whether anything follows."""
        while True:
            self.take(self._match(_SPACE, 0))
            if self.buffer:
                return True
            if not self._fill():
                return False

    def enter_array(self) -> bool:
        """Drop the bracket that opens an array; return whether there is one."""
        if self.has_more() and self.buffer[0] == ord("["):
            self.take(1)
            return True
        return False

    def at_end(self, in_array: bool) -> bool:
        """Drop what separates values; return whether none follows. Drops an array's end."""
        if not self.has_more():
            return not in_array
        if in_array and self.buffer[0] == ord("]"):
            self.take(1)
            return True
        return False

    def value_end(self, limit: int) -> int | None:
        """Return where the value at the start of the buffer ends, or None and set `problem`."""
        try:
            if not self.buffer:
                raise ValueError("the file ends inside the array")
            if self.buffer[0] in _CLOSING:
                return self._bracket_end(limit)
            if self.buffer[0] == ord('"'):
                return self._pattern_end(_STRING, limit)
            return self._scalar_end(limit)
        except ValueError as error:
            self.problem = str(error)
            return None

    def _bracket_end(self, limit: int) -> int:
        position, open_brackets = 0, bytearray()
        while True:
            position = self._match(_UNTIL_BRACKET, position)
            byte = self.buffer[position] if position < len(self.buffer) else ord('"')
            if byte == ord('"'):  # The buffer ends, perhaps inside a string.
                self._more(limit)
                continue
            position += 1
            if byte in _CLOSING:
                open_brackets.append(_CLOSING[byte])
            elif open_brackets.pop() != byte:
                raise ValueError(f"not JSON: {chr(byte)!r} closes nothing")
            if not open_brackets:
                return position

    def _pattern_end(self, pattern: "re.Pattern[bytes]", limit: int) -> int:
        while (found := pattern.match(self.buffer)) is None:
            self._more(limit)
        return found.end()

    def _scalar_end(self, limit: int) -> int:
        while (found := _SCALAR.match(self.buffer)) and found.end() == len(self.buffer):
            if not self._fill():
                break
        if found is None:
            raise ValueError(f"not JSON: {chr(self.buffer[0])!r} stands where a value should")
        return found.end()

    def _match(self, pattern: "re.Pattern[bytes]", position: int) -> int:
        found = pattern.match(self.buffer, position)
        return found.end() if found else position

    def _more(self, limit: int) -> None:
        if len(self.buffer) > limit:
            raise ValueError(f"longer than {limit >> 20} MiB, or a quote or bracket is missing")
        if not self._fill():
            raise ValueError("not JSON: the file ends inside it")

    def _fill(self) -> int:
        """Read on; as much again as there is, so that scanning a long string stays linear."""
        before = len(self.buffer)
        wanted = before + (before if before > _CHUNK else 1)
        while len(self.buffer) < wanted and (chunk := self._read(_CHUNK)):
            self.buffer += chunk
        return len(self.buffer) - before


# Rejected rows


class _NotAnObjectError(ValueError):
    """JSON, but not an object."""


def _decode_row(raw: bytes) -> dict[str, Any]:
    data = _decode(raw)
    if type(data) is dict:
        return cast("dict[str, Any]", data)
    kind = _KINDS.get(type(cast("object", data)), "another value")
    raise _NotAnObjectError(f"not a JSON object but {kind}")


def rejected(number: int, where: str, raw: bytes, error: Exception) -> Row:
    """Return the row for what could not be decoded, told for a person."""
    return refused(number, where, raw, _explain(raw, error))


def refused(number: int, where: str, raw: bytes, problem: str) -> Row:
    """Return the row for what was decoded and cannot be used, with its beginning."""
    return Row(number, where, None, problem, _excerpt(raw))


def _excerpt(raw: bytes | bytearray) -> str:
    return bytes(raw[:1000]).decode("utf-8", "replace").strip()[:200]


_AT_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)")
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def _explain(raw: bytes, error: Exception) -> str:
    """Say for a person why `raw` is not a row."""
    if isinstance(error, _NotAnObjectError):
        return str(error)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if len(raw) > MAX_ROW_BYTES:
        return f"longer than {MAX_ROW_BYTES >> 20} MiB"
    nul = raw.find(b"\0")
    if nul >= 0:
        column = _column(raw, nul)
        return f"NUL byte at column {column} (was the file cut off while it was written?)"
    try:
        raw.decode()
    except UnicodeDecodeError as wrong:
        return f"invalid UTF-8 at byte {wrong.start + 1}"
    return _explain_syntax(raw, str(error))


def _explain_syntax(raw: bytes, message: str) -> str:
    lone = _LONE_SURROGATE.search(raw)
    if lone and ("surrogate" in message or "truncated" in message):
        return (
            f"half a character ({lone.group().decode()}, a lone surrogate) "
            f"at column {_column(raw, lone.start())}"
        )
    found = _AT_BYTE.fullmatch(message)
    if found is None:
        reason = "it ends too early" if "truncated" in message else message
        return f"not JSON: {reason} at column {_column(raw, len(raw.rstrip()))}"
    byte = int(found[2])
    reason = found[1]
    if raw.startswith((b"NaN", b"Infinity"), byte):
        reason = "NaN and Infinity are not JSON numbers,"
    return f"not JSON: {reason} at column {_column(raw, byte)}"


def _column(raw: bytes, byte: int) -> int:
    return len(raw[:byte].decode("utf-8", "replace")) + 1


# Tables: Parquet and datasets folders


def _parquet_rows(path: Path, position: Position) -> Generator[Row]:
    parquet = load_package("pyarrow.parquet", "parquet")
    size = os.path.getsize(path)
    try:
        file = parquet.ParquetFile(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors derive from these.
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error
    with file:
        total: int = file.metadata.num_rows
        batches = file.iter_batches(batch_size=_BATCH)
        pages = (batch.to_pylist(maps_as_pydicts="lossy") for batch in batches)
        for row in _table_rows(str(path), pages):
            position.bytes_read = size * (row.number + 1) // max(total, 1)
            yield row


def _folder_rows(path: Path, position: Position) -> Generator[Row]:
    if (path / "dataset_dict.json").is_file():
        splits = sorted(file.parent for file in path.glob("*/dataset_info.json"))
        raise UsageError(
            f"{path} holds several splits; give one of them: {', '.join(map(str, splits))}"
        )
    if not (path / "dataset_info.json").is_file():
        raise InputError(
            f"{path} is a folder without data: give a file, or a folder that "
            "datasets.save_to_disk wrote"
        )
    return _dataset_rows(path, position)


def _dataset_rows(path: Path, position: Position) -> Generator[Row]:
    datasets = load_package("datasets", "datasets")
    size = count_hint(path) or 0
    try:
        dataset = datasets.load_from_disk(str(path)).with_format(None)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a datasets folder: {error}") from error
    total = max(len(dataset), 1)
    columns: list[str] = dataset.column_names
    pages = (
        [dict(zip(columns, row, strict=True)) for row in zip(*map(batch.get, columns), strict=True)]
        for batch in dataset.iter(batch_size=_BATCH)
    )
    for row in _table_rows(str(path), pages):
        position.bytes_read = size * (row.number + 1) // total
        yield row


def _table_rows(name: str, pages: Iterator[list[dict[str, Any]]]) -> Generator[Row]:
    number = 0
    while True:
        try:
            page = next(pages, None)
        except (ValueError, OSError) as error:
            problem = f"{error}: nothing after it can be read"
            yield Row(number, f"{name}, row {number + 1}", None, problem)
            return
        if page is None:
            return
        for data in page:
            yield Row(number, f"{name}, row {number + 1}", _plain(data))
            number += 1


def _plain(value: Any) -> Any:
    """Make a table's value one that JSON can hold; NaN, which stands for "missing", is None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(name): _plain(item) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return msgspec.to_builtins(value, enc_hook=str)
