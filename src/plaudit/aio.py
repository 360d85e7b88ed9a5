"""The only concurrency primitives: a bounded for-each, and the loop behind the sync facade."""

import asyncio
import itertools
import os
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class _BackgroundLoop:
    """An event loop in a daemon thread, which sync callers share, one a process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.loop.call_soon(started.set)
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="plaudit-loop", daemon=True
        )
        self.thread.start()
        started.wait()


_lock = threading.Lock()
_background: _BackgroundLoop | None = None


def _forget_after_fork() -> None:
    """A forked child has the parent's lock and loop object but not its thread."""
    global _background, _lock
    _lock = threading.Lock()
    _background = None


os.register_at_fork(after_in_child=_forget_after_fork)


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process's background thread, started on first use."""
    global _background
    with _lock:
        if _background is None:
            _background = _BackgroundLoop()
        return _background.loop


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from sync code.

    Works inside a running event loop (a notebook) because the coroutine runs in another thread's
    loop. A keyboard interrupt cancels the coroutine, waits for it, and is raised again.
    """
    loop = background_loop()
    if _background is not None and threading.current_thread() is _background.thread:
        coroutine.close()
        raise RuntimeError(
            "a sync plaudit call inside plaudit's own event loop; use the async form"
        )
    ended = threading.Event()
    future = asyncio.run_coroutine_threadsafe(_telling(coroutine, ended), loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        ended.wait(_PATIENCE)
        raise


_PATIENCE = 10.0
"""Seconds that an interrupted call waits for its coroutine to clean up."""


async def _telling(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()


class Once:
    """An async action that is done once, whoever asks; where it failed, it is tried again."""

    def __init__(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Name the action; nothing is done yet."""
        self._action = action
        self._task: asyncio.Task[None] | None = None
        self._done = False

    async def __call__(self) -> None:
        """Do the action, or wait for whoever does it."""
        if self._done:
            return
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            await self._action()
            self._done = True
        finally:
            self._task = None


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
    if limit < 1:
        raise ValueError(f"at least one item must be in flight, not {limit}")
    take = _taker(items)

    async def work() -> None:
        for taken in itertools.count(1):
            item = await take()
            if item is _END:
                return
            await function(cast("T", item))
            if taken % _BREATHE == 0:
                await asyncio.sleep(0)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(work())
    except BaseExceptionGroup as group_error:
        raise _first(group_error) from None


_END = object()
_BREATHE = 64
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
