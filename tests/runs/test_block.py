"""Judging a block of rows: one function for every way to work."""

from collections.abc import AsyncIterator

import pytest

from plaudit.io.progress import Progress
from plaudit.runs.block import judge_rows
from plaudit.types import Sample
from tests.judges.making import GOOD, sample_of, say
from tests.runs.test_cached import Store
from tests.runs.test_judging import Engine, judging_of

ROWS = [
    sample_of("feedback", {"id": str(n), "query": str(n), "answer": "a", "follow_up": "f"})
    for n in range(30)
]


async def slowly() -> AsyncIterator[Sample]:
    for row in ROWS:
        yield row


@pytest.mark.parametrize("how", ["ahead", "one by one", "async"])
async def test_every_row_gets_its_verdict_and_is_counted(how: str) -> None:
    store, bar, found = Store(), Progress("judge", enabled=False), []
    for asked_again in (False, True):
        engine = Engine(main=say(GOOD["feedback"]))
        rows = slowly() if how == "async" else ROWS
        await judge_rows(
            judging_of(engine, store=store),
            rows,
            lambda verdict, asked: found.append((verdict.id, asked.from_store)),
            progress=bar,
            ahead=how == "ahead",
        )
        assert sorted(found) == sorted((row.id, asked_again) for row in ROWS)
        assert len(engine.requests) == (0 if asked_again else 30)
        found.clear()
    assert (bar.done, bar.counts["ok"]) == (60, 60)


async def test_no_rows_are_no_verdicts() -> None:
    await judge_rows(judging_of(Engine()), [], lambda verdict, asked: None)
