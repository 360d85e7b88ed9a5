"""What a run over a file gives out: a line for each item, in order, and what it rejects."""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from plaudit._util import disk
from plaudit.io.places import rejected_path
from plaudit.io.rows import Row
from plaudit.io.sinks import LinesFile, OrderedWriter, undone_on_error
from plaudit.store.base import HeldLines

T = TypeVar("T")

_EXCERPT = 200


def reject_line(row: Row, problem: str) -> bytes:
    """Return the line for a rejected row: `{"where", "error", "text"}`."""
    text = row.text or msgspec.json.encode(row.data).decode()[:_EXCERPT]
    return msgspec.json.encode({"where": row.where, "error": problem, "text": text})


class RejectWriter:
    """Writes rejected rows beside the output: `{"where", "error", "text"}`, a line each.

    Like the output, the file comes into its place at the end, and none is left of an earlier run.
    """

    def __init__(self, out: str | Path | None) -> None:
        self.path = rejected_path(out)
        """Where they go; None where there is no place, and they are only counted."""
        self.count = 0
        self.first = ""
        """The first one, as `where: error`."""
        self._file: LinesFile | None = None

    def write(self, row: Row, error: str | None = None) -> None:
        """Write a row that was rejected, or is now, for `error`.

        Raises:
            StoreError: the file cannot be written.
        """
        problem = error or row.error or ""
        self.count += 1
        self.first = self.first or f"{row.where}: {problem}"
        if self.path is None:
            return
        if self._file is None:
            try:
                self._file = LinesFile(self.path)
            except OSError as failure:
                raise disk.output_error(self.path, failure) from failure
        with undone_on_error(self._file):
            self._file.write(reject_line(row, problem))

    def commit(self) -> None:
        """Put the file in its place; remove that of an earlier run if nothing was rejected.

        Raises:
            StoreError: the file cannot be written.
        """
        if self._file is not None:
            with undone_on_error(self._file):
                self._file.commit()
        elif self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def abort(self) -> None:
        """Drop what was written; the file of an earlier run stays, as its output does."""
        if self._file is not None:
            self._file.abort()


class Output:
    """The lines of a run and the rows that were rejected. A clean exit puts them in their place.

    After any exception the outputs are as they were.
    """

    def __init__(self, out: str | None, rejects_of: str | None, held: HeldLines, run: int) -> None:
        """Open the output.

        Args:
            out: where lines go; None: nowhere.
            rejects_of: the output path beside which rejected rows go.
            held: where lines wait that do not fit into memory.
            run: the run's number there.

        Raises:
            StoreError: the output cannot be written.
        """
        self._writer = None if out is None else OrderedWriter(out, held, run)
        self.write: Callable[[int, bytes], None] | None
        self.write = None if self._writer is None else self._writer.write
        """Writes the line of the item of an index, in whatever order they come; None: nowhere."""
        self.write_all: Callable[[Iterable[tuple[int, bytes]]], None] | None
        self.write_all = None if self._writer is None else self._writer.write_all
        """Writes lines, each with its index."""
        self.rejects = RejectWriter(rejects_of)

    def while_read(self, items: Iterator[T]) -> Iterator[T]:
        """Return the items, up to where the reader of standard output is gone."""
        writer = self._writer
        if writer is None or not writer.direct:
            return items
        return itertools.takewhile(lambda _: not writer.broken, items)

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                if self._writer is not None:
                    self._writer.commit()
                self.rejects.commit()
                return
        except BaseException:
            self._abort()
            raise
        self._abort()

    def _abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()
        self.rejects.abort()


_SECOND = 2**39


class _Beside:
    """Where the lines of a run's second output wait: under numbers that no sample has."""

    def __init__(self, held: HeldLines) -> None:
        self._held = held

    def hold(self, run: int, index: int, line: bytes) -> None:
        self._held.hold(run, index + _SECOND, line)

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        return self._held.take_held(run, start + _SECOND)


def beside(held: HeldLines) -> HeldLines:
    """Return where the lines of a run's second output wait, beside those of its first."""
    return _Beside(held)
