"""What a dialect is: the paths, forms and limits of one peer's protocol."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from plaudit.rewarding.rows import Row, RowCause, ScoredRow, unscored_row
from plaudit.rewarding.unscored import Word
from plaudit.types import Json


class NoPrompt(NamedTuple):
    """A row without a certain end of the prompt, so that its response is unknown."""

    row: Row

    @property
    def answer(self) -> ScoredRow:
        """The answer to it."""
        reason = "it is not certain where the prompt ends and the response begins"
        return unscored_row(self.row, RowCause.NO_PROMPT, reason, status="rejected")


class Answers(NamedTuple):
    """What is known of the rows of a request when it is answered."""

    rows: Sequence[ScoredRow]
    values: Sequence[float | None]
    """The rows' values, with what was chosen in place of those that do not exist."""
    name: str
    """Of the reward."""
    low: float
    high: float
    """Range of the values."""

    @property
    def unscored(self) -> list[float]:
        """1 for each row without a value, else 0."""
        return [float(row.value is None) for row in self.rows]

    def scaled(self) -> list[float]:
        """Return the values on a scale from 0 to 1, cut off there where their range is unknown."""
        span = self.high - self.low
        known = math.isfinite(span) and span > 0
        found = [0.0 if value is None else value for value in self.values]
        scaled = [(value - self.low) / span if known else value for value in found]
        return [min(1.0, max(0.0, value)) for value in scaled]


class ScoringRoute(NamedTuple):
    """A path under which rows are scored."""

    path: str
    """Behind the dialect's own, such as `/verify`; or the whole of it."""
    form: Any
    """The type of a request's body, as it is decoded."""
    reply: Any
    """The type of the answer, for the description of the API."""
    rows: Callable[[Any], Sequence[Row | NoPrompt]]
    """Takes the rows from a body."""
    answer: Callable[[Any, Answers], Json]
    """Makes the answer to a body."""
    described: Any = None
    """The type of a body for the description of the API; None: `form`."""


class PlainRoute(NamedTuple):
    """A path under which nothing is scored."""

    path: str
    form: Any
    """None: it is asked by GET, without a body."""
    reply: Any
    answer: Callable[[Any], Json]


class Dialect(NamedTuple):
    """One peer's protocol."""

    name: str
    title: str
    """What it is for, in a line."""
    choices: tuple[Word, ...]
    """What can stand for a value that does not exist."""
    deadline: float
    """Seconds within which it is answered, under the time-out of the peer."""
    scoring: Sequence[ScoringRoute]
    plain: Sequence[PlainRoute] = ()


def column(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return a row without columns that are null."""
    return {name: value for name, value in row.items() if value is not None}
