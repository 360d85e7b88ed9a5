"""Tables of verdicts: Parquet, and folders that `datasets.load_from_disk` reads."""

import contextlib
import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from plaudit._util import disk
from plaudit._util.packages import load_package
from plaudit.errors import StoreError
from plaudit.io.columns import value_type
from plaudit.io.partial import PartialFile, PartialFolder

_ROW_GROUP = 10_000
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
_VERDICT = "index id status value reward confidence probabilities fields usage judge error metadata"

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


class _TableFile(ABC):
    """A table with the columns of a verdict; what is not listed there is a column of JSON text.

    `value` is a number or a text, by what the first rows hold.
    """

    columns = _COLUMNS

    def __init__(self, out: Path, partial: PartialFile | PartialFolder, file: BinaryIO) -> None:
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
        if len(self._rows) >= _ROW_GROUP or self._bytes >= _ROW_GROUP_BYTES:
            self._write_rows()

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
        names = list(dict.fromkeys(name for row in rows for name in row)) or _VERDICT.split()
        kinds = self.columns | {"value": _value_type(rows)}
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

    def __init__(self, out: Path) -> None:
        self._parquet = load_package("pyarrow.parquet", "parquet")
        partial = PartialFile(out)
        super().__init__(out, partial, partial.file)

    def _open_writer(self) -> Any:
        return self._parquet.ParquetWriter(self._file, self._schema)


class DatasetFolder(_TableFile):
    """A folder that `datasets.load_from_disk` reads; it knows no maps, so these are JSON text."""

    def __init__(self, out: Path) -> None:
        self._ipc = load_package("pyarrow.ipc", "parquet")
        self._folder = PartialFolder(out)
        self._digest = hashlib.blake2b(digest_size=8)
        super().__init__(out, self._folder, self._folder.open(_DATA))

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
