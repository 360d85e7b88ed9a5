"""Messages between a run and its workers, pickled, over a socket that both processes hold.

The socket ends with either process, so each learns at once that the other one died.
"""

import asyncio
import pickle
import socket
import struct

_LENGTH = struct.Struct("!Q")
_BUFFER = 2**21
"""Bytes that may wait on the way: some messages, so that a process seldom waits for the other."""


class Wire:
    """One end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the two streams of a socket."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def on(cls, end: socket.socket) -> "Wire":
        """Return the wire on a connected socket, which it closes."""
        for side in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, side, _BUFFER)
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_BUFFER))

    async def send(self, message: object) -> None:
        """Send a message. Several may be sent at once; each arrives whole.

        Raises:
            OSError: the other process has ended.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._writer.writelines((_LENGTH.pack(len(data)), data))
        await self._writer.drain()

    async def receive(self) -> object:
        """Return the next message.

        Raises:
            EOFError: the other process has ended, or has closed its end.
            OSError: likewise.
        """
        (size,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
        return pickle.loads(await self._reader.readexactly(size))

    def close(self) -> None:
        """Close this end, by which the other process ends its work."""
        self._writer.close()
