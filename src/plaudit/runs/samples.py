"""Samples from the rows that a program gives: dicts or samples, one after the other."""

import itertools
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from plaudit.errors import InputError, UsageError
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.judges.rows import plain_row, plain_sample
from plaudit.types import Json, Sample

Row = Mapping[str, Json] | Sample
"""What is judged: a plain dict in the form of an input row, or a sample."""

OnReject = Callable[[int, InputError], object]
"""Called with a malformed row: its number, from 0, and what is wrong with it."""


class Samples:
    """Takes the samples from rows, one row after another."""

    def __init__(
        self,
        judge: type[BaseJudge] | BaseJudge | PanelJudge,
        on_reject: OnReject | None = None,
        first: int = 0,
    ) -> None:
        """Begin.

        Args:
            judge: reads the rows.
            on_reject: called with each malformed row, which is then left out; None: the first one
                raises.
            first: index of the first sample.
        """
        self._judge = judge
        self._on_reject = on_reject
        self._number = itertools.count()
        self._index = first

    def of(self, rows: Iterable[Row]) -> Iterator[Sample]:
        """Yield the samples of rows.

        Raises:
            InputError: a row is malformed; the message names its number, from 0.
            UsageError: the rows are an async iterable.
        """
        if isinstance(rows, AsyncIterable):
            raise UsageError("rows of an async iterable need astream or ajudge_batch")
        return itertools.chain.from_iterable(map(self._next, rows))

    def of_any(
        self, rows: Iterable[Row] | AsyncIterable[Row]
    ) -> Iterator[Sample] | AsyncIterable[Sample]:
        """Yield the samples of rows, of an async iterable too."""
        return self._of_async(rows) if isinstance(rows, AsyncIterable) else self.of(rows)

    async def _of_async(self, rows: AsyncIterable[Row]) -> AsyncGenerator[Sample]:
        async for row in rows:
            for sample in self._next(row):
                yield sample

    def _next(self, row: Row) -> list[Sample]:
        """Take the samples of the next row; an error names its number."""
        number = next(self._number)
        try:
            samples = self.take(row)
        except InputError as error:
            named = InputError(f"row {number}: {error}")
            if self._on_reject is None:
                raise named from None
            self._on_reject(number, named)
            return []
        self._index += len(samples)
        return samples

    def take(self, row: Row) -> list[Sample]:
        """Take the samples of one row."""
        if isinstance(row, Sample):
            return [msgspec.structs.replace(plain_sample(row), index=self._index)]
        if not isinstance(cast(Any, row), Mapping):
            raise InputError(f"not a dict, but of type {type(row).__name__}")
        return self._judge.read_row(plain_row(row), self._index)

    def only(self, row: Row) -> Sample | InputError:
        """Return the one sample of a row, or why there is none."""
        try:
            samples = self.take(row)
        except InputError as error:
            return error
        if len(samples) != 1:
            return InputError(f"the row holds {len(samples)} samples, where a row has one verdict")
        self._index += 1
        return samples[0]
