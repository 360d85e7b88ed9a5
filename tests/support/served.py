"""`plaudit serve` in a process of its own."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.command import Plaudit


class Served:
    """A server in a process of its own."""

    def __init__(self, home: Path, *options: str | Path, port: int = 0) -> None:
        plaudit = Plaudit(home / "store", folder=home)
        self.process = plaudit.start("serve", *options, "--port", str(port), "--quiet")
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        found = re.search(r"http://\S+:(\d+)", line)
        assert found, line + self.process.stderr.read()
        self.url, self.port = found[0], int(found[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.errors = self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(100)


@contextmanager
def served(home: Path, *options: str | Path) -> Iterator[Served]:
    server = Served(home, *options)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.stop(signal.SIGKILL)


async def post(url: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as reply:
        return reply.status, await reply.json()
