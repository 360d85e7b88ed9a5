"""Waiting for what happens, with a limit that is there for hangs alone."""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 100.0
"""Seconds; a busy machine may need many of them."""


def wait_until(happened: Callable[[], object], what: str = "it") -> None:
    """Look every few milliseconds whether something happened; fail where it never does."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.01)


async def await_until(happened: Callable[[], object], what: str = "it") -> None:
    """Do the same while the event loop goes on."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        await asyncio.sleep(0.002)
