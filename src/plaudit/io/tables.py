"""Tables of verdicts: Parquet, folders that `datasets.load_from_disk` reads, and columns."""

import contextlib
import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Sized
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import msgspec

from plaudit._util import disk
from plaudit._util.packages import DeferredModule, load_package
from plaudit.errors import InputError, StoreError, UsageError
from plaudit.io.partial import PartialFile, PartialFolder
from plaudit.types import Json, Verdict

if TYPE_CHECKING:
    from plaudit.judges import load
else:
    load = DeferredModule("plaudit.judges.load")

GROUP_ROWS = 10_000
"""Most rows of a table that are written at once."""
_ROW_GROUP_BYTES = 32 * 2**20


_USAGE = (("input_tokens", "int64"), ("output_tokens", "int64"))
_ERROR = (("cause", "string"), ("message", "string"), ("attempts", "int64"))
_COLUMNS: dict[str, Any] = {
    "index": "int64",
    "id": "string",
    "status": "string",
    "reward": "float64",
    "confidence": "float64",
    "usage": _USAGE,
    "judge": "string",
    "error": _ERROR,
    # Of traces.
    "question_id": "string",
    "group": "string",
    "draw": "int64",
    "stop_reason": "string",
    "final_answer": "string",
    "engine": "string",
    "schema": "int64",
}
_MAP = {"probabilities": {"string": "float64"}}
VERDICT = "index id status value reward confidence probabilities fields usage judge error metadata"
"""The columns of a verdict that are always there."""

_DATA = "data-00000-of-00001.arrow"
_INFO = "dataset_info.json"
_STATE = "state.json"
_DESCRIPTION = "Verdicts by plaudit"


def is_verdict_folder(path: Path) -> bool:
    """Whether a folder of verdicts, and nothing else than `datasets` wrote was added to it."""
    try:
        info = msgspec.json.decode((path / _INFO).read_bytes())
        names = [file.name for file in path.iterdir()]
    except (OSError, ValueError):
        return False
    ours = isinstance(info, dict) and cast("Any", info).get("description") == _DESCRIPTION
    return ours and all(name in (_INFO, _STATE) or name.endswith(".arrow") for name in names)


class _Partial(Protocol):
    """Output that is not in its place yet."""

    def commit(self) -> None: ...

    def abort(self) -> None: ...


class _TableFile(ABC):
    """A table with the columns of a verdict; what is not listed there is a column of JSON text.

    `value` is a number or a text, by what the first rows hold.
    """

    columns = _COLUMNS

    def __init__(self, out: Path, partial: _Partial, file: BinaryIO, group_rows: int) -> None:
        self._group_rows = group_rows
        self._arrow = load_package("pyarrow", "parquet")
        self._out = out
        self._partial = partial
        self._file = file
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._writer: Any = None
        self._schema: Any = None
        self._texts: list[str] = []

    @abstractmethod
    def _open_writer(self) -> Any:
        """Open what writes tables of the schema into the partial file."""

    def write(self, line: bytes) -> None:
        """Take one more verdict, as JSON."""
        self._rows.append(msgspec.json.decode(line))
        self._bytes += len(line)
        if len(self._rows) >= self._group_rows or self._bytes >= _ROW_GROUP_BYTES:
            self._write_rows()

    def write_all(self, lines: Iterable[bytes]) -> None:
        """Take more verdicts, as JSON."""
        for line in lines:
            self.write(line)

    def commit(self) -> None:
        """Write what is left and put the table in its place."""
        if self._rows or self._writer is None:
            self._write_rows()
        try:
            cast("Any", self._writer).close()
            self._partial.commit()
        except OSError as error:
            raise disk.output_error(self._out, error) from error

    def abort(self) -> None:
        """Drop the table."""
        if self._writer is not None:
            with contextlib.suppress(OSError, ValueError):
                self._writer.close()
        self._partial.abort()

    def _write_rows(self) -> None:
        rows, self._rows, self._bytes = self._rows, [], 0
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
                self._writer = self._open_writer()
            self._writer.write_table(table)
        except OSError as error:
            raise disk.output_error(self._out, error) from error
        except (ValueError, TypeError) as error:  # pyarrow's own errors derive from these.
            raise StoreError(
                f"{self._out}: rows that do not fit one table ({error}); write JSON Lines"
            ) from error

    def _make_schema(self, rows: list[dict[str, Any]]) -> Any:
        names = list(dict.fromkeys(name for row in rows for name in row)) or VERDICT.split()
        return self._schema_of(names, _value_type(rows))

    def _schema_of(self, names: Sequence[str], value: str) -> Any:
        kinds = self.columns | {"value": value}
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
        if isinstance(probabilities, dict):
            row["probabilities"] = list(cast("dict[str, float]", probabilities).items())
        value = row.get("value")
        if value is not None and self._schema.field("value").type == self._arrow.string():
            row["value"] = str(value)
        elif isinstance(value, str):
            raise StoreError(
                f"{self._out}: the value of sample {row['index']} is text, where earlier ones are "
                "numbers; write JSON Lines"
            )


def _value_type(rows: list[dict[str, Any]]) -> str:
    values = [row["value"] for row in rows if row.get("value") is not None]
    if values:
        return "string" if any(isinstance(value, str) for value in values) else "float64"
    return value_type(rows[0].get("judge", "") if rows else "")


class ParquetFile(_TableFile):
    """Parquet."""

    columns = _COLUMNS | _MAP

    def __init__(self, out: Path, group_rows: int = GROUP_ROWS) -> None:
        self._parquet = load_package("pyarrow.parquet", "parquet")
        partial = PartialFile(out)
        super().__init__(out, partial, partial.file, group_rows)

    def _open_writer(self) -> Any:
        return self._parquet.ParquetWriter(self._file, self._schema)


class _Held:
    """Stands for the file of a table that is held in memory."""

    def commit(self) -> None:
        """There is no place to put it in."""

    abort = commit


class ParquetPart(_TableFile):
    """Parquet in memory, whose columns and types are the same whatever its rows hold."""

    columns = _COLUMNS | _MAP

    def __init__(self, name: str, columns: Sequence[str], value: str) -> None:
        """Begin a table.

        Args:
            name: of the part, for messages.
            columns: names in their order.
            value: Arrow type of `value`.
        """
        self._parquet = load_package("pyarrow.parquet", "parquet")
        self._buffer = io.BytesIO()
        super().__init__(Path(name), _Held(), self._buffer, GROUP_ROWS)
        self._schema = self._schema_of(columns, value)

    def _open_writer(self) -> Any:
        return self._parquet.ParquetWriter(self._buffer, self._schema, compression="zstd")

    def whole(self) -> bytes:
        """Return the file."""
        self.commit()
        return self._buffer.getvalue()


class DatasetFolder(_TableFile):
    """A folder that `datasets.load_from_disk` reads; it knows no maps, so these are JSON text."""

    def __init__(self, out: Path, group_rows: int = GROUP_ROWS) -> None:
        self._ipc = load_package("pyarrow.ipc", "parquet")
        self._folder = PartialFolder(out)
        self._digest = hashlib.blake2b(digest_size=8)
        super().__init__(out, self._folder, self._folder.open(_DATA), group_rows)

    def _open_writer(self) -> Any:
        return self._ipc.new_stream(self._file, self._schema)

    def write(self, line: bytes) -> None:
        """Take one more verdict."""
        self._digest.update(line)
        super().write(line)

    def commit(self) -> None:
        """Write what is left and put the folder in its place."""
        state: dict[str, Any] = {
            "_data_files": [{"filename": _DATA}],
            "_fingerprint": self._digest.hexdigest(),
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        self._folder.open(_INFO).write(msgspec.json.encode({"description": _DESCRIPTION}))
        self._folder.open(_STATE).write(msgspec.json.encode(state))
        super().commit()


# Columns of a batch of `datasets.map`


NAMES = ("status", "value", "reward", "confidence", "cause", "message")
"""What a batch gets, each behind a prefix. A row that no sample could be taken from is `rejected`,
with the cause `bad_row`; `message` says why a row has no reward."""


class Column(list[Any]):
    """A list with its Arrow type, so that a batch without a single reward has columns of it.

    Without that, `datasets` takes the type of a column from its first batch, and a map whose first
    batch has nulls only ends at the first number.
    """

    def __init__(self, values: Iterable[Any], arrow_type: str) -> None:
        super().__init__(values)
        self.arrow_type = arrow_type

    def __arrow_array__(self, type: Any = None) -> Any:
        """Return the Arrow array of the values; Arrow asks for it by this name."""
        arrow = import_module("pyarrow")
        return arrow.array(list(self), type or getattr(arrow, self.arrow_type)())


def value_type(judge: str) -> str:
    """Return the Arrow type of a judge's values: numbers for a judge of scores, else text.

    Args:
        judge: the kind of the judge, or `kind/fingerprint`.
    """
    kind = load.kind_of(judge)
    return "float64" if kind is not None and kind.scale == "scores" else "string"


def rows_of(batch: Mapping[str, Sequence[Json]]) -> list[dict[str, Json]]:
    """Return the rows of a batch of columns.

    Raises:
        UsageError: it is one row, and no batch.
    """
    columns = {name: batch[name] for name in batch}
    if not all(map(_is_column, columns.values())) or len(set(map(len, columns.values()))) > 1:
        raise UsageError("map_batch takes a batch of columns: call map with batched=True")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_column(values: Any) -> bool:
    return isinstance(values, Sized) and not isinstance(values, str | Mapping)


def columns_of(
    outcomes: Sequence[Verdict | InputError], kind: str, prefix: str
) -> dict[str, Column]:
    """Return the columns of verdicts, and of rows that there is none for.

    Args:
        outcomes: a verdict or an error for each row.
        kind: the kind of the judge.
        prefix: what the columns' names begin with.
    """
    types = {"value": value_type(kind), "reward": "float64", "confidence": "float64"}
    cells = [_cells(outcome) for outcome in outcomes]
    columns = zip(*cells, strict=True) if cells else ((),) * len(NAMES)
    return {
        prefix + name: Column(column, types.get(name, "string"))
        for name, column in zip(NAMES, columns, strict=True)
    }


def _cells(outcome: Verdict | InputError) -> tuple[Json, ...]:
    if isinstance(outcome, InputError):
        return "rejected", None, None, None, "bad_row", str(outcome)
    error = outcome.error
    why = (None, None) if error is None else (error.cause.value, error.message)
    return outcome.status, outcome.value, outcome.reward, outcome.confidence, *why
