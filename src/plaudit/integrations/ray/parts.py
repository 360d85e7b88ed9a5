"""The folder of a run on Ray: parts of the output, and the notes by which finished ones are known.

A part is written under another name, synced and renamed; then its note is, in the same way. So a
kill at any time leaves parts that are whole, and a part without a note is made again.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util import disk
from plaudit._util.packages import load_package
from plaudit.errors import StoreError, UsageError
from plaudit.integrations.ray.blocks import RayBlock

_NOTES = ".parts"
"""Folder of the notes, within the output."""
BITS_IN_BLOCK = 32
"""Bits of an index that count the rows of a block; the bits above are the block's number."""
REJECTED = "rejected.jsonl"
"""Rows that could not be used, where there are any."""


class OutputPart(msgspec.Struct, frozen=True, kw_only=True):
    """The note of a finished part."""

    block: RayBlock
    fingerprint: str
    """Of all that decides what stands in the part."""
    rows: int
    """Rows of the part."""
    failed: int = 0
    """Rows that no reply came for. With any, the next attempt of the command makes it again."""
    statuses: dict[str, int] = {}
    """Rows by status, for a display."""
    rejected: list[msgspec.Raw] = []
    """Rows of the block that could not be used, as JSON."""
    counts: msgspec.Raw = msgspec.Raw(b"null")
    """What the run counted of the rows, as JSON."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return part_name(self.block.number)


def part_name(number: int) -> str:
    """Return the name of the file of a block."""
    return f"part-{number:06}.parquet"


class PartsFolder:
    """The output of a run, which all nodes see."""

    def __init__(self, out: str | Path, fingerprint: str) -> None:
        """Name a folder; nothing is written.

        Args:
            out: the folder.
            fingerprint: of all that decides what the parts hold.
        """
        self.path = Path(out)
        self._fingerprint = fingerprint

    def open(self, blocks: Sequence[RayBlock]) -> dict[int, OutputPart]:
        """Make the folder, and return the parts that are finished, by the number of the block.

        Raises:
            UsageError: it holds something else, or parts of another run.
            StoreError: it cannot be made or read.
        """
        notes = self.path / _NOTES
        try:
            if self.path.is_dir() and not notes.is_dir() and any(self.path.iterdir()):
                raise UsageError(f"{self.path} holds other files: give the name of a new folder")
            notes.mkdir(parents=True, exist_ok=True)
            found = [self.note(int(file.stem)) for file in notes.glob("[0-9]*.json")]
            for left in (*self.path.glob(".*.new"), *notes.glob(".*.new")):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise disk.output_error(self.path, error) from error
        parts = {part.block.number: part for part in found if part is not None}
        if len(parts) < len(found) or any(
            number >= len(blocks) or blocks[number] != part.block for number, part in parts.items()
        ):
            raise UsageError(
                f"{self.path} holds parts of another run (another input, judge or size of blocks): "
                "give the name of a new folder, or remove this one"
            )
        return parts

    def note(self, number: int) -> OutputPart | None:
        """Return the finished part of a block; None: there is none of this run."""
        try:
            data = (self.path / _NOTES / f"{number:06}.json").read_bytes()
            part = msgspec.json.decode(data, type=OutputPart)
        except (FileNotFoundError, ValueError):
            return None
        return part if part.fingerprint == self._fingerprint else None

    def finish(self, part: OutputPart, table: bytes) -> None:
        """Put a part in its place, and then its note.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            _put(self.path / part.name, table)
            _put(self.path / _NOTES / f"{part.block.number:06}.json", msgspec.json.encode(part))
        except OSError as error:
            raise disk.output_error(self.path / part.name, error) from error

    def put_rejected(self, parts: Sequence[OutputPart]) -> int:
        """Write the rejected rows of all parts, in order; return how many there are."""
        lines = [bytes(line) for part in parts for line in part.rejected]
        path = self.path / REJECTED
        try:
            if lines:
                _put(path, b"\n".join(lines) + b"\n")
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise disk.output_error(path, error) from error
        return len(lines)

    def merge(self, parts: Sequence[OutputPart], out: str) -> None:
        """Write all parts as one Parquet file; an `index`, where there is one, counts from 0.

        Raises:
            StoreError: a part is gone or damaged, or the file cannot be written.
        """
        parquet = load_package("pyarrow.parquet", "ray")
        arrow = load_package("pyarrow", "ray")
        path, first, writer = Path(out), 0, None
        new = _new_name(path)
        try:
            for table in self._tables(parts):
                if "index" in table.column_names:
                    place = table.schema.get_field_index("index")
                    count = arrow.array(range(first, first + table.num_rows), arrow.int64())
                    table = table.set_column(place, "index", count)
                writer = writer or parquet.ParquetWriter(new, table.schema, compression="zstd")
                writer.write_table(table)
                first += table.num_rows
            if writer is not None:
                writer.close()
                _rename(new, path)
        except OSError as error:
            raise disk.output_error(path, error) from error
        finally:
            new.unlink(missing_ok=True)

    def _tables(self, parts: Sequence[OutputPart]) -> Iterator[Any]:
        parquet = load_package("pyarrow.parquet", "ray")
        for part in parts:
            file = self.path / part.name
            try:
                table = parquet.read_table(file, partitioning=None)
            except (ValueError, OSError) as error:
                raise StoreError(
                    f"{file} cannot be read ({error}): remove {self.path / _NOTES}/"
                    f"{part.block.number:06}.json, and give the same command again"
                ) from error
            yield table


def _new_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")


def _put(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it; several writers do not disturb each other."""
    new = _new_name(path)
    try:
        new.write_bytes(data)
        _rename(new, path)
    finally:
        new.unlink(missing_ok=True)


def _rename(new: Path, path: Path) -> None:
    """Put a written file in its place, so that it survives a power cut."""
    _sync(new)
    os.replace(new, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
