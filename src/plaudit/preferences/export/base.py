"""What a format of training data is."""

from collections.abc import Iterable, Mapping
from typing import BinaryIO, Protocol

import msgspec

from plaudit.preferences.export.options import Style
from plaudit.preferences.export.rows import PairRow
from plaudit.preferences.export.shaping import Carries, Shaped


class Dataset(msgspec.Struct, frozen=True):
    """What is known of the pairs after they were read once."""

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
        """Write a pair; return how many rows that are.

        Raises:
            CannotCarryError: the format has no place for something in it.
        """
        ...

    def close(self) -> None:
        """Write what is left; the file stays open."""
        ...


class Format:
    """How pairs become rows; made anew for each export. Subclasses say how a row looks."""

    carries = Carries()
    styles: tuple[Style, ...] = ("plain", "conversational")
    train = "train.jsonl"
    """The file's name in the folder."""
    validation = "validation.jsonl"
    ties = 0
    """Responses that were left out since it cannot be told whether they are good."""

    def count(self, pair: PairRow) -> None:
        """Take note of a pair, before any row is asked for."""

    def begin(self, dataset: Dataset) -> None:
        """Get ready, when all pairs were counted."""
        self.dataset = dataset

    def writer(self, file: BinaryIO, name: str) -> RowWriter:
        """Return what writes rows into a file of the folder, whose name is given."""
        return _LineWriter(self, file)

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return the rows of a pair, each as JSON without a line end."""
        raise NotImplementedError

    def extra_files(self) -> Mapping[str, bytes]:
        """Return what else is in the folder."""
        return {}


class _LineWriter:
    """JSON Lines."""

    def __init__(self, made_by: Format, file: BinaryIO) -> None:
        self._rows = made_by.rows
        self._write = file.write

    def write(self, pair: Shaped) -> int:
        count = 0
        for line in self._rows(pair):
            self._write(line)
            self._write(b"\n")
            count += 1
        return count

    def close(self) -> None:
        """There is nothing left."""


def row(columns: Iterable[tuple[str, bytes]]) -> bytes:
    """Return an object of names and JSON."""
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), data) for name, data in columns)
