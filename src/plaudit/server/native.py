"""The server's own protocol: one row, a list of rows, or a group."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from plaudit._util.ranges import SECONDS, Range, check_ranges
from plaudit.errors import InputError
from plaudit.rewarding.rows import ScoredRow
from plaudit.server.cohorts import Group
from plaudit.server.dialects.base import Dialect
from plaudit.types import Json

Body = dict[str, Json] | list[dict[str, Json]]
"""A row, rows, or a `RowBatch`."""


class RowBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows, and how they are scored."""

    rows: list[dict[str, Json]]
    group: Group | None = None
    """The rows are members of a group, and are scored against each other where the judge can."""
    deadline: Annotated[float | None, Range(0, SECONDS, above=True)] = None
    """Seconds until there is an answer; null: what the server was started with."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)


NATIVE = Dialect(
    name="native",
    title="plaudit's own",
    choices=("null", "error", "number", "group-mean"),
    deadline=110.0,
    scoring=[],
)


def read_batch(body: Any) -> RowBatch:
    """Take the rows of a body.

    Raises:
        InputError: a batch has a field that there is not.
    """
    if isinstance(body, list):
        return RowBatch(rows=body)  # pyright: ignore[reportUnknownArgumentType]
    if "rows" not in body:
        return RowBatch(rows=[body])
    try:
        return msgspec.convert(body, RowBatch)
    except msgspec.ValidationError as error:
        raise InputError(str(error)) from None


def answer_of(
    body: Any, rows: Sequence[ScoredRow], values: Sequence[float | None]
) -> ScoredRow | list[ScoredRow]:
    """Return what is answered: a row to a row, a list to all else."""
    found = [
        row if row.value == value else msgspec.structs.replace(row, value=value)
        for row, value in zip(rows, values, strict=True)
    ]
    return found[0] if isinstance(body, dict) and "rows" not in body else found
