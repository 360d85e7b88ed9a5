"""Connections are accepted many at a time.

uvloop's own server takes one connection in each turn of the loop. Under load a turn answers all
requests that are there, so of a crowd that comes at once the last would wait for as many turns.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

_LOG = logging.getLogger("plaudit.server")
_AT_ONCE = 256
"""Most connections that are accepted in a turn of the loop."""
_PAUSE_S = 0.5
"""Seconds until connections are accepted again after none could be, such as for want of files."""


class Acceptor:
    """Gives the connections of a listening socket to protocols."""

    def __init__(self, listener: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
        """Begin to accept, in a running loop."""
        self._listener = listener
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._beginning: set[asyncio.Task[object]] = set()
        self._again: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept no more, and close the listening socket."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _LOG.error("no connection can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._again = self._loop.call_later(_PAUSE_S, self._resume)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._begin(connection))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    def _resume(self) -> None:
        self._again = None
        self._loop.add_reader(self._listener, self._accept)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection)
        except OSError:  # The client is gone already.
            connection.close()
