import asyncio
import contextvars
import inspect
import itertools
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import pytest

from plaudit._util.aio import (
    Deadlines,
    Once,
    aside,
    for_each,
    in_thread,
    map_ordered,
    map_ordered_sync,
    together,
)
from plaudit._util.loops import run_sync, synchronous
from tests.support.clock import virtual_time
from tests.support.waiting import await_until, wait_until


async def test_no_more_items_are_in_flight_than_allowed_and_all_are_done() -> None:
    running = most = 0
    done = []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        done.append(item)

    await for_each(work, range(40), 7)
    assert most == 7
    assert sorted(done) == list(range(40))


async def test_items_are_taken_only_when_there_is_room() -> None:
    taken = 0
    started = asyncio.Event()

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> None:
        started.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(for_each(work, endless(), 5))
    await started.wait()
    await asyncio.sleep(0.01)
    assert taken == 5
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_first_error_cancels_the_others_and_is_raised_as_it_is() -> None:
    cancelled = []

    async def work(item: int) -> None:
        if item == 3:
            await asyncio.sleep(0.005)
            raise KeyError("three")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(KeyError, match="three") as caught:
        await for_each(work, range(5), 5)
    assert sorted(cancelled) == [0, 1, 2, 4]
    assert caught.value.__suppress_context__


async def test_an_error_of_the_input_is_raised_as_it_is() -> None:
    def items():
        yield 1
        raise OSError("disk")

    async def stream():
        yield 1
        raise OSError("disk")

    for source in (items(), stream()):
        with pytest.raises(OSError, match="disk"):
            await for_each(asyncio.sleep, source, 3)


async def test_async_input_is_read_by_one_at_a_time() -> None:
    reading = False
    done = []

    async def stream():
        nonlocal reading
        for item in range(20):
            assert not reading
            reading = True
            await asyncio.sleep(0)
            reading = False
            yield item

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        done.append(item)

    await for_each(work, stream(), 6)
    assert sorted(done) == list(range(20))


async def test_no_input_is_no_work() -> None:
    await for_each(asyncio.sleep, [], 3)


@pytest.mark.parametrize("limit", [0, -1])
async def test_no_room_is_not_silently_no_work(limit: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        await for_each(asyncio.sleep, [0], limit)


async def test_work_that_never_waits_lets_others_run() -> None:
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    async def work(item: int) -> None:
        pass

    task = asyncio.create_task(heart())
    await for_each(work, range(10_000), 2)
    task.cancel()
    assert beats > 50


# Ordered maps.

Collect = Callable[[list[int], Callable[[int], Any], Iterable[int], int], None]


def collect_async(got: list[int], function, items, limit: int) -> None:
    async def collect() -> None:
        async for result in map_ordered(function, items, limit):
            got.append(result)

    asyncio.run(collect())


def collect_sync(got: list[int], function, items, limit: int) -> None:
    for result in map_ordered_sync(function, items, limit):
        got.append(result)


both = pytest.mark.parametrize("collect", [collect_async, collect_sync])


@both
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_results_come_in_the_order_of_the_items(collect: Collect, limit: int) -> None:
    got: list[int] = []
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002 if item % 5 == 0 else 0)
        running -= 1
        return -item

    collect(got, work, range(50), limit)
    assert got == [-n for n in range(50)]
    assert min(limit, 2) <= most <= limit


@both
def test_an_ordered_map_of_nothing_and_of_work_that_never_waits(collect: Collect) -> None:
    got: list[int] = []

    async def work(item: int) -> int:
        return item

    collect(got, work, [], 3)
    assert got == []
    collect(got, work, range(1_000), 3)
    assert got == list(range(1_000))
    with pytest.raises(ValueError, match="at least one"):
        collect(got, work, range(3), 0)


@both
@pytest.mark.parametrize("at", [0, 3, 9])
def test_an_error_is_raised_after_the_results_before_it(collect: Collect, at: int) -> None:
    def items():
        yield from range(at)
        raise OSError("disk")

    async def work(item: int) -> int:
        await asyncio.sleep(0.001 * (10 - item))
        return item

    async def fail(item: int) -> int:
        if item == at:
            raise OSError("disk")
        return await work(item)

    for function, source in ((work, items()), (fail, range(10))):
        got: list[int] = []
        with pytest.raises(OSError, match="disk"):
            collect(got, function, source, 5)
        assert got == list(range(at))


@virtual_time
async def test_a_hanging_first_item_stops_the_reading_of_the_input() -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> int:
        await asyncio.sleep(60 if item == 1 else 0)
        return item

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(50):
            async for _ in map_ordered(work, endless(), 6):
                pass
    assert taken == 6


@virtual_time
async def test_the_input_is_read_no_faster_than_results_are_taken() -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(item: int) -> int:
        return item

    async with aclosing(map_ordered(work, endless(), 4)) as results:
        for done in range(1, 20):
            assert await anext(results) == done
            await asyncio.sleep(0.001)
            assert taken == done + 3
    sync = map_ordered_sync(work, endless(), 4)
    taken = 0
    for done in range(1, 20):
        assert next(sync) == done
        assert done <= taken <= done + 3
    sync.close()


async def test_a_result_does_not_wait_for_a_slow_async_input() -> None:
    async def slowly() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    async def work(item: int) -> int:
        await asyncio.sleep(0.001)
        return item

    async with asyncio.timeout(60), aclosing(map_ordered(work, slowly(), 4)) as results:
        assert await anext(results) == 1


async def test_ending_an_ordered_map_early_ends_its_work() -> None:
    started, ended = [], []

    async def work(item: int) -> int:
        started.append(item)
        try:
            await asyncio.sleep(60 if item else 0)
        finally:
            await asyncio.sleep(0.001)
            ended.append(item)
        return item

    async for result in map_ordered(work, itertools.count(), 5):
        assert result == 0
        break
    await await_until(lambda: len(asyncio.all_tasks()) == 1, "the end of the work")
    assert sorted(ended) == sorted(started)
    assert len(started) in (5, 6)
    started.clear()
    ended.clear()
    for result in map_ordered_sync(work, itertools.count(), 5):
        assert result == 0
        break
    assert sorted(ended) == sorted(started) == list(range(len(started)))


@virtual_time
async def test_cancelling_the_consumer_ends_the_work() -> None:
    ended = []

    async def work(item: int) -> int:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(item)
        return item

    async def consume() -> None:
        async for _ in map_ordered(work, itertools.count(), 3):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]


def test_the_sync_map_reads_its_input_in_the_callers_thread() -> None:
    here = threading.get_ident()
    seen = set()

    def items():
        seen.add(threading.get_ident())
        yield from range(3)

    async def work(item: int) -> int:
        assert threading.get_ident() != here
        return item

    assert list(map_ordered_sync(work, items(), 2)) == [0, 1, 2]
    assert seen == {here}


def test_a_sync_map_that_is_left_open_ends_with_the_interpreter_or_a_fork() -> None:
    out = run_script("""
        import asyncio, gc, itertools, os
        from plaudit._util.aio import map_ordered_sync
        async def work(item):
            await asyncio.sleep(60 if item else 0)
            return item
        left = map_ordered_sync(work, itertools.count(), 5)
        print(next(left), flush=True)
        child = os.fork()
        if child == 0:
            left.close()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert out.split() == ["0", "0"]


def test_a_sync_map_inside_the_own_loop_is_refused() -> None:
    async def inner() -> None:
        list(map_ordered_sync(asyncio.sleep, [0], 1))

    with pytest.raises(RuntimeError, match="use the async form"):
        run_sync(inner())


# Once.


async def test_what_is_awaited_together_runs_at_once_and_comes_in_order() -> None:
    ended: list[int] = []
    go = [asyncio.Event() for _ in range(4)]

    async def work(number: int) -> str:
        if number < 3:
            await go[number + 1].wait()  # the last one ends first
        ended.append(number)
        go[number].set()
        if number == 1:
            raise LookupError("one")
        return str(number)

    zero, one, *rest = await together([work(n) for n in range(4)], (LookupError,))
    assert (zero, rest) == ("0", ["2", "3"])
    assert isinstance(one, LookupError)
    assert ended == [3, 2, 1, 0]


@pytest.mark.parametrize("wrong", [0, 2])
async def test_an_exception_that_is_no_outcome_cancels_what_runs_together(wrong: int) -> None:
    cancelled = []

    async def work(number: int) -> None:
        if number == wrong:
            await asyncio.sleep(0)
            raise ValueError("wrong")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="wrong"):
        await together([work(n) for n in range(3)], (LookupError,))
    assert sorted(cancelled) == [n for n in range(3) if n != wrong]


async def test_cancelling_who_awaits_together_cancels_all() -> None:
    cancelled = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(number)

    task = asyncio.create_task(together([work(n) for n in range(3)], (LookupError,)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(cancelled) == [0, 1, 2]


async def test_an_action_is_done_once_for_all_who_ask() -> None:
    count = 0

    async def action() -> None:
        nonlocal count
        count += 1
        await asyncio.sleep(0.002)

    once = Once(action)
    await asyncio.gather(once(), once(), once())
    await once()
    assert count == 1


async def test_an_action_that_failed_fails_for_all_who_waited_and_is_tried_again() -> None:
    outcomes = [ValueError("first"), None]

    async def action() -> None:
        await asyncio.sleep(0.002)
        if error := outcomes.pop(0):
            raise error

    once = Once(action)
    results = await asyncio.gather(once(), once(), return_exceptions=True)
    assert [str(result) for result in results] == ["first", "first"]
    await once()
    await once()
    assert outcomes == []


async def test_who_goes_away_does_not_stop_the_action() -> None:
    done = asyncio.Event()

    async def action() -> None:
        await asyncio.sleep(0.005)
        done.set()

    once = Once(action)
    first = asyncio.create_task(once())
    await asyncio.sleep(0)
    first.cancel()
    await once()
    assert done.is_set()


# The sync facade.


async def answer() -> int:
    await asyncio.sleep(0.001)
    return 42


async def test_a_sync_call_works_inside_a_running_event_loop() -> None:
    assert run_sync(answer()) == 42


def test_a_sync_call_works_without_one_and_from_threads() -> None:
    assert run_sync(answer()) == 42
    found = []
    threads = [threading.Thread(target=lambda: found.append(run_sync(answer()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [42] * 8


def test_an_error_comes_out_as_it_is() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        run_sync(fail())


def test_a_sync_call_inside_the_own_loop_is_refused_and_does_not_hang() -> None:
    async def inner() -> None:
        run_sync(answer())

    with pytest.raises(RuntimeError, match="use the async form"):
        run_sync(inner())


def run_script(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(source)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_sync_call_works_after_a_fork() -> None:
    out = run_script("""
        import asyncio, os
        from plaudit._util.loops import run_sync
        async def answer(): return 42
        assert run_sync(answer()) == 42
        child = os.fork()
        if child == 0:
            os._exit(0 if run_sync(answer()) == 42 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(run_sync(answer()))
    """)
    assert out.split() == ["42"]


def test_an_interrupt_cancels_the_work_and_waits_for_it() -> None:
    out = run_script("""
        import asyncio, os, signal, threading
        from plaudit._util.loops import run_sync
        async def work():
            try:
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
                await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0.1)
                print("cleaned up", flush=True)
        try:
            run_sync(work())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    assert out.splitlines() == ["cleaned up", "interrupted"]


def test_importing_starts_no_thread() -> None:
    out = run_script("""
        import threading
        import plaudit
        print(threading.active_count())
    """)
    assert out.split() == ["1"]


# ---------------------------------------------------------------- time limits


@virtual_time
async def test_what_takes_too_long_is_cancelled_and_the_task_goes_on() -> None:
    deadlines = Deadlines(0.1)
    began = asyncio.get_running_loop().time()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await deadlines.limit(asyncio.sleep(30))
    took = asyncio.get_running_loop().time() - began
    assert 0.2 <= took <= 0.22
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert await deadlines.limit(asyncio.sleep(0.01, "in time")) == "in time"


@virtual_time
async def test_limits_of_many_tasks_are_their_own() -> None:
    deadlines = Deadlines(0.2)

    async def work(seconds: float) -> str:
        try:
            return await deadlines.limit(asyncio.sleep(seconds, "done"))
        except TimeoutError:
            return "late"

    found = await asyncio.gather(*(work(s) for s in (0.0, 9.0, 0.01, 9.0, 0.02)))
    assert found == ["done", "late", "done", "late", "done"]


@virtual_time
async def test_a_task_that_is_cancelled_by_others_is_no_time_out() -> None:
    deadlines = Deadlines(5)
    task = asyncio.create_task(deadlines.limit(asyncio.sleep(30)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual_time
async def test_a_task_that_is_cancelled_at_its_time_out_too_is_cancelled() -> None:
    deadlines = Deadlines(0.05)

    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            task.cancel()  # as a task group does whose other task failed meanwhile

    task = asyncio.create_task(deadlines.limit(stubborn()))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_passes_through_a_limit() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    deadlines = Deadlines(1)
    with pytest.raises(ZeroDivisionError):
        await deadlines.limit(fail())
    assert await deadlines.limit(asyncio.sleep(0, 5)) == 5


async def test_an_action_that_is_reset_is_done_again() -> None:
    done: list[int] = []

    async def act() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    once = Once(act)
    await once()
    await once.reset()
    assert (once.done, len(done)) == (False, 1)
    waiting = asyncio.create_task(once())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await once.reset()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await once()
    assert (once.done, len(done)) == (True, 2)


# ---------------------------------------------------------------- blocking calls

PAGE: contextvars.ContextVar[int] = contextvars.ContextVar("PAGE", default=0)


async def test_a_blocking_call_runs_aside_with_the_callers_context() -> None:
    def work() -> tuple[bool, str, int]:
        thread = threading.current_thread()
        return thread.daemon, thread.name, PAGE.get()

    token = PAGE.set(7)
    assert await aside(work) == (True, "plaudit-aside-0", 7)
    PAGE.reset(token)
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 // 0)


async def test_a_blocking_call_can_be_given_up() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(30)
        ended.set()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(aside(work), 0.05)
    assert not ended.is_set()
    release.set()
    assert await asyncio.to_thread(ended.wait, 60)


def test_each_blocking_call_has_a_thread_of_its_own_which_ends() -> None:
    release = threading.Event()
    calls = [in_thread(lambda: release.wait(30)) for _ in range(5)]
    release.set()
    assert [call.result(60) for call in calls] == [True] * 5
    wait_until(lambda: not any(t.name.startswith("plaudit-aside") for t in threading.enumerate()))


async def _double(number: int, *, plus: int = 0) -> int:
    """Double it."""
    return 2 * number + plus


def test_the_sync_form_of_a_function_takes_and_tells_the_same_arguments() -> None:
    double = synchronous(_double, "double")
    assert double(3, plus=1) == 7
    assert (double.__name__, double.__doc__) == ("double", "Double it.")
    assert list(inspect.signature(double).parameters) == ["number", "plus"]


async def test_the_sync_form_works_in_a_running_loop() -> None:
    assert synchronous(_double, "double")(2) == 4


def test_no_callback_runs_when_the_interpreter_has_ended() -> None:
    script = """
import asyncio, atexit

ticks = []

def look():  # Runs after plaudit's own hook, since it is registered before.
    before = len(ticks)
    for _ in range(10_000):
        pass
    print(before > 0, len(ticks) == before)

atexit.register(look)

from plaudit._util.loops import run_sync

async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0)

async def begin():
    asyncio.create_task(tick())

run_sync(begin())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")
