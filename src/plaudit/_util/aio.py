"""The only concurrency primitives: bounded for-each and maps, deadlines, blocking calls aside."""

import asyncio
import contextvars
import itertools
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
)
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar, cast

from plaudit._util.loops import background_loop, refuse_inside, run_last
from plaudit._util.workers import Workers

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E", bound=Exception)


class Once:
    """An async action that is done once for all callers; where it failed, it is tried again."""

    def __init__(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Name the action; nothing is done yet."""
        self._action = action
        self._task: asyncio.Task[None] | None = None
        self.done = False
        """Whether it has been done."""

    async def __call__(self) -> None:
        """Do the action, or wait for the caller that does it."""
        if self.done:
            return
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        await asyncio.shield(self._task)

    async def reset(self) -> None:
        """Have the next caller do it again; where it is under way it is cancelled first."""
        if self._task is not None:
            await _cancel([self._task])
        self.done = False

    async def _run(self) -> None:
        try:
            await self._action()
            self.done = True
        finally:
            self._task = None


def in_thread(function: Callable[[], T]) -> Future[T]:
    """Begin a blocking call in a daemon thread of its own, with the caller's context variables."""
    workers = Workers(1, "plaudit-aside")
    future = workers.submit(partial(contextvars.copy_context().run, function))
    workers.stop()
    return future


async def aside(function: Callable[[], T]) -> T:
    """Call a blocking function in a thread that neither the loop nor the exit waits for.

    Cancelling gives the call up; its thread goes on until the function returns.
    """
    return await asyncio.wrap_future(in_thread(function))


class Deadlines:
    """A time limit for many short operations, at a tenth of the cost of `asyncio.timeout`.

    One timer looks after all of them, so that each may take up to a twentieth longer.
    """

    def __init__(self, seconds: float) -> None:
        """Set the limit."""
        self._seconds = seconds
        self._running: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def limit(self, awaitable: Awaitable[T]) -> T:
        """Await something; a task may have one thing under a limit at a time.

        Raises:
            TimeoutError: it took too long, and was cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = time.monotonic() + self._seconds
        if self._timer is None:
            self._look_later()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task in self._late and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._running[task]
            self._late.discard(task)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds / 20, self._look)

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        for task, end in self._running.items():
            if end <= now and task not in self._late:
                self._late.add(task)
                task.cancel()
        if self._running:
            self._look_later()


async def run_workers(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Await `work()` so many times at once; the first exception cancels the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(work())
    except BaseExceptionGroup as group_error:
        raise _first(group_error) from None


async def for_each(
    function: Callable[[T], Awaitable[object]], items: Iterable[T] | AsyncIterable[T], limit: int
) -> None:
    """Await `function(item)` for every item, with at most `limit` in flight.

    An item is taken only when there is room, so an endless or huge input costs no memory. The first
    exception cancels what is in flight and is raised.

    Args:
        function: async function of one item; what it returns is dropped.
        items: any iterable or async iterable; it is never entered twice at a time.
        limit: most items in flight, at least 1.
    """
    _check_limit(limit)
    take = _taker(items)

    async def work() -> None:
        for taken in itertools.count(1):
            item = await take()
            if item is _END:
                return
            await function(cast("T", item))
            if taken % BREATHE == 0:
                await asyncio.sleep(0)

    await run_workers(work, limit)


async def together(
    coroutines: Iterable[Coroutine[Any, Any, R]], outcomes: tuple[type[E], ...]
) -> list[R | E]:
    """Await several coroutines at once; what each gave comes in their order.

    Args:
        coroutines: at least one; the first is awaited without a task of its own.
        outcomes: exceptions that are an outcome like any other. Another one cancels the rest, and
            is raised.
    """

    async def settle(coroutine: Coroutine[Any, Any, R]) -> R | E:
        try:
            return await coroutine
        except outcomes as outcome:
            return outcome

    first, *rest = coroutines
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(settle(coroutine)) for coroutine in rest]
            done = [await settle(first)]
    except BaseExceptionGroup as group_error:
        raise _first(group_error) from None
    return done + [task.result() for task in tasks]


async def map_ordered(
    function: Callable[[T], Coroutine[Any, Any, R]],
    items: Iterable[T] | AsyncIterable[T],
    limit: int,
) -> AsyncGenerator[R]:
    """Yield `function(item)` for every item, in the order of the items, several in flight.

    At most `limit` items are taken whose results the consumer has not done with, so an endless
    input, a slow consumer or a first item that hangs cost no memory. An exception of the input or
    of the function is raised where its result would have come, after those before it. Ending early
    cancels what is in flight and waits for it; `contextlib.aclosing` makes that prompt.

    Args:
        function: async function of one item.
        items: any iterable or async iterable; it is never entered twice at a time.
        limit: most items taken and not done with, at least 1.
    """
    _check_limit(limit)
    take, room = _taker(items), asyncio.Semaphore(limit)
    started: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()

    async def feed() -> None:
        try:
            while await room.acquire() and (item := await take()) is not _END:
                started.put_nowait(asyncio.create_task(function(cast("T", item))))
        finally:
            started.put_nowait(None)

    feeder, task = asyncio.create_task(feed()), None
    try:
        while (task := await started.get()) is not None:
            yield await task
            room.release()
        await feeder
    finally:
        await _cancel([feeder])
        waiting = [task, *(started.get_nowait() for _ in range(started.qsize()))]
        await _cancel([task for task in waiting if task is not None])


def map_ordered_sync(
    function: Callable[[T], Coroutine[Any, Any, R]], items: Iterable[T], limit: int
) -> Generator[R]:
    """Yield what `map_ordered` yields, to sync code; the function runs in the background loop.

    The input is read in the caller's thread while it asks for a result: one item for each result,
    and more while the next result is not there and there is room.

    Raises:
        RuntimeError: it was called inside plaudit's own event loop.
    """
    _check_limit(limit)
    loop = background_loop()
    refuse_inside()
    running: set[asyncio.Task[Any]] = set()
    ahead: deque[Future[R]] = deque()

    async def call(item: T) -> R:
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        running.add(task)
        try:
            return await function(item)
        finally:
            running.discard(task)

    def begin() -> Generator[Future[R]]:
        try:
            for item in items:
                yield asyncio.run_coroutine_threadsafe(call(item), loop)
        except Exception as error:  # The input may raise anything; its turn comes later.
            failed: Future[R] = Future()
            failed.set_exception(error)
            yield failed

    try:
        for future in begin():
            ahead.append(future)
            if len(ahead) == limit or ahead[0].done():
                yield ahead[0].result()
                ahead.popleft()
        while ahead:
            yield ahead[0].result()
            ahead.popleft()
    finally:
        if ahead:
            run_last(loop, lambda: _cancel(running))


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended; what they raise is dropped."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"at least one item must be in flight, not {limit}")


_END = object()
BREATHE = 64
"""Items that one worker may finish without waiting before others get their turn."""


def _taker(items: Iterable[T] | AsyncIterable[T]) -> Callable[[], Awaitable[T | object]]:
    if not isinstance(items, AsyncIterable):
        iterator = iter(items)

        async def take() -> T | object:
            return next(iterator, _END)

        return take

    stream, lock = aiter(items), asyncio.Lock()

    async def take_async() -> T | object:
        async with lock:
            return await anext(stream, _END)

    return take_async


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return error  # pyright: ignore[reportUnknownVariableType]
