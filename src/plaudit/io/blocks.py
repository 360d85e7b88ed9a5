"""Rows of a source as JSON Lines, many at a time: most of each row is copied unread."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from plaudit.errors import InputError
from plaudit.io.rows import Position, Row, rejected
from plaudit.io.sources import open_source, source_name

_BLOCK = 2**20
_ROWS = 200


class LineBlock(msgspec.Struct, frozen=True):
    """Whole lines of JSON, one row each; blank ones among them."""

    data: bytes
    place: str
    """The name of the source, and what its rows are called: a prefix of a line number."""
    first: int
    """Number of the first line, from 1."""

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Yield each row that is not blank, and where it is."""
        for number, line in enumerate(self.data.split(b"\n"), self.first):
            if line.strip():
                yield f"{self.place}{number}", line


class BlockReader(Iterator["LineBlock | Row"]):
    """The blocks of one source, in order, and rows between them that could not be read."""

    def __init__(self, source: str | Path) -> None:
        """Open a source, of the kinds that `RowReader` reads.

        Raises:
            InputError: there is no such source, or there are no rows in it.
        """
        self._position = Position()
        self._opened = open_source(source, self._position, _line_blocks)
        self._blocks = _joined(self._opened)
        self._first: LineBlock | Row | None = next(self._blocks, None)
        if self._first is None:
            raise InputError(f"{source_name(source)} is empty: no rows")

    @property
    def bytes_read(self) -> int:
        """How much of `count_hint(source)` has been read."""
        return self._position.bytes_read

    def __next__(self) -> LineBlock | Row:
        first, self._first = self._first, None
        return first or next(self._blocks)

    def close(self) -> None:
        """Close the source."""
        self._opened.close()

    def __enter__(self) -> "BlockReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _line_blocks(
    name: str, head: bytes, first_line: int, file: BinaryIO, position: Position
) -> Generator[LineBlock | Row]:
    line, begun, size = first_line, [head], len(head)
    position.bytes_read += len(head)
    while chunk := file.read(_BLOCK):
        position.bytes_read += len(chunk)
        end = chunk.rfind(b"\n") + 1
        begun.append(chunk[:end] if end else chunk)
        size += len(chunk)
        if end:
            data = b"".join(begun)
            yield LineBlock(data, f"{name}:", line)
            line += data.count(b"\n")
            begun, size = [chunk[end:]], len(chunk) - end
        elif size > position.sizes.row:
            yield rejected(0, f"{name}:{line}", b"".join(begun), ValueError("too long"))
            begun = [_rest_of_line(file)]
            size, line = len(begun[0]), line + 1
    data = b"".join(begun)
    if data.strip():
        yield LineBlock(data, f"{name}:", line)


def _rest_of_line(file: BinaryIO) -> bytes:
    """Read on to the end of a line; return what was read after it."""
    while chunk := file.read(_BLOCK):
        end = chunk.find(b"\n") + 1
        if end:
            return chunk[end:]
    return b""


def _joined(found: Iterator[LineBlock | Row]) -> Iterator[LineBlock | Row]:
    """Make blocks of rows that come one by one."""
    rows: list[Row] = []
    for one in found:
        if isinstance(one, Row) and one.error is None:
            rows.append(one)
            if len(rows) < _ROWS:
                continue
        if rows:
            yield _block_of(rows)
            rows = []
        if isinstance(one, LineBlock) or one.error is not None:
            yield one
    if rows:
        yield _block_of(rows)


def _block_of(rows: list[Row]) -> LineBlock:
    place = rows[0].where.removesuffix(str(rows[0].number + 1))
    data = b"\n".join(msgspec.json.encode(row.data) for row in rows)
    return LineBlock(data, place, rows[0].number + 1)
