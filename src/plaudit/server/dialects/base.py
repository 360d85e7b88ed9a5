"""What a dialect is: the paths, forms and limits of one peer's protocol."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from plaudit.rewarding.queries import NoPrompt
from plaudit.rewarding.rows import Row, ScoredRow
from plaudit.rewarding.unscored import Word
from plaudit.types import Json


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
