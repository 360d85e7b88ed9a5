"""The only concurrency primitives: a bounded map, and the loop behind the sync facade."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


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
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


async def bounded_map(
    function: Callable[[T], Awaitable[R]], items: Iterable[T] | AsyncIterator[T], limit: int
) -> AsyncIterator[R]:
    """Yield `function(item)` for each item as it finishes, with at most `limit` in flight.

    Items are taken only when there is room, so an endless or huge input costs no memory. The first
    exception cancels what is in flight and is raised.

    Args:
        function: async function of one item.
        items: any iterable or async iterator.
        limit: most items in flight, at least 1.
    """
    pending: set[asyncio.Task[R]] = set()

    async def call(item: T) -> R:
        return await function(item)

    try:
        async for item in _as_async(items):
            pending.add(asyncio.create_task(call(item)))
            if len(pending) >= limit:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _as_async(items: Iterable[T] | AsyncIterator[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterator):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
