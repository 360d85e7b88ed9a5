"""A folder for `datasets.load_from_disk`, as `DatasetDict.save_to_disk` writes one.

Rows are written as Arrow at once: `Dataset.from_generator` would write everything twice. `datasets`
itself makes the schema.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import UsageError
from plaudit.preferences.export.base import Dataset, TrainerFormat
from plaudit.preferences.export.shaping import Carries, Shaped, messages_of

_ROWS = 1_000
_BYTES = 32 * 2**20
_DATA = "data-00000-of-00001.arrow"
_MESSAGES = ("prompt", "chosen", "rejected")


class DatasetsFolder(TrainerFormat):
    """`prompt`, `chosen`, `rejected`, `tools`, both scores, both ids."""

    def __init__(self) -> None:
        """Begin.

        Raises:
            MissingDependencyError: `datasets` is not installed.
        """
        super().__init__(
            lambda pair, style: (),
            carries=Carries(content="anything", calls=True, tools=True, turns=True, fields=True),
            train=f"train/{_DATA}",
            validation=f"validation/{_DATA}",
        )
        self._datasets = load_package("datasets", "datasets")
        self._arrow = load_package("pyarrow", "datasets")
        self._digests: dict[str, str] = {}

    def begin(self, dataset: Dataset) -> None:
        """Make the schema.

        Raises:
            UsageError: the installed `datasets` has no columns of JSON.
        """
        super().begin(dataset)
        self._features = _features(self._datasets, dataset)

    def writer(self, file: BinaryIO, name: str) -> "TableWriter":
        """Return what writes rows into a file of the folder."""
        return TableWriter(self, file, name)

    def extra_files(self) -> Mapping[str, bytes]:
        """Return the descriptions of the folder and of its sides."""
        sides = ("train", "validation")[: 1 + self.dataset.validation]
        info = {"description": "Preferences by plaudit", "features": self._features.to_dict()}
        made: dict[str, Any] = {"dataset_dict.json": {"splits": sides}}
        for side in sides:
            made[f"{side}/dataset_info.json"] = info
            made[f"{side}/state.json"] = {
                "_data_files": [{"filename": _DATA}],
                "_fingerprint": self._digests[f"{side}/{_DATA}"],
                "_format_columns": None,
                "_format_kwargs": {},
                "_format_type": None,
                "_output_all_columns": False,
                "_split": side,
            }
        return {name: msgspec.json.encode(value) for name, value in made.items()}

    @property
    def schema(self) -> Any:
        """The schema of the table."""
        return self._features.arrow_schema

    def table(self, rows: list[dict[str, Any]]) -> Any:
        """Return rows as a table; messages with fields of their own are JSON text in it."""
        arrow = self._arrow
        stored = arrow.schema([(one.name, _storage(arrow, one.type)) for one in self.schema])
        return arrow.Table.from_pylist(rows, schema=stored).cast(self.schema)

    def columns(self, pair: Shaped) -> dict[str, Any]:
        """Return a pair as a row of the table."""
        row = pair.row
        reported: dict[str, Any] = {name: self._cell(getattr(pair, name)) for name in _MESSAGES}
        reported |= {"chosen_score": row.chosen_score, "rejected_score": row.rejected_score}
        reported |= {"example_id": str(row.example_id), "turn_id": str(row.turn_id)}
        if self.dataset.tools:
            reported["tools"] = None if pair.tools is None else pair.tools.decode()
        return reported

    def close_table(self, name: str, digest: str) -> None:
        """Take note of a table's fingerprint."""
        self._digests[name] = digest

    def _cell(self, data: bytes) -> Any:
        if self.dataset.style == "plain" or self.dataset.simple:
            return msgspec.json.decode(data)
        return [msgspec.json.encode(message).decode() for message in messages_of(data)]


class TableWriter:
    """Writes one side, some rows at a time."""

    def __init__(self, made_by: DatasetsFolder, file: BinaryIO, name: str) -> None:
        self._format = made_by
        self._name = name
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._digest = hashlib.blake2b(digest_size=8)
        ipc = load_package("pyarrow.ipc", "datasets")
        self._writer: Any = ipc.new_stream(file, made_by.schema)

    def write(self, pair: Shaped) -> int:
        """Write a pair; return how many rows that are."""
        self._rows.append(self._format.columns(pair))
        for data in (pair.prompt, pair.chosen, pair.rejected):
            self._bytes += len(data)
            self._digest.update(data)
        if len(self._rows) >= _ROWS or self._bytes >= _BYTES:
            self._flush()
        return 1

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._flush()
        self._writer.close()
        self._format.close_table(self._name, self._digest.hexdigest())

    def _flush(self) -> None:
        self._writer.write_table(self._format.table(self._rows))
        self._rows, self._bytes = [], 0


def _features(datasets: Any, dataset: Dataset) -> Any:
    text, number = datasets.Value("string"), datasets.Value("float64")
    if dataset.style == "plain":
        said = text
    elif dataset.simple:
        said = [{"role": text, "content": text}]
    elif hasattr(datasets, "Json"):
        said = [datasets.Json()]
    else:
        raise UsageError(
            f"messages with calls or parts need columns of JSON, which datasets "
            f"{datasets.__version__} has not: pip install -U datasets"
        )
    features: dict[str, Any] = dict.fromkeys(_MESSAGES, said)
    features |= {"chosen_score": number, "rejected_score": number}
    features |= {"example_id": text, "turn_id": text}
    return datasets.Features(features | ({"tools": text} if dataset.tools else {}))


def _storage(arrow: Any, kind: Any) -> Any:
    """Return the type that values have before they are cast to JSON's own type."""
    if arrow.types.is_list(kind):
        return arrow.list_(_storage(arrow, kind.value_type))
    return arrow.string() if isinstance(kind, getattr(arrow, "JsonType", ())) else kind
