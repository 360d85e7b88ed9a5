"""What goes over the wire, byte by byte: requests share a head that is written once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from plaudit.engines.http.transport import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEAD = (
    "{method} /v1/{path} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{port}\r\n"
    "Content-Type: application/json\r\n"
    "Accept: application/json\r\n"
    "Accept-Encoding: identity\r\n"
    "User-Agent: plaudit\r\n"
    "Authorization: Bearer a-key-of-tests\r\n"
)


class Wire:
    """A server that notes the bytes of each request and answers with given ones."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self._answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            _, _, length = head.partition(b"Content-Length: ")
            self.requests.append(head + await reader.readexactly(int(length or b"0")))
            answer = self._answers.pop(0)
            writer.write(answer)
            await writer.drain()
            if not answer or b"Connection: close" in answer:
                break
        writer.close()


@asynccontextmanager
async def wire(monkeypatch, *answers: bytes) -> AsyncGenerator[tuple[Wire, Transport]]:
    monkeypatch.setenv("WIRE_KEY", "a-key-of-tests")
    found = Wire(*answers)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    transport = Transport("openai", f"http://127.0.0.1:{found.port}/v1", "WIRE_KEY")
    try:
        yield found, transport
    finally:
        await transport.close()
        server.close()


async def test_the_bytes_of_requests(monkeypatch):
    async with wire(monkeypatch, OK, OK, OK) as (server, transport):
        assert await transport.get(transport.url("/models")) == (200, b"{}")
        for body in (b'{"a": 1}', b"x" * 300_000):
            assert await transport.post(transport.url("/chat"), body, bytes) == b"{}"
    probe = HEAD.format(method="GET", path="models", port=server.port)
    post = HEAD.format(method="POST", path="chat", port=server.port)
    assert server.requests == [
        f"{probe}\r\n".encode(),
        f'{post}Content-Length: 8\r\n\r\n{{"a": 1}}'.encode(),
        f"{post}Content-Length: 300000\r\n\r\n".encode() + b"x" * 300_000,
    ]
    assert server.connections == 1


async def test_interim_answers_are_passed_over(monkeypatch):
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with wire(monkeypatch, interim + interim + OK) as (_, transport):
        assert await transport.post(transport.url("/chat"), b"{}", bytes) == b"{}"


async def test_a_probe_is_repeated_where_a_kept_connection_was_lost(monkeypatch):
    async with wire(monkeypatch, OK, b"", OK) as (server, transport):
        await transport.get(transport.url("/models"))
        assert await transport.get(transport.url("/models")) == (200, b"{}")
    assert server.connections == 2


async def test_a_body_without_length_ends_with_its_connection(monkeypatch):
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1, 2]"
    async with wire(monkeypatch, answer, OK) as (server, transport):
        assert await transport.post(transport.url("/chat"), b"{}", bytes) == b"[1, 2]"
        assert await transport.post(transport.url("/chat"), b"{}", bytes) == b"{}"
    assert server.connections == 2
