"""Rows of tables: Parquet files, and folders that `datasets.save_to_disk` wrote."""

import math
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from plaudit._util.packages import load_package
from plaudit.errors import InputError, UsageError
from plaudit.io.rows import Position, Row

_BATCH = 1_000


def parquet_rows(path: Path, position: Position) -> Generator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        InputError: it cannot be read.
        MissingDependencyError: pyarrow is not installed.
    """
    parquet = load_package("pyarrow.parquet", "parquet")
    size = os.path.getsize(path)
    try:
        file = parquet.ParquetFile(path)
    except (ValueError, OSError) as error:  # pyarrow's own errors derive from these.
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error
    with file:
        total: int = file.metadata.num_rows
        batches = file.iter_batches(batch_size=_BATCH)
        pages = (batch.to_pylist(maps_as_pydicts="lossy") for batch in batches)
        for row in table_rows(str(path), pages):
            position.bytes_read = size * (row.number + 1) // max(total, 1)
            yield row


def folder_rows(path: Path, position: Position) -> Generator[Row]:
    """Return the rows of a folder that `datasets.save_to_disk` wrote.

    Raises:
        InputError: it is no such folder, or cannot be read.
        UsageError: it holds several splits.
        MissingDependencyError: datasets is not installed.
    """
    if (path / "dataset_dict.json").is_file():
        splits = sorted(file.parent for file in path.glob("*/dataset_info.json"))
        raise UsageError(
            f"{path} holds several splits; give one of them: {', '.join(map(str, splits))}"
        )
    if not (path / "dataset_info.json").is_file():
        raise InputError(
            f"{path} is a folder without data: give a file, or a folder that "
            "datasets.save_to_disk wrote"
        )
    return _dataset_rows(path, position)


def folder_size(path: Path) -> int:
    """Return the bytes of the data in such a folder."""
    return sum(file.stat().st_size for file in path.glob("*.arrow"))


def _dataset_rows(path: Path, position: Position) -> Generator[Row]:
    datasets = load_package("datasets", "datasets")
    size = folder_size(path)
    try:
        dataset = datasets.load_from_disk(str(path)).with_format(None)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a datasets folder: {error}") from error
    total = max(len(dataset), 1)
    columns: list[str] = dataset.column_names
    pages = (
        [dict(zip(columns, row, strict=True)) for row in zip(*map(batch.get, columns), strict=True)]
        for batch in dataset.iter(batch_size=_BATCH)
    )
    for row in table_rows(str(path), pages):
        position.bytes_read = size * (row.number + 1) // total
        yield row


def table_rows(name: str, pages: Iterator[list[dict[str, Any]]], number: int = 0) -> Generator[Row]:
    """Yield the rows of a table.

    Args:
        name: of the table, for a person.
        pages: rows as dicts, some at a time; where reading them fails, the last row says so.
        number: of the first row, from 0.
    """
    while True:
        try:
            page = next(pages, None)
        except (ValueError, OSError) as error:
            problem = f"{error}: nothing after it can be read"
            yield Row(number, f"{name}, row {number + 1}", None, problem)
            return
        if page is None:
            return
        for data in page:
            yield Row(number, f"{name}, row {number + 1}", _plain(data))
            number += 1


def _plain(value: Any) -> Any:
    """Make a table's value one that JSON can hold; NaN, which stands for "missing", is None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {str(name): _plain(item) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return msgspec.to_builtins(value, enc_hook=str)
