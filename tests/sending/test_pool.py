import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from plaudit.engines.base import Capabilities, Completion, Request, Sampling
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.sending.pool import Pool, SendPolicy
from tests.support.clock import virtual_time

ASK = Request(prompt="p", sampling=Sampling())
FAST = SendPolicy(backoff=0.001, max_backoff=0.002)
DONE = Completion(text="done")


def lost(**fields) -> CallError:
    return CallError(Cause.SERVER_ERROR, "down", **{"retryable": True} | fields)


class Engine:
    """Plays what it is told, and notes what happens."""

    uri = "test:"

    def __init__(self, *plays: Exception | Completion | Callable, **capabilities) -> None:
        self.capabilities = Capabilities(**capabilities)
        self.plays = list(plays)
        self.opened = self.running = self.most = 0
        self.times: list[float] = []

    async def identify(self) -> str:
        return "test"

    async def open(self) -> None:
        self.opened += 1
        await asyncio.sleep(0.005)

    async def close(self) -> None:
        pass

    async def complete(self, request: Request) -> Completion:
        self.times.append(time.monotonic())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
            if callable(play):
                play = await play()
            if isinstance(play, Exception):
                raise play
            return play
        finally:
            self.running -= 1


async def hang() -> Completion:
    await asyncio.sleep(60)
    return DONE


async def short() -> Completion:
    await asyncio.sleep(0.005)
    return DONE


async def test_what_may_help_is_sent_again() -> None:
    engine = Engine(lost(), lost(), DONE)
    pool = Pool(engine, FAST)
    assert await pool.complete(ASK) == DONE
    assert (pool.sent, len(engine.times)) == (3, 3)


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_the_given_number_of_attempts_is_made_and_counted(attempts: int) -> None:
    pool = Pool(Engine(lost()), SendPolicy(attempts=attempts, backoff=0.001, max_backoff=0.001))
    with pytest.raises(CallError) as caught:
        await pool.complete(ASK)
    assert (caught.value.attempts, pool.sent) == (attempts, attempts)
    assert caught.value.cause == Cause.SERVER_ERROR


@pytest.mark.parametrize(
    "error",
    [
        lost(retryable=False),
        CallError(Cause.CONTEXT_OVERFLOW, "too long"),
        ReplyError(Cause.REFUSED, "no"),
        EngineUnusableError("bad key"),
        UsageError("script"),
        ZeroDivisionError(),
    ],
)
async def test_what_cannot_help_is_not_sent_again(error: Exception) -> None:
    pool = Pool(Engine(error), FAST)
    with pytest.raises(type(error)):
        await pool.complete(ASK)
    assert pool.sent == 1


async def test_an_unusable_engine_ends_the_retries() -> None:
    pool = Pool(Engine(lost(), EngineUnusableError("gone")), FAST)
    with pytest.raises(EngineUnusableError, match="gone"):
        await pool.complete(ASK)
    assert pool.sent == 2


@virtual_time
async def test_a_request_that_waits_before_a_retry_holds_no_slot() -> None:
    engine = Engine(lost(retry_after=60), DONE)
    pool = Pool(engine, SendPolicy(concurrency=1, attempts=2))
    waiting = asyncio.create_task(pool.complete(ASK))
    await asyncio.sleep(30)
    assert pool.sent == 1
    assert await pool.complete(ASK) == DONE
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("after", [0.0, 0.06, 60.0])
@virtual_time
async def test_the_server_says_when_to_come_back(after: float) -> None:
    engine = Engine(lost(retry_after=after), DONE)
    await Pool(engine, SendPolicy(backoff=30, max_backoff=30)).complete(ASK)
    assert engine.times[1] - engine.times[0] == pytest.approx(after)


@virtual_time
async def test_waits_are_random_and_bounded() -> None:
    engines = [Engine(lost(), DONE) for _ in range(8)]
    policy = SendPolicy(backoff=0.04, max_backoff=0.04)
    await asyncio.gather(*(Pool(engine, policy).complete(ASK) for engine in engines))
    waits = [engine.times[1] - engine.times[0] for engine in engines]
    assert max(waits) <= 0.04
    assert len({round(wait, 4) for wait in waits}) > 1


@virtual_time
async def test_a_hanging_request_times_out_and_is_sent_again() -> None:
    engine = Engine(hang, DONE)
    policy = SendPolicy(timeout=0.03, backoff=0.001, max_backoff=0.001)
    assert await Pool(engine, policy).complete(ASK) == DONE
    pool = Pool(
        Engine(hang), SendPolicy(timeout=0.03, attempts=2, backoff=0.001, max_backoff=0.001)
    )
    with pytest.raises(CallError, match=r"no reply within 0\.03 s") as caught:
        await pool.complete(ASK)
    assert (caught.value.cause, caught.value.attempts) == (Cause.TIMEOUT, 2)


@virtual_time
async def test_an_engine_in_this_process_has_no_time_out() -> None:
    engine = Engine(short, remote=False)
    assert await Pool(engine, SendPolicy(timeout=0.0001)).complete(ASK) == DONE


async def test_a_time_out_of_the_engines_own_is_a_failed_call() -> None:
    for remote in (True, False):
        pool = Pool(Engine(TimeoutError(), remote=remote), SendPolicy(attempts=1))
        with pytest.raises(CallError, match="no reply") as caught:
            await pool.complete(ASK)
        assert caught.value.cause == Cause.TIMEOUT


@pytest.mark.parametrize(("asked", "able", "most"), [(3, None, 3), (8, 2, 2), (2, 8, 2)])
@virtual_time
async def test_no_more_are_in_flight_than_allowed(asked: int, able: int | None, most: int) -> None:
    engine = Engine(short, concurrency=able)
    pool = Pool(engine, SendPolicy(concurrency=asked))
    await asyncio.gather(*(pool.complete(ASK) for _ in range(12)))
    assert (engine.most, pool.sent) == (most, 12)


async def test_the_engine_is_opened_once_and_before_the_first_request() -> None:
    engine = Engine(DONE)
    pool = Pool(engine, FAST)
    assert engine.opened == 0
    await asyncio.gather(*(pool.complete(ASK) for _ in range(5)))
    await pool.complete(ASK)
    assert engine.opened == 1


async def test_an_engine_that_could_not_be_opened_is_tried_again_later() -> None:
    class Late(Engine):
        async def open(self) -> None:
            await super().open()
            if self.opened == 1:
                raise EngineUnusableError("nothing listens")

    engine = Late(DONE)
    pool = Pool(engine, FAST)
    results = await asyncio.gather(*(pool.complete(ASK) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [EngineUnusableError] * 3
    assert (engine.opened, pool.sent) == (1, 0)
    assert await pool.complete(ASK) == DONE
    assert engine.opened == 2


async def test_a_caller_that_goes_away_while_the_engine_opens_does_not_disturb_the_others() -> None:
    pool = Pool(Engine(DONE), FAST)
    first, second = (asyncio.create_task(pool.complete(ASK)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == DONE
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("policy", [{"concurrency": 0}, {"attempts": 0}])
def test_a_policy_that_sends_nothing_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Pool(Engine(DONE), SendPolicy(**policy))
