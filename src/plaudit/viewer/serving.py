"""The viewer's life: it listens, says where, and stops."""

import asyncio
import errno
import signal
from collections.abc import Callable

from aiohttp import web

from plaudit.errors import UsageError

_STOPS = (signal.SIGTERM, signal.SIGINT)


async def serve(
    app: web.Application, host: str, port: int, started: Callable[[str], object]
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        app: the viewer.
        host: where it listens.
        port: 0 takes a free one.
        started: is given the URL, such as `http://127.0.0.1:8123`.

    Raises:
        UsageError: the address cannot be listened at.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _STOPS:
        loop.add_signal_handler(number, stop.set)
    try:
        await _listen(runner, host, port)
        shown = f"[{host}]" if ":" in host else host
        started(f"http://{shown}:{runner.addresses[0][1]}")
        await stop.wait()
    finally:
        for number in _STOPS:
            loop.remove_signal_handler(number)
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is in use at {host}; give another one with --port, or leave it out "
                "for a free one"
            ) from None
        raise UsageError(f"cannot listen at {host}:{port}: {error}") from None
