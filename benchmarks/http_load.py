"""Load for an HTTP server: as many requests as it answers, or so many a second.

Requests are bytes that are made before or while they are sent. A reply is found by its
`Content-Length` and is not parsed, so that one core of the client outpaces a server in Python. The
client never sleeps: to wake it up would cost the server more than the request does, on a virtual
machine twice as much.
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Load(NamedTuple):
    """What came of one load."""

    requests: int
    seconds: float
    latencies: list[float]
    """Seconds of each request, sorted; in an open loop from when it was due."""
    statuses: dict[str, int]

    @property
    def rate(self) -> float:
        """Replies a second."""
        return self.requests / self.seconds

    def quantile(self, share: float) -> float:
        """Return the seconds within which a share of the requests was answered."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def request(path: str, body: bytes) -> bytes:
    """Return a POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """Sends one request at a time, and calls back with the seconds that it took."""

    def __init__(self, answered: Callable[["_Connection", float, str], None]) -> None:
        self._answered = answered
        self._buffer = b""
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def send(self, data: bytes, due: float) -> None:
        """Send a request that was due at a time."""
        self._begun = due
        self._transport.write(data)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Take a piece of a reply."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        mark = head.find(b"content-length:") + 15
        length = int(head[mark:].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        status = self._buffer[9:12].decode()
        self._buffer = b""
        self._answered(self, time.perf_counter() - self._begun, status)

    def connection_lost(self, error: Exception | None) -> None:
        """Count a connection that the server closed."""
        if error is not None:
            self._answered(self, time.perf_counter() - self._begun, "lost")


class _Client:
    """What both loads have in common."""

    def __init__(self, requests: Iterator[bytes], wanted: int) -> None:
        self.requests, self.wanted = requests, wanted
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.done = asyncio.Event()

    def count(self, seconds: float, status: str) -> None:
        self.latencies.append(seconds)
        self.statuses[status] += 1
        if len(self.latencies) == self.wanted:
            self.done.set()

    async def finished(self) -> None:
        """Wait for the last reply, awake."""
        while not self.done.is_set():
            await asyncio.sleep(0)

    def load(self, seconds: float) -> Load:
        return Load(len(self.latencies), seconds, sorted(self.latencies), dict(self.statuses))

    async def connect(
        self, port: int, count: int, answered: Callable[[_Connection, float, str], None]
    ) -> list[_Connection]:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Connection(answered), "127.0.0.1", port)
            for _ in range(count)
        ]
        return [protocol for _, protocol in made]


async def closed_loop(port: int, requests: Iterator[bytes], count: int, in_flight: int) -> Load:
    """Send requests, each when another one was answered."""
    client = _Client(requests, count)
    left = count

    def answered(connection: _Connection, seconds: float, status: str) -> None:
        nonlocal left
        client.count(seconds, status)
        if left:
            left -= 1
            connection.send(next(requests), time.perf_counter())

    connections = await client.connect(port, in_flight, answered)
    started = time.perf_counter()
    for connection in connections:
        left -= 1
        connection.send(next(requests), time.perf_counter())
    await client.finished()
    return client.load(time.perf_counter() - started)


async def open_loop(port: int, requests: Iterator[bytes], count: int, rate: float) -> Load:
    """Send requests by a schedule of random times, however long replies take.

    A request that finds all connections busy waits, and its time counts from when it was due.

    Args:
        port: of the server.
        requests: at least `count`.
        count: requests.
        rate: a second.
    """
    draw = random.Random(0)
    client = _Client(requests, count)
    waiting: deque[float] = deque()
    free: list[_Connection] = []

    def answered(connection: _Connection, seconds: float, status: str) -> None:
        client.count(seconds, status)
        if waiting:
            connection.send(next(requests), waiting.popleft())
        else:
            free.append(connection)

    free += await client.connect(port, 256, answered)
    started = due = time.perf_counter()
    for _ in range(count):
        due += draw.expovariate(rate)
        while time.perf_counter() < due:
            await asyncio.sleep(0)
        if free:
            free.pop().send(next(requests), due)
        else:
            waiting.append(due)
    await client.finished()
    return client.load(time.perf_counter() - started)
