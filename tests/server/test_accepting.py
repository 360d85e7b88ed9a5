"""A crowd that comes at once is accepted at once, whatever the loop does besides."""

import asyncio
import socket

import uvloop

from plaudit.server.accepting import Acceptor

CROWD = 100


def test_a_crowd_is_accepted_in_a_few_turns_of_the_loop() -> None:
    made: list[asyncio.BaseTransport] = []

    class Noted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)

    async def turns() -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=CROWD)
        address = listener.getsockname()
        clients = [socket.create_connection(address) for _ in range(CROWD)]
        accepting = Acceptor(listener, Noted)
        count = 0
        while len(made) < CROWD:
            await asyncio.sleep(0)
            count += 1
        accepting.close()
        for one in (*made, *clients):
            one.close()
        await asyncio.sleep(0)
        return count

    assert uvloop.run(turns()) < 10
