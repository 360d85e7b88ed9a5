"""Judging a block of rows: one function for every way to work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from msgspec.structs import replace

from plaudit.engines.base import Completion, Request
from plaudit.errors import InputError, StoreError
from plaudit.io.progress import Progress
from plaudit.runs.block import judge_block, judge_rows
from plaudit.runs.judging import Judged
from plaudit.types import Sample
from tests.judges.making import GOOD, sample_of, say
from tests.runs.test_cached import Store
from tests.runs.test_judging import Engine, judging_of


class Waiting(Engine):
    """Answers as an async function does."""

    def __init__(self, answer: Callable[[Request], Awaitable[Completion]]) -> None:
        super().__init__()
        self._answer = answer

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        return await self._answer(request)


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
            lambda judged: found.extend((v.id, asked.from_store) for v, asked in judged),
            progress=bar,
            ahead=how == "ahead",
        )
        assert sorted(found) == sorted((row.id, asked_again) for row in ROWS)
        assert len(engine.requests) == (0 if asked_again else 30)
        found.clear()
    assert (bar.done, bar.counts["ok"]) == (60, 60)


async def test_no_rows_are_no_verdicts() -> None:
    await judge_rows(judging_of(Engine()), [], lambda judged: None)


async def test_a_block_of_rows_is_verdicts_in_order() -> None:
    plain = [{"id": str(n), "query": str(n), "answer": "a", "follow_up": "f"} for n in range(100)]
    session, bad = judging_of(Engine(main=say(GOOD["feedback"]))), list[tuple[int, str]]()
    with pytest.raises(InputError, match="row 100: the field 'query' is missing"):
        await judge_block(session, [*plain, {"id": "x"}])
    judged = await judge_block(
        session, [{}, *plain], first=40, on_reject=lambda n, error: bad.append((n, str(error)))
    )
    assert [(verdict.index, verdict.id) for verdict, _ in judged] == [
        (40 + n, str(n)) for n in range(100)
    ]
    assert {verdict.status for verdict, _ in judged} == {"ok"}
    assert bad == [(0, "row 0: the field 'query' is missing")]
    assert all(len(asked.requests) == 1 for _, asked in judged)
    assert await judge_block(session, []) == []


async def test_verdicts_come_in_groups_and_soon() -> None:
    groups: list[int] = []
    await judge_rows(
        judging_of(Engine(main=say(GOOD["feedback"]))),
        [replace(ROWS[n % 30], index=n) for n in range(150)],
        lambda judged: groups.append(len(judged)),
    )
    assert sum(groups) == 150
    assert max(groups) == 64

    slow, taken = asyncio.Event(), asyncio.Event()

    async def held(request: Request) -> Completion:
        if request.sample_id == "29":
            await slow.wait()
        return say(GOOD["feedback"])

    async def let_go() -> None:
        await taken.wait()
        slow.set()

    other = asyncio.create_task(let_go())
    await judge_rows(judging_of(Waiting(held)), ROWS, lambda judged: taken.set())
    await other


async def test_what_goes_wrong_with_verdicts_ends_the_run() -> None:
    def full(judged: Sequence[Judged]) -> None:
        raise StoreError("the disk is full")

    engine = Waiting(lambda _: asyncio.sleep(0.2, say(GOOD["feedback"])))
    with pytest.raises(StoreError, match="the disk is full"):
        await judge_rows(judging_of(engine, concurrency=1), ROWS, full)
    assert len(engine.requests) < len(ROWS)
