"""Waiting for what happens, with a limit that is there for hangs alone."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

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


def replies_in(store: Path) -> int:
    """Count the replies that are committed to a store, which need not be there yet."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM reply").fetchone()[0]
    return 0


def wait_for_replies(store: Path, count: int) -> None:
    """Wait until so many replies are committed."""
    wait_until(lambda: replies_in(store) >= count, f"the commit of {count} replies")
