"""An event loop whose clock stands still while code runs, and jumps to the next timer.

    @virtual_time
    async def test_a_minute_passes():
        await asyncio.sleep(60)  # at once

For code that waits for timers alone, not for sockets, threads or processes. `time.monotonic` is
that clock too.
"""

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec
from unittest.mock import patch

P = ParamSpec("P")


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everything waits, and no timer is set"
            self.now += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that waits for nothing."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in a `VirtualLoop`."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with (
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
            patch.object(time, "monotonic", runner.get_loop().time),
        ):
            runner.run(test(*args, **kwargs))

    return run
