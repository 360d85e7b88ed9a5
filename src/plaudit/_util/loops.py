"""Event loops: new ones, and the loop of a background thread that sync callers share."""

import asyncio
import atexit
import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

from plaudit._util.forks import finished_before_a_fork

P = ParamSpec("P")
T = TypeVar("T")


@finished_before_a_fork()
def import_loops() -> ModuleType:
    """Import what event loops need; return uvloop, or asyncio where uvloop is not installed."""
    importlib.import_module("concurrent.futures.thread")  # asyncio imports it with the first call.
    try:
        return importlib.import_module("uvloop")
    except ImportError:  # There is none for Windows and PyPy.
        return asyncio


def new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop: uvloop's, which is faster, where it is installed."""
    return import_loops().new_event_loop()


def drop_closed(by_loop: dict[asyncio.AbstractEventLoop, Any]) -> None:
    """Forget what is kept for event loops that are closed."""
    for loop in [loop for loop in list(by_loop) if loop.is_closed()]:
        by_loop.pop(loop, None)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own, like `asyncio.run`."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)


class _BackgroundLoop:
    """An event loop in a daemon thread, which sync callers share, one a process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = new_loop()
        started = threading.Event()
        self.loop.call_soon(started.set)
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="plaudit-loop", daemon=True
        )
        self.thread.start()
        started.wait()


_PARK_S = 1.0
"""Most seconds that the exit waits for a callback that runs just then."""

_lock = threading.Lock()
_background: _BackgroundLoop | None = None
_inherited: list[_BackgroundLoop | None] = []


def _forget_after_fork() -> None:
    """A forked child has the parent's lock and loop object but not its thread."""
    global _background, _lock
    _lock = threading.Lock()
    # Never collected: closing it would take the parent's connections out of a shared event queue.
    _inherited.append(_background)
    _background = None


os.register_at_fork(after_in_child=_forget_after_fork)


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process's background thread, started on first use."""
    global _background
    with _lock:
        if _background is None:
            _background = _BackgroundLoop()
        return _background.loop


def _park_at_exit() -> None:
    """Let the loop's thread run nothing more, since callbacks crash an interpreter that has ended.

    A caller that needs a loop even later gets another one.
    """
    global _background
    with _lock:
        background, _background = _background, None
    if background is None or not background.thread.is_alive():
        return
    parked = threading.Event()

    def park() -> None:
        parked.set()
        threading.Event().wait()

    background.loop.call_soon_threadsafe(park)
    parked.wait(_PARK_S)


atexit.register(_park_at_exit)


def refuse_inside() -> None:
    """Refuse a sync call inside the background loop, which could not go on meanwhile.

    Raises:
        RuntimeError: the caller is the background thread.
    """
    if _background is not None and threading.current_thread() is _background.thread:
        raise RuntimeError(
            "a sync plaudit call inside plaudit's own event loop; use the async form"
        )


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from sync code.

    Works inside a running event loop (a notebook) because the coroutine runs in another thread's
    loop. A keyboard interrupt cancels the coroutine, waits for it, and is raised again.
    """
    loop = background_loop()
    try:
        refuse_inside()
    except RuntimeError:
        coroutine.close()
        raise
    ended = threading.Event()
    future = asyncio.run_coroutine_threadsafe(_signalling(coroutine, ended), loop)
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        ended.wait(_PATIENCE)
        raise


def synchronous(function: Callable[P, Coroutine[Any, Any, T]], name: str) -> Callable[P, T]:
    """Return the sync form of an async function: the same arguments, run to its end.

    Args:
        function: async.
        name: of the sync form.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_sync(function(*args, **kwargs))

    call.__name__ = call.__qualname__ = name
    return call


def run_last(
    loop: asyncio.AbstractEventLoop, ending: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Run what ends earlier work in the background loop, where that loop still goes on.

    It does not in a fork of the process that began the work, nor at the interpreter's end.

    Args:
        loop: the background loop of that work.
        ending: makes the coroutine.
    """
    if _background is not None and _background.loop is loop and not sys.is_finalizing():
        run_sync(ending())


_PATIENCE = 10.0
"""Seconds that an interrupted call waits for its coroutine to clean up."""


async def _signalling(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    try:
        return await coroutine
    finally:
        ended.set()
