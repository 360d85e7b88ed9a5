"""The queue: equal rows once, deadlines, clients that give up, engines that answer nothing."""

import asyncio
import math
from collections.abc import Sequence

import pytest

from plaudit.errors import EngineUnusableError
from plaudit.judge import Judge
from plaudit.rewarding.rows import Row, ScoredRow, row_id
from plaudit.server.desk import Desk, DeskLimits, QueueFullError

A, B, C = {"x": "a"}, {"x": "b"}, {"x": "c"}


class Gated:
    """Scores a row once its gate is open; the value is how often it was scored."""

    low, high = -math.inf, math.inf
    keeps_replies = False
    judges: Sequence[Judge] = ()

    def __init__(self, *, is_open: bool = False) -> None:
        self.gate = asyncio.Event()
        self.asked: list[Row] = []
        self.errors: list[Exception] = []
        self.status = "ok"
        if is_open:
            self.gate.set()

    def score_now(self, row: Row) -> ScoredRow | None:
        return None

    async def score(self, rows: Sequence[Row]) -> list[ScoredRow]:
        self.asked += rows
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        value = float(self.asked.count(rows[0])) if self.status == "ok" else None
        return [ScoredRow(value=value, status=self.status, id=row_id(r)) for r in rows]

    async def close(self) -> None:
        pass


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_equal_rows_are_scored_once() -> None:
    scorer = Gated()
    desk = Desk(scorer)
    asked = [asyncio.create_task(desk.score(rows, 60)) for rows in ([A, B, A], [B, C])]
    await settled()
    assert desk.rows == 3
    scorer.gate.set()
    first, second = await asyncio.gather(*asked)
    assert sorted(row["x"] for row in scorer.asked) == ["a", "b", "c"]
    assert [row.value for row in (*first, *second)] == [1.0] * 5
    assert first[0] is first[2] and first[1] is second[0]
    assert (desk.rows, desk.shared) == (0, 2)


async def test_equal_rows_of_later_requests_are_scored_again() -> None:
    desk = Desk(Gated(is_open=True))
    assert [(await desk.score([A], 60))[0].value for _ in range(2)] == [1.0, 2.0]


async def test_no_answer_in_time_is_no_value_and_the_work_goes_on() -> None:
    scorer = Gated()
    desk = Desk(scorer)
    (late,) = await desk.score([A], 0.01)
    assert (late.value, late.status, late.cause) == (None, "failed", "deadline")
    scorer.gate.set()
    await settled()
    (again,) = await desk.score([A], 60)  # What was finished meanwhile is the answer.
    assert (again.value, len(scorer.asked)) == (1.0, 1)


async def test_a_client_that_is_gone_frees_its_place_where_nothing_is_begun() -> None:
    scorer = Gated()
    desk = Desk(scorer, DeskLimits(at_once=1))
    asked = [asyncio.create_task(desk.score([row], 60)) for row in (A, B, C)]
    await settled()
    asked[1].cancel()
    await asyncio.gather(asked[1], return_exceptions=True)
    await asyncio.sleep(0.01)
    assert desk.rows == 2
    scorer.gate.set()
    await asyncio.gather(asked[0], asked[2])
    assert scorer.asked == [A, C]


async def test_a_client_that_comes_back_gets_what_was_begun_for_it() -> None:
    scorer = Gated()
    desk = Desk(scorer)
    first = asyncio.create_task(desk.score([A], 60))
    await settled()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = asyncio.create_task(desk.score([A], 60))
    await settled()
    scorer.gate.set()
    assert (await again)[0].value == 1.0
    assert scorer.asked == [A]


async def test_what_nobody_waits_for_ends_after_a_while() -> None:
    scorer = Gated()
    desk = Desk(scorer, DeskLimits(linger=0.01))
    await desk.score([A], 0.01)
    await asyncio.sleep(0.05)
    assert (desk.rows, desk.running) == (0, 0)


async def test_a_failure_is_not_kept_for_later() -> None:
    scorer = Gated()
    scorer.status = "failed"
    desk = Desk(scorer)
    await desk.score([A], 0.01)
    scorer.gate.set()
    await settled()
    await desk.score([A], 60)
    assert scorer.asked == [A, A]


async def test_a_full_queue_takes_all_rows_of_a_request_or_none() -> None:
    scorer = Gated()
    desk = Desk(scorer, DeskLimits(waiting=2))
    first = asyncio.create_task(desk.score([A], 60))
    await settled()
    with pytest.raises(QueueFullError, match="1 rows wait"):
        await desk.score([B, C], 60)
    assert desk.rows == 1
    same = asyncio.create_task(desk.score([A, B, B], 60))  # Needs one more place.
    await settled()
    scorer.gate.set()
    assert len(await first) + len(await same) == 4


async def test_rows_wait_for_an_engine_that_answers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plaudit.server.desk.PAUSE_S", 0.01)
    scorer = Gated(is_open=True)
    scorer.errors = [EngineUnusableError("nothing listens", outage=True)] * 3
    desk = Desk(scorer)
    (row,) = await desk.score([A], 60)
    assert row.value == 4.0
    assert desk.trouble == "" and not desk.down
    scorer.errors = [EngineUnusableError("nothing listens", outage=True)] * 10_000
    (row,) = await desk.score([B], 0.05)
    assert (row.value, row.cause, row.reason) == (None, "engine_down", "nothing listens")
    assert desk.down
    await desk.close()
    assert desk.rows == 0


async def test_a_defect_is_a_row_without_a_value() -> None:
    scorer = Gated(is_open=True)
    scorer.errors = [RuntimeError("secret text of a row")]
    (row,) = await Desk(scorer).score([A], 60)
    assert (row.value, row.status, row.cause) == (None, "failed", "internal")
    assert "secret" not in row.reason
