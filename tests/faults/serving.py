"""Hostile servers as processes of their own, and what their logs tell."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.faults import hostile

MODEL = "m"


class Asked(NamedTuple):
    """One request that reached a server, or its answer."""

    at: float
    """Seconds since 1970."""
    event: str
    """`in`, `out` or `models`."""
    answer: str
    body: str = ""
    """Hash of the request."""
    subject: str = ""
    """The sample's name."""
    attempt: int = 0


def free_port() -> int:
    """Return a port on which nothing listens, out of the range from which clients get theirs."""
    draw = random.Random()
    while True:
        port = draw.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A hostile server on a port that it keeps when started again. Enter it to start it."""

    def __init__(self, log: Path, *options: str | float) -> None:
        self.log = log
        self.port = free_port()
        self.options = options

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def engine(self) -> str:
        return f"openai:{MODEL}@{self.url}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [sys.executable, hostile.__file__, "--port", self.port, "--log", self.log]
        self.process = subprocess.Popen(
            [*map(str, [*command, "--attached", *self.options])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"listening {self.port}\n"

    def kill(self) -> None:
        """SIGKILL it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def slow_down(self) -> None:
        """Make it take ten times as long."""
        self.process.send_signal(signal.SIGUSR1)

    # What its log tells

    def noted(self) -> int:
        """Count the requests and the answers, without reading what they are."""
        return self.log.read_bytes().count(b"\n")

    def events(self) -> list[Asked]:
        return [Asked(**entry) for entry in hostile.read_log(self.log)]

    def asked(self, start: int = 0) -> list[Asked]:
        """Return the requests for completions, from the `start`-th on."""
        return [entry for entry in self.events() if entry.event == "in"][start:]

    def answered(self) -> list[Asked]:
        return [entry for entry in self.events() if entry.event == "out"]


def row(n: int) -> dict[str, Any]:
    name = f"case-{n:07d}"
    return {
        "id": name,
        "query": f"Why does {name} hold?",
        "answer": "Because of what was said before, and of what came of it.",
        "follow_up": f"I see what you mean by that, and what {name} is about.",
    }


def subjects(entries: Iterable[Asked]) -> set[str]:
    """Return the samples that requests were about."""
    return {entry.subject for entry in entries}


def last_answers(entries: Iterable[Asked]) -> dict[str, Asked]:
    """Return the last request of each sample."""
    return {entry.subject: entry for entry in entries}


def wait_until(happened: Callable[[], object], seconds: float = 60) -> None:
    """Look every few milliseconds whether something happened, and fail if it does not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
