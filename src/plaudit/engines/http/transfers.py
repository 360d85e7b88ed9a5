"""Exchanges other than a JSON request and its reply: files, as batch APIs take and give them.

Imported with the connections, since it knows aiohttp.
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path

    from plaudit.engines.http.transport import Transfer, Upload

_SILENCE_S = 300
"""Longest wait for bytes while a file crosses the network."""
_CHUNK = 1024 * 1024
_MOST = 8 * _CHUNK + 1
"""Bytes of a body that are read, where it goes into no file: one more than is taken."""


async def transfer(
    session: aiohttp.ClientSession,
    sent: "Transfer",
    headers: Mapping[str, str],
    proxy_headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
) -> tuple[int, Mapping[str, str], bytes]:
    """Send what is to be sent and return what came; its body may be in a file.

    Args:
        session: makes the exchange.
        sent: what is sent, and where a good reply goes.
        headers: those of every request to the endpoint.
        proxy_headers: what logs in to a proxy.
        timeout: of an exchange without a file.
    """
    body = sent.body
    files = sent.into is not None or not isinstance(body, bytes | None)
    if files:
        timeout = aiohttp.ClientTimeout(sock_connect=timeout.sock_connect, sock_read=_SILENCE_S)
    if isinstance(body, bytes | None):
        return await _exchange(session, sent, body, headers, proxy_headers, timeout)
    with body.path.open("rb") as file:
        if body.fields is None:
            return await _exchange(
                session, sent, file, {**headers, **body.headers}, proxy_headers, timeout
            )
        own = {k: v for k, v in headers.items() if k != "Content-Type"}  # A form names its own.
        return await _exchange(session, sent, _form(body, file), own, proxy_headers, timeout)


async def _exchange(
    session: aiohttp.ClientSession,
    sent: "Transfer",
    data: Any,
    headers: Mapping[str, str],
    proxy_headers: Mapping[str, str],
    timeout: aiohttp.ClientTimeout,
) -> tuple[int, Mapping[str, str], bytes]:
    async with session.request(
        sent.method, sent.url, data=data, headers=headers, allow_redirects=False,
        timeout=timeout, proxy_headers=proxy_headers,
    ) as response:  # fmt: skip
        if sent.into is None or response.status != 200:
            return response.status, response.headers, await _read(response)
        await _write(response, sent.into)
        return response.status, response.headers, b""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        content += chunk
        if len(content) >= _MOST:
            response.close()
            break
    return bytes(content)


async def _write(response: aiohttp.ClientResponse, path: "Path") -> None:
    with path.open("wb") as file:
        async for chunk in response.content.iter_chunked(_CHUNK):
            file.write(chunk)


def _form(upload: "Upload", file: io.BufferedReader) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in (upload.fields or {}).items():
        form.add_field(name, value)
    form.add_field("file", file, filename=upload.path.name, content_type="application/jsonl")
    return form
