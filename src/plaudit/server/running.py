"""The server's life: it listens, answers, and stops in order."""

import asyncio
import json
import logging
import resource
import signal
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

from aiohttp import web

from plaudit.server.accepting import Acceptor
from plaudit.server.service import Service
from plaudit.server.workers import BACKLOG, Worker, bind

_STOPS = (signal.SIGTERM, signal.SIGINT)


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as clients write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class Inside(NamedTuple):
    """The place of a process that is one of several."""

    worker: Worker
    app: web.Server
    """Answers the other processes."""


@asynccontextmanager
async def listening(
    service: Service,
    app: web.Server,
    address: Address,
    *,
    drain: float = 30.0,
    inside: Inside | None = None,
) -> AsyncGenerator[Address]:
    """Answer requests while the context lasts; at its end answer what is under way.

    Args:
        service: what is served.
        app: its HTTP side.
        address: where it listens; port 0 takes a free one.
        drain: most seconds for requests under way.
        inside: where this process is one of several.

    Yields:
        The address, with the port that was taken.

    Raises:
        UsageError: the address cannot be listened at.
    """
    runner = web.ServerRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    peers = web.ServerRunner(inside.app, shutdown_timeout=1.0) if inside else None
    accepting: Acceptor | None = None
    watching = asyncio.get_running_loop().create_task(service.look_after())
    try:
        if inside is not None and peers is not None:
            await peers.setup()
            await web.SockSite(peers, inside.worker.inner, backlog=BACKLOG).start()
        listener = bind(address.host, address.port, 1)[0] if inside is None else inside.worker.outer
        accepting = Acceptor(listener, app)
        yield Address(address.host, listener.getsockname()[1])
        service.draining = True
        await _drained(service, drain)
    finally:
        if accepting is not None:
            accepting.close()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await runner.cleanup()
        if peers is not None:
            await peers.cleanup()
        await service.close()


async def serve(
    service: Service,
    app: web.Server,
    address: Address,
    started: Callable[[Address], object],
    *,
    drain: float = 30.0,
    inside: Inside | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; see `listening`. `started` gets the address."""
    _allow_many_connections()
    with stopped_by_signals() as stop:
        loop = asyncio.get_running_loop()
        if inside is not None:
            loop.add_reader(inside.worker.supervisor, stop.set)
        async with listening(service, app, address, drain=drain, inside=inside) as found:
            started(found)
            await stop.wait()
            if inside is not None:
                loop.remove_reader(inside.worker.supervisor)


@contextmanager
def stopped_by_signals() -> Generator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set while the context lasts, in a running loop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _STOPS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in _STOPS:
            loop.remove_signal_handler(number)


async def _drained(service: Service, seconds: float) -> None:
    """Wait until no request is under way, while reports are still answered."""
    end = time.monotonic() + seconds
    while service.open_requests and time.monotonic() < end:
        await asyncio.sleep(0.02)


def _allow_many_connections() -> None:
    """Raise the number of open files as far as this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class JSONLines(logging.Formatter):
    """Log records as JSON, a line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line; what a request was about is in its fields."""
        found = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            kind, _, frames = record.exc_info  # Not the message, which may hold a row's text.
            found["traceback"] = "".join([*traceback.format_tb(frames), kind.__name__])
        return json.dumps(found, default=str)
