"""The contract of a format of training data."""

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO, Protocol

import msgspec

from plaudit.preferences.export.shaping import Carries, Shaped, Style
from plaudit.preferences.formats.rows import PairRow

Columns = Iterable[tuple[str, bytes]]
"""A row: names and JSON."""


class Dataset(msgspec.Struct, frozen=True):
    """Facts about all pairs, known after the first reading."""

    style: Style
    tools: bool
    """Whether any pair has tools."""
    simple: bool
    """Whether all messages are a role and a text, and nothing else."""
    validation: bool
    """Whether there is a file for validation."""


class RowWriter(Protocol):
    """Writes the rows of one side."""

    def write(self, pair: Shaped) -> int:
        """Write a pair; return the number of its rows.

        Raises:
            CannotCarryError: the format has no place for something in it.
        """
        ...

    def close(self) -> None:
        """Write what is left; the file stays open."""
        ...


class TrainerFormat:
    """How pairs become rows; made anew for each export."""

    ties = 0
    """Responses that were left out: chosen as often as rejected."""
    dataset: Dataset
    """Set by `begin`."""

    def __init__(
        self,
        columns: Callable[[Shaped, Style], Columns],
        *,
        carries: Carries = Carries(),  # noqa: B008 (frozen)
        styles: tuple[Style, ...] = ("plain", "conversational"),
        train: str = "train.jsonl",
        validation: str = "validation.jsonl",
    ) -> None:
        """Describe a format.

        Args:
            columns: makes the row of a pair.
            carries: what the format has a place for.
            styles: those that its reader knows.
            train: name of the file for training in the folder.
            validation: likewise.
        """
        self._columns = columns
        self.carries = carries
        self.styles = styles
        self.train = train
        self.validation = validation

    def count(self, pair: PairRow) -> None:
        """Take note of a pair, before any row is asked for."""

    def begin(self, dataset: Dataset) -> None:
        """Get ready, when all pairs were counted."""
        self.dataset = dataset

    def writer(self, file: BinaryIO, name: str) -> RowWriter:
        """Return a writer of rows into a file of the folder, whose name is given."""
        return _LineWriter(self, file)

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return the rows of a pair, each as JSON without a line end."""
        return [row(self._columns(pair, self.dataset.style))]

    def extra_files(self) -> Mapping[str, bytes]:
        """Return the other files of the folder."""
        return {}


class _LineWriter:
    """Writes JSON Lines."""

    def __init__(self, made_by: TrainerFormat, file: BinaryIO) -> None:
        self._rows = made_by.rows
        self._write = file.write

    def write(self, pair: Shaped) -> int:
        lines = [line + b"\n" for line in self._rows(pair)]
        self._write(b"".join(lines))
        return len(lines)

    def close(self) -> None:
        """There is nothing left."""


def row(columns: Columns) -> bytes:
    """Return an object of names and JSON."""
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), data) for name, data in columns)
