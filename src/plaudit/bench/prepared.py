"""The rows of a bench as they are judged: drawn, placed, and kept in a file beside the store.

A run names its input, so that it can be given again and shown. The rows of a bench are made, so
they are written once, under a name that their digest is part of. The file may be removed: the next
run of the same command writes it again.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from plaudit._util import disk
from plaudit.bench.scored_pairs import split_pair
from plaudit.errors import InputError
from plaudit.types import Json, Sample

Row = Mapping[str, Json]


ReadRow = Callable[[Row, int], Sequence[Sample]]
"""Returns the samples of a row, or raises `InputError`; see `BaseJudge.read_row`."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows in the form of a judge's input."""

    path: Path
    digest: str
    """Of what is in it, as 16 hexadecimal digits."""
    rows: int
    """Rows of the set in it; a pair counts once, also where each response is a row."""
    rejected: int = 0
    """Rows that the judge cannot read, which are not in it."""
    first_reject: str = ""
    """Id of the first of them, and what is wrong."""
    subsets: Sequence[str] = ()
    """In order of appearance, also those of which all rows were rejected."""


def prepare(
    rows: Iterable[Row], folder: Path, name: str, read_row: ReadRow, *, split: bool = False
) -> Prepared:
    """Write rows into a folder, which is made.

    Args:
        rows: of a set, each with an id of its own.
        folder: for the files of all benches of one store.
        name: of the set, for the name of the file.
        read_row: of the judge.
        split: make of each pair one row a response, for a judge of single responses.

    Raises:
        StoreError: the folder cannot be written.
    """
    checked = _Checked(rows, read_row, split)
    digest = hashlib.blake2b(digest_size=8)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _Temporary(folder) as (file, path):
            for line in checked.lines():
                digest.update(line)
                file.write(line)
            file.close()
            place = folder / f"{name}-{digest.hexdigest()}.jsonl"
            os.replace(path, place)
    except OSError as error:
        raise disk.output_error(folder, error) from error
    return Prepared(
        path=place,
        digest=digest.hexdigest(),
        rows=checked.rows,
        rejected=checked.rejected,
        first_reject=checked.first_reject,
        subsets=[name for name in checked.subsets if name],
    )


class _Checked:
    """The lines of rows that a judge can read, and how many it cannot."""

    def __init__(self, rows: Iterable[Row], read_row: ReadRow, split: bool) -> None:
        self._given = rows
        self._read_row = read_row
        self._split = split
        self.rows = self.rejected = 0
        self.subsets: dict[str, None] = {}
        self.first_reject = ""

    def lines(self) -> Iterator[bytes]:
        for number, row in enumerate(self._given, 1):
            self.subsets[str(row.get("subset") or "")] = None
            parts = list(split_pair(row, number)) if self._split else [row]
            try:
                for part in parts:
                    self._read_row(part, 0)
            except InputError as error:
                self.rejected += 1
                self.first_reject = self.first_reject or f"{row['id']}: {error}"
                continue
            self.rows += 1
            yield from (msgspec.json.encode(part) + b"\n" for part in parts)


class _Temporary:
    """A file in a folder that is gone at the end, unless it was given another name."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.NamedTemporaryFile(dir=folder, suffix=".partial", delete=False)  # noqa: SIM115

    def __enter__(self) -> tuple[BinaryIO, Path]:
        made: Any = self._file
        return made, Path(self._file.name)

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.unlink(self._file.name)
