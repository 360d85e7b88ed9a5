"""Threads for calls that block."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Daemon threads that make blocking calls, so that neither a loop nor the exit waits for them.

    A `ThreadPoolExecutor` is joined when the interpreter ends, before anything could cancel what
    runs in it.
    """

    def __init__(self, count: int, name: str) -> None:
        """Start the threads.

        Args:
            count: number of threads, and so of calls at a time.
            name: what the threads' names begin with.
        """
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Have `function` called by the next free thread."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._tasks.put(run)
        return future

    def stop(self) -> None:
        """Let the threads end once the queue is empty."""
        for _ in range(self._count):
            self._tasks.put(None)
