"""The viewer's life: it listens, says where, and stops."""

from collections.abc import Callable

from aiohttp import web

from plaudit.server.running import Address, stopped_by_signals
from plaudit.server.workers import bind


async def serve(
    app: web.Application, address: Address, started: Callable[[Address], object]
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        app: the viewer.
        address: where it listens; port 0 takes a free one.
        started: is given the address, with the port that was taken.

    Raises:
        UsageError: the address cannot be listened at.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        with stopped_by_signals() as stop:
            (listener,) = bind(address.host, address.port, 1)
            await web.SockSite(runner, listener).start()
            started(Address(address.host, listener.getsockname()[1]))
            await stop.wait()
    finally:
        await runner.cleanup()
