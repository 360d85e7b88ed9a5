"""Where verdicts go: a file or folder in input order, written beside its place, renamed at the end.

Verdicts finish in any order. What may not be written yet, because an earlier one is still in
flight, waits in memory up to a bound and then in the store; so one sample that hangs while a
million others finish costs no memory. OUT is untouched until `commit` replaces it in one step.
"""

import contextlib
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from plaudit._util import disk
from plaudit._util.workers import Workers
from plaudit.io.partial import BUFFER, PartialFile
from plaudit.io.places import is_special, names_folder
from plaudit.io.tables import GROUP_ROWS, DatasetFolder, ParquetFile
from plaudit.store.base import HeldLines

_MEMORY_BYTES = 32 * 2**20
_LINES_A_WRITE = 5_000
_LINES_AT_ONCE = 200


class _Target(Protocol):
    """Lines go in one after another; then it is committed or aborted."""

    def write_all(self, lines: Sequence[bytes]) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


class OrderedWriter:
    """Writes lines in the order of their index, whatever order they come in.

    Any error leaves OUT as it was and no partial file behind.
    """

    def __init__(
        self,
        out: str | Path,
        held: HeldLines,
        run: int,
        memory_lines: int = 2_000,
        group_rows: int = GROUP_ROWS,
    ) -> None:
        """Open the output.

        Args:
            out: a file, a device or pipe, or `-` for standard output. Parquet if it ends in
                `.parquet`, a folder for `datasets.load_from_disk` if in `/`, else JSON Lines.
            held: where lines wait that do not fit into memory.
            run: the run's number there.
            memory_lines: most lines that wait in memory.
            group_rows: most rows of a table that are written at once.

        Raises:
            StoreError: the partial file cannot be made, or another process is writing it.
        """
        self._target = _open_target(out, group_rows)
        self._held = held
        self._run = run
        self._memory_lines = memory_lines
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = 0
        self._next = 0
        self._top = 0
        self._missing: set[int] = set()

    @property
    def direct(self) -> bool:
        """Whether lines are written where they are read at once, and the reader may go."""
        return isinstance(self._target, _Direct)

    @property
    def broken(self) -> bool:
        """Whether the reader of standard output is gone, so that writing on is of no use."""
        return isinstance(self._target, _Direct) and self._target.broken

    def write(self, index: int, line: bytes) -> None:
        """Write the line of sample `index`, given without its line end; each index once.

        Raises:
            StoreError: the disk is full, or the output cannot be written.
        """
        self.write_all(((index, line),))

    def write_all(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Write lines, each with the index of its sample; see `write`."""
        ready: list[bytes] = []
        for index, line in lines:
            if index < self._top:
                self._missing.discard(index)
            else:
                self._missing.update(range(self._top, index))
                self._top = index + 1
            if index == self._next:
                ready.append(line)
                self._next += 1
            else:
                self._wait(index, line)
        self._emit(ready)
        if self._next < self._top:
            self._drain(_LINES_A_WRITE)

    def commit(self) -> None:
        """Write what waits, then put the file in its place.

        Raises:
            StoreError: the disk is full, or the output cannot be written.
        """
        self._drain(None)
        if self._next < self._top:
            self.abort()
            raise RuntimeError(f"no line for index {self._next}, though there is for a later one")
        with undone_on_error(self._target):
            self._target.commit()

    def abort(self) -> None:
        """Drop what was written; OUT stays as it was. May be called more than once."""
        self._waiting.clear()
        self._target.abort()

    def _emit(self, lines: list[bytes]) -> None:
        if lines:
            with undone_on_error(self._target):
                self._target.write_all(lines)

    def _wait(self, index: int, line: bytes) -> None:
        fits = self._waiting_bytes + len(line) <= _MEMORY_BYTES
        if fits and len(self._waiting) < self._memory_lines:
            self._waiting[index] = line
            self._waiting_bytes += len(line)
        else:
            self._held.hold(self._run, index, line)

    def _drain(self, most: int | None) -> None:
        """Emit the lines that no longer wait; at most `most`, so that no single write is long."""
        stop = self._top if most is None else min(self._top, self._next + most)
        while self._next < stop and self._next not in self._missing:
            self._emit_waiting(stop)
            before = self._next
            if before < stop and before not in self._missing:
                self._emit_held(stop)
                if self._next == before:  # The store has none, though it should.
                    return

    def _emit_waiting(self, stop: int) -> None:
        lines: list[bytes] = []
        while self._next < stop and (line := self._waiting.pop(self._next, None)) is not None:
            self._waiting_bytes -= len(line)
            self._next += 1
            lines.append(line)
            if len(lines) == _LINES_AT_ONCE:
                self._emit(lines)
                lines = []
        self._emit(lines)

    def _emit_held(self, stop: int) -> None:
        with contextlib.closing(self._held.take_held(self._run, self._next)) as lines:
            for line in lines:
                self._next += 1
                self._emit([line])
                if self._next >= stop:
                    break


@contextlib.contextmanager
def undone_on_error(target: _Target) -> Generator[None]:
    """Abort what is written where an error leaves the block."""
    try:
        yield
    except BaseException:
        target.abort()
        raise


def _open_target(out: str | Path, group_rows: int) -> _Target:
    path = Path(out)
    try:
        if names_folder(out):
            return DatasetFolder(path, group_rows)
        if path.suffix == ".parquet" and not is_special(path):
            return ParquetFile(path, group_rows)
    except OSError as error:
        raise disk.output_error(path, error) from error
    return _open_lines(out)


class BlockWriter:
    """Writes whole lines, many at a time, while the next ones are made.

    OUT is untouched until `commit`. Any error leaves it as it was and no partial file behind.
    """

    def __init__(self, out: str | Path) -> None:
        """Open a file, a device or pipe, or `-` for standard output.

        Raises:
            StoreError: the partial file cannot be made, or another process is writing it.
        """
        self._target = _open_lines(out)
        self._worker: Workers | None = None
        self._written: Future[None] | None = None

    @property
    def broken(self) -> bool:
        """Whether the reader of standard output is gone, so that writing on is of no use."""
        return isinstance(self._target, _Direct) and self._target.broken

    def write(self, lines: bytes) -> None:
        """Write lines, each with its end, after those that were given before.

        Raises:
            StoreError: the disk is full, or the output cannot be written: these or earlier ones.
        """
        self._wait()
        if self._worker is None:
            self._worker = Workers(1, "plaudit-writer")
        self._written = self._worker.submit(partial(self._target.write_block, lines))

    def commit(self) -> None:
        """Wait for what is being written, then put the file in its place.

        Does not fsync: what is written this way is made again as fast.

        Raises:
            StoreError: the disk is full, or the output cannot be written.
        """
        with undone_on_error(self._target):
            self._wait()
            self._target.commit(durable=False)
        self._stop()

    def abort(self) -> None:
        """Drop what was written; OUT stays as it was. May be called more than once."""
        with contextlib.suppress(BaseException):
            self._wait()
        self._stop()
        self._target.abort()

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()


def _open_lines(out: str | Path) -> "_Direct | LinesFile":
    if str(out) == "-":
        return _Direct("standard output", sys.stdout.buffer)
    path = Path(out)
    try:
        if is_special(path):
            return _Direct(str(path), path.open("wb", buffering=BUFFER))
        return LinesFile(path)
    except OSError as error:
        raise disk.output_error(path, error) from error


class _Direct:
    """Standard output, a device or a pipe: written as it is."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self.broken = False

    def write_all(self, lines: Sequence[bytes]) -> None:
        self.write_block(b"\n".join((*lines, b"")))

    def write_block(self, lines: bytes) -> None:
        if not self.broken:
            with self._translated():
                self._file.write(lines)

    def commit(self, durable: bool = True) -> None:
        del durable  # There is nothing to wait for.
        if not self.broken:
            with self._translated():
                self._file.flush()
        self._close()

    def abort(self) -> None:
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._file is sys.stdout.buffer:
                self._file.flush()
            else:
                self._file.close()

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except BrokenPipeError:
            self.broken = True
            if self._file is sys.stdout.buffer:
                _drop_standard_output()
        except OSError as error:
            raise disk.output_error(self._name, error) from error


def _drop_standard_output() -> None:
    # What is left in its buffer must go somewhere, or the interpreter complains at exit.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


class LinesFile:
    """JSON Lines."""

    def __init__(self, out: Path) -> None:
        """Begin the hidden file beside `out`."""
        self._out = out
        self._partial = PartialFile(out)
        self.file: BinaryIO = self._partial.file

    def write(self, line: bytes) -> None:
        """Write a line, given without its end."""
        self.write_block(line + b"\n")

    def write_all(self, lines: Sequence[bytes]) -> None:
        """Write lines, given without their ends."""
        self.write_block(b"\n".join((*lines, b"")))

    def write_block(self, lines: bytes) -> None:
        """Write whole lines."""
        try:
            self.file.write(lines)
        except OSError as error:
            raise disk.output_error(self._out, error) from error

    def commit(self, durable: bool = True) -> None:
        """Put the file in its place; `durable`: once it would survive a power cut."""
        try:
            self._partial.commit(durable)
        except OSError as error:
            raise disk.output_error(self._out, error) from error

    def abort(self) -> None:
        """Drop the file."""
        self._partial.abort()
