"""Rows of decoded texts, as OpenRLHF, slime and AReaL hand them over."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from plaudit.rewarding.adapted import RowReward
from plaudit.rewarding.rows import Row, RowCause, ScoredRow, unscored_row
from plaudit.rewarding.texts import cut_after, without_end
from plaudit.types import Json


class NoPrompt(NamedTuple):
    """A row without a certain end of the prompt, so that its response is unknown."""

    row: Row

    @property
    def answer(self) -> ScoredRow:
        """The answer to it."""
        reason = "it is not certain where the prompt ends and the response begins"
        return unscored_row(self.row, RowCause.NO_PROMPT, reason, status="rejected")


def row_of_sample(prompt: Any, response: str, label: Json) -> dict[str, Any]:
    """Return a prompt, text or messages, what followed it and its reference as a row.

    Special tokens at the end of the response are left out; so is a reference that is null.
    """
    row = {"prompt": prompt, "completion": without_end(response)}
    return row if label is None else row | {"answer": label}


def rows_of_queries(
    queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Json]
) -> list[Row | NoPrompt]:
    """Return queries as rows; the response is what follows the prompt.

    Prompts or labels that are not as many as the queries are not read: nothing says whose they are.
    """
    count = len(queries)
    given = prompts if len(prompts) == count else [""] * count
    references = labels if len(labels) == count else [None] * count
    return [_row(*one) for one in zip(queries, given, references, strict=True)]


def _row(query: str, prompt: str, label: Json) -> Row | NoPrompt:
    response = cut_after(query, prompt)
    if response is None:
        return NoPrompt({"query": query})
    return row_of_sample(prompt, response, label)


async def score_cut(reward: RowReward, rows: Sequence[Row | NoPrompt]) -> list[ScoredRow]:
    """Score rows in their order; those without a certain response have no value."""
    found = iter(await reward.ascore([row for row in rows if not isinstance(row, NoPrompt)]))
    return [row.answer if isinstance(row, NoPrompt) else next(found) for row in rows]


def on_unit_scale(values: Iterable[float | None], low: float, high: float) -> list[float]:
    """Return values of a range on a scale from 0 to 1.

    Cut off at 0 and 1 where the range is unknown; None is 0.
    """
    span = high - low
    known = math.isfinite(span) and span > 0
    found = [0.0 if value is None else value for value in values]
    scaled = [(value - low) / span if known else value for value in found]
    return [min(1.0, max(0.0, value)) for value in scaled]
