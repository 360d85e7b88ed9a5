"""Verdicts as columns of a table: a batch of `datasets.map` in, typed columns out."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from importlib import import_module
from typing import Any

from plaudit.errors import InputError, UsageError
from plaudit.judges.load import kind_of
from plaudit.types import Json, Verdict

NAMES = ("status", "value", "reward", "confidence", "cause", "message")
"""What a batch gets, each behind a prefix. A row that no sample could be taken from is `rejected`,
with the cause `bad_row`; `message` says why a row has no reward."""


class Column(list[Any]):
    """A list that tells Arrow its type, so that a batch without a single reward has columns of it.

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
    kind = kind_of(judge)
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
