"""Where verdicts go: a file in input order, written beside its place and renamed at the end.

Verdicts finish in any order. What may not be written yet, because an earlier one is still in
flight, waits in memory up to a bound and then in the store; so one sample that hangs while a
million others finish costs no memory. OUT is untouched until `commit` replaces it in one step.
"""

import contextlib
import importlib
import os
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import msgspec

from plaudit.errors import MissingDependencyError, StoreError, UsageError
from plaudit.runs import disk
from plaudit.runs.sources import Row

_MEMORY_BYTES = 32 * 2**20
_LINES_A_WRITE = 5_000
_BUFFER = 2**18
_ROW_GROUP = 10_000
_EXCERPT = 200


class HeldLines(Protocol):
    """Where lines wait when there are too many for memory; `Store` is one."""

    def hold(self, run: int, index: int, line: bytes) -> None:
        """Keep a line."""
        ...

    def take_held(self, run: int, start: int) -> Generator[bytes]:
        """Yield and drop the lines `start`, `start + 1`, ... up to the first that is missing."""
        ...


class _Target(Protocol):
    """Lines go in one after another; then it is committed or aborted."""

    def write(self, line: bytes) -> None: ...
    def commit(self) -> None: ...
    def abort(self) -> None: ...


def check_output(out: str | Path) -> None:
    """Check, before anything is asked of an engine, that `out` can be written.

    Raises:
        UsageError: it cannot; the message says what to do.
    """
    if str(out) == "-":
        return
    path = Path(out)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file in it")
    if _is_special(path):
        if not os.access(path, os.W_OK):
            raise UsageError(f"{path} is not writable")
        return
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist: make it with mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {folder} is not writable: give another output")
    if path.suffix == ".parquet":
        _import_pyarrow("pyarrow")


def rejected_path(out: str | Path | None) -> Path | None:
    """Return where rejected rows go: `out.jsonl` gives `out.rejected.jsonl`.

    None where there is no file to lie beside: no output, standard output, a device or a pipe.
    """
    if out is None or str(out) == "-" or _is_special(Path(out)):
        return None
    return Path(out).with_name(f"{Path(out).stem}.rejected.jsonl")


def _is_special(path: Path) -> bool:
    """Whether a device or a pipe, which is written to and never replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class OrderedWriter:
    """Writes lines in the order of their index, whatever order they come in.

    Any error leaves OUT as it was and no partial file behind.
    """

    def __init__(
        self, out: str | Path, held: HeldLines, run: int, memory_lines: int = 2_000
    ) -> None:
        """Open the output.

        Args:
            out: a file, a device or pipe, or `-` for standard output. Parquet if it ends in
                `.parquet`, else JSON Lines.
            held: where lines wait that do not fit into memory.
            run: the run's number there.
            memory_lines: most lines that wait in memory.

        Raises:
            StoreError: the partial file cannot be made, or another process is writing it.
        """
        self._target = _open_target(out)
        self._held = held
        self._run = run
        self._memory_lines = memory_lines
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = 0
        self._next = 0
        self._top = 0
        self._missing: set[int] = set()

    @property
    def broken(self) -> bool:
        """Whether who reads standard output has gone, so that writing on is of no use."""
        return isinstance(self._target, _Direct) and self._target.broken

    def write(self, index: int, line: bytes) -> None:
        """Write the line of sample `index`, given without its line end; each index once.

        Raises:
            StoreError: the disk is full, or the output cannot be written.
        """
        if index >= self._top:
            self._missing.update(range(self._top, index))
            self._top = index + 1
        else:
            self._missing.discard(index)
        if index == self._next:
            self._emit(line)
        else:
            self._wait(index, line)
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
        with _undone_on_error(self._target):
            self._target.commit()

    def abort(self) -> None:
        """Drop what was written; OUT stays as it was. May be called more than once."""
        self._waiting.clear()
        self._target.abort()

    def _emit(self, line: bytes) -> None:
        with _undone_on_error(self._target):
            self._target.write(line)
        self._next += 1

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
            line = self._waiting.pop(self._next, None)
            if line is not None:
                self._waiting_bytes -= len(line)
                self._emit(line)
            elif not self._emit_held(stop):
                return

    def _emit_held(self, stop: int) -> bool:
        """Emit lines from the store; False if it has none, though it should."""
        before = self._next
        with contextlib.closing(self._held.take_held(self._run, self._next)) as lines:
            for line in lines:
                self._emit(line)
                if self._next >= stop:
                    break
        return self._next > before


@contextlib.contextmanager
def _undone_on_error(target: _Target) -> Generator[None]:
    try:
        yield
    except BaseException:
        target.abort()
        raise


def _open_target(out: str | Path) -> _Target:
    if str(out) == "-":
        return _Direct("standard output", sys.stdout.buffer)
    path = Path(out)
    try:
        if _is_special(path):
            return _Direct(str(path), path.open("wb", buffering=_BUFFER))
        if path.suffix == ".parquet":
            return _ParquetFile(path)
        return _LinesFile(path)
    except OSError as error:
        raise disk.output_error(path, error) from error


class _Direct:
    """Standard output, a device or a pipe: written as it is."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self.broken = False

    def write(self, line: bytes) -> None:
        if not self.broken:
            with self._translated():
                self._file.write(line + b"\n")

    def commit(self) -> None:
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


class _Partial:
    """The hidden file `.NAME.partial` beside OUT, locked while it is written."""

    def __init__(self, out: Path) -> None:
        # A link is followed, so that it stays a link and the file is renamed within its folder.
        self.out = Path(os.path.realpath(out))
        self.path = self.out.with_name(f".{self.out.name}.partial")
        descriptor = disk.lock(self.path)
        if descriptor is None:
            raise StoreError(
                f"{out} is being written by another plaudit: wait for it, or give another output"
            )
        os.ftruncate(descriptor, 0)
        self.file = os.fdopen(descriptor, "wb", buffering=_BUFFER)
        self._done = False

    def commit(self) -> None:
        self.file.flush()
        with contextlib.suppress(FileNotFoundError):
            os.fchmod(self.file.fileno(), stat.S_IMODE(self.out.stat().st_mode))
        os.fsync(self.file.fileno())
        os.replace(self.path, self.out)
        self._done = True
        self.file.close()
        _sync_folder(self.out.parent)

    def abort(self) -> None:
        if self._done:
            return
        self._done = True
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Its buffer may not fit on a full disk.
            self.file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # Some file systems cannot, and need not.
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _LinesFile:
    """JSON Lines."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._partial = _Partial(out)

    def write(self, line: bytes) -> None:
        try:
            self._partial.file.write(line + b"\n")
        except OSError as error:
            raise disk.output_error(self._out, error) from error

    def commit(self) -> None:
        try:
            self._partial.commit()
        except OSError as error:
            raise disk.output_error(self._out, error) from error

    def abort(self) -> None:
        self._partial.abort()


# Parquet


def _import_pyarrow(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingDependencyError("pyarrow", "parquet") from None


_USAGE = (("input_tokens", "int64"), ("output_tokens", "int64"))
_ERROR = (("cause", "string"), ("message", "string"), ("attempts", "int64"))
_COLUMNS: dict[str, Any] = {
    "index": "int64",
    "id": "string",
    "status": "string",
    "reward": "float64",
    "confidence": "float64",
    "probabilities": {"string": "float64"},
    "usage": _USAGE,
    "judge": "string",
    "error": _ERROR,
}
_VERDICT = "index id status value reward confidence probabilities fields usage judge error metadata"


class _ParquetFile:
    """Parquet with the columns of a verdict; what is not listed there is a column of JSON text.

    `value` is a number or a text, by what the first rows hold.
    """

    def __init__(self, out: Path) -> None:
        self._arrow = _import_pyarrow("pyarrow")
        self._parquet = _import_pyarrow("pyarrow.parquet")
        self._out = out
        self._partial = _Partial(out)
        self._rows: list[dict[str, Any]] = []
        self._writer: Any = None
        self._schema: Any = None
        self._texts: list[str] = []

    def write(self, line: bytes) -> None:
        self._rows.append(msgspec.json.decode(line))
        if len(self._rows) >= _ROW_GROUP:
            self._write_rows()

    def commit(self) -> None:
        if self._rows or self._writer is None:
            self._write_rows()
        try:
            cast("Any", self._writer).close()
            self._partial.commit()
        except OSError as error:
            raise disk.output_error(self._out, error) from error

    def abort(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(OSError, ValueError):
                self._writer.close()
        self._partial.abort()

    def _write_rows(self) -> None:
        rows, self._rows = self._rows, []
        if self._schema is None:
            self._schema = self._make_schema(rows)
        columns = set(self._schema.names)
        for row in rows:
            if not row.keys() <= columns:
                new = ", ".join(sorted(row.keys() - columns))
                raise StoreError(f"{self._out}: row without a column for {new}; write JSON Lines")
            self._flatten(row)
        try:
            table = self._arrow.Table.from_pylist(rows, schema=self._schema)
            if self._writer is None:
                self._writer = self._parquet.ParquetWriter(self._partial.file, self._schema)
            self._writer.write_table(table)
        except OSError as error:
            raise disk.output_error(self._out, error) from error
        except (ValueError, TypeError) as error:  # pyarrow's own errors derive from these.
            raise StoreError(
                f"{self._out}: rows that do not fit one table ({error}); write JSON Lines"
            ) from error

    def _make_schema(self, rows: list[dict[str, Any]]) -> Any:
        names = list(dict.fromkeys(name for row in rows for name in row)) or _VERDICT.split()
        kinds = dict(_COLUMNS)
        values = [row["value"] for row in rows if row.get("value") is not None]
        numbers = values and not any(isinstance(value, str) for value in values)
        kinds["value"] = "float64" if numbers else "string"
        self._texts = [name for name in names if name not in kinds]
        return self._arrow.schema([(name, self._type(kinds.get(name, "string"))) for name in names])

    def _type(self, kind: Any) -> Any:
        if isinstance(kind, dict):
            return self._arrow.map_(self._arrow.string(), self._arrow.float64())
        if isinstance(kind, tuple):
            fields = cast("tuple[tuple[str, str], ...]", kind)
            return self._arrow.struct([(name, self._type(part)) for name, part in fields])
        return getattr(self._arrow, kind)()

    def _flatten(self, row: dict[str, Any]) -> None:
        for name in self._texts:
            if row.get(name) is not None:
                row[name] = msgspec.json.encode(row[name]).decode()
        probabilities = row.get("probabilities")
        if probabilities is not None:
            row["probabilities"] = list(probabilities.items())
        value = row.get("value")
        if value is not None and self._schema.field("value").type == self._arrow.string():
            row["value"] = str(value)


# Rejected rows


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
        self._file: _LinesFile | None = None

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
                self._file = _LinesFile(self.path)
            except OSError as failure:
                raise disk.output_error(self.path, failure) from failure
        text = row.text or msgspec.json.encode(row.data).decode()[:_EXCERPT]
        line = msgspec.json.encode({"where": row.where, "error": problem, "text": text})
        with _undone_on_error(self._file):
            self._file.write(line)

    def commit(self) -> None:
        """Put the file in its place; remove that of an earlier run if nothing was rejected.

        Raises:
            StoreError: the file cannot be written.
        """
        if self._file is not None:
            with _undone_on_error(self._file):
                self._file.commit()
        elif self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def abort(self) -> None:
        """Drop what was written; the file of an earlier run stays, as its output does."""
        if self._file is not None:
            self._file.abort()
