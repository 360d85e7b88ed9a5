"""Blocks of an input: which rows an actor works on, the same in every attempt of a command.

Ray cuts a data set as the cluster allows, and one bad line ends its reading. So plaudit cuts the
files itself: Parquet by rows, JSON Lines by bytes. A line belongs to the block in which it begins.
"""

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import InputError
from plaudit.io.rows import SIZES, Row, decode_row, rejected
from plaudit.io.table_rows import table_rows

BLOCK_ROWS = 2_000
"""Rows of a block, unless another number is asked for."""
_HEAD = 2**20
"""Bytes at the beginning of a file by which the length of its lines is estimated."""
_CHUNK = 2**18
_PARQUET = b"PAR1"


class RayBlock(msgspec.Struct, frozen=True):
    """Rows of one file."""

    number: int
    """Place in the input, from 0; names the part."""
    file: str
    """Path or URL."""
    form: str
    """`parquet` or `lines`."""
    start: int
    """First row (Parquet) or byte (JSON Lines)."""
    stop: int
    """The row or byte after the last one."""
    size: int
    """Bytes of the whole file."""
    changed: int
    """When the file was changed, in nanoseconds; 0 where its file system does not say."""


def cut(source: str, rows: int = BLOCK_ROWS) -> list[RayBlock]:
    """Cut an input into blocks.

    Args:
        source: a file of Parquet or JSON Lines, a folder of them, or a URL of either that the file
            systems of Arrow know, such as `s3://BUCKET/FOLDER`.
        rows: rows of a block; of JSON Lines about as many.

    Raises:
        InputError: there is nothing, or a file cannot be cut.
    """
    found: list[RayBlock] = []
    for file, size, changed in _files(source):
        form, places = _places(file, size, rows)
        bounds = itertools.pairwise(places)
        found += [
            RayBlock(len(found) + n, file, form, start, stop, size, changed)
            for n, (start, stop) in enumerate(bounds)
        ]
    if not found:
        raise InputError(f"{source} is empty: no rows to judge")
    return found


class RayBlockReader:
    """Reads blocks; keeps the last group of rows, of which Parquet gives no part."""

    def __init__(self) -> None:
        self._group: tuple[tuple[str, int], Any] | None = None

    def rows(self, block: RayBlock) -> Iterator[Row]:
        """Yield the rows of a block; one that cannot be read is a row with an error.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            yield from self._table(block) if block.form == "parquet" else _lines(block)
        except OSError as error:
            raise InputError(f"{block.file} cannot be read: {error}") from error

    def _table(self, block: RayBlock) -> Iterator[Row]:
        tables: list[Any] = []
        with _parquet(block.file) as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                start, stop = max(block.start, first), min(block.stop, first + count)
                if start < stop:
                    whole = self._read(block.file, file, group)
                    tables.append(whole.slice(start - first, stop - start))
                first += count
        pages = (table.to_pylist(maps_as_pydicts="lossy") for table in tables)
        yield from table_rows(block.file, pages, block.start)

    def _read(self, name: str, file: Any, group: int) -> Any:
        if self._group is None or self._group[0] != (name, group):
            self._group = ((name, group), file.read_row_group(group))
        return self._group[1]


# Files


def _opened(name: str) -> tuple[Any, str]:
    """Return the file system of a path or a URL, and the path there."""
    fs = load_package("pyarrow.fs", "ray")
    if "://" not in name:
        return fs.LocalFileSystem(), str(Path(name).absolute())
    try:
        return fs.FileSystem.from_uri(name)
    except (ValueError, OSError, NotImplementedError) as error:
        raise InputError(f"{name} cannot be read: {error}") from error


def _files(source: str) -> Iterator[tuple[str, int, int]]:
    """Yield files with size and time of change, in the order of their names."""
    fs = load_package("pyarrow.fs", "ray")
    system, path = _opened(source)
    kind = fs.FileType
    info = system.get_file_info(path)
    if info.type == kind.NotFound:
        raise InputError(f"{source}: no such file")
    if info.type == kind.File:
        found = [(source, info)]
    else:
        inside = sorted(system.get_file_info(fs.FileSelector(path)), key=lambda one: one.base_name)
        shown = [one for one in inside if one.type == kind.File and one.base_name[0] not in "._"]
        found = [(f"{source.rstrip('/')}/{one.base_name}", one) for one in shown]
    for name, one in found:
        if one.size:
            yield name, one.size, one.mtime_ns or 0


def _parquet(name: str) -> Any:
    parquet = load_package("pyarrow.parquet", "ray")
    system, path = _opened(name)
    try:
        return parquet.ParquetFile(system.open_input_file(path))
    except (ValueError, OSError) as error:
        raise InputError(f"{name} cannot be read as Parquet: {error}") from error


def _places(name: str, size: int, rows: int) -> tuple[str, Sequence[int]]:
    """Return the form of a file, and where its blocks begin and the last one ends."""
    system, path = _opened(name)
    with system.open_input_file(path) as file:
        head: bytes = file.read_at(min(size, _HEAD), 0)
    if head.startswith(_PARQUET):
        with _parquet(name) as table:
            total: int = table.metadata.num_rows
        return "parquet", [*range(0, total, rows), total]
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        raise InputError(
            f"{name} cannot be cut into blocks: give Parquet or JSON Lines that is not compressed"
        )
    lines = max(1, head.count(b"\n"))
    step = max(_CHUNK // 16, rows * len(head) // lines)
    return "lines", [*range(0, size, step), size]


def _lines(block: RayBlock) -> Iterator[Row]:
    system, path = _opened(block.file)
    with system.open_input_file(path) as file:
        begin = max(0, block.start - 1)
        data: bytes = file.read_at(block.stop - begin, begin)
        end = block.stop
        while not data.endswith(b"\n") and end < block.size:
            more: bytes = file.read_at(min(_CHUNK, block.size - end), end)
            cut_at = more.find(b"\n") + 1
            data += more[:cut_at] if cut_at else more
            end += cut_at or len(more)
    place = begin
    if block.start:  # The line before begins in the block before.
        skipped = data.find(b"\n") + 1
        place += skipped
        data = data[skipped:] if skipped else b""
    elif data.startswith(b"\xef\xbb\xbf"):
        data = b"   " + data[3:]
    for number, raw in enumerate(io.BytesIO(data)):
        if place >= block.stop:
            return
        where = f"{block.file}, byte {place}"
        place += len(raw)
        try:
            yield Row(number, where, decode_row(raw))
        except (ValueError, RecursionError) as error:
            if raw.strip():
                yield rejected(number, where, raw, error, SIZES.row)
