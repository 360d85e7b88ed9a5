"""The connections of one event loop to one endpoint: JSON over aiohttp.

Only this file and `transfers` know aiohttp, which makes, keeps and reads the connections. Its
session would make a request and a response object for each exchange, which cost more than the
exchange itself; here requests to one address share one head.

Imported with the first request: importing aiohttp takes as long as judging thousands of stored
samples, and a run that is answered from the store never needs it. Every exception of aiohttp and of
the operating system becomes one of plaudit's own here.
"""

import asyncio
import base64
import encodings.idna  # pyright: ignore[reportUnusedImport] # noqa: F401 - asyncio needs it later.
import os
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from yarl import URL

from plaudit.engines.http.errors import Unreachable, shorten
from plaudit.engines.http.transfers import transfer
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError

if TYPE_CHECKING:
    from plaudit.engines.http.transport import Transfer, Transport

BODY_LIMIT = 8 * 1024 * 1024
"""Most bytes of a reply that are read, and most that a compressed one may become."""

_PROBE_SECONDS = 8
_PROBE_TIMEOUT = aiohttp.ClientTimeout(connect=4)
# uvicorn (vLLM, SGLang) drops idle connections after 5 s; one that we drop first is never lost.
_KEEPALIVE_SECONDS = 4.0
_OF_BODIES = ("Content-Length", "Transfer-Encoding")


class _Connector(aiohttp.TCPConnector):
    """A connector that a forked child leaves alone.

    Closing inherited connections would take them out of the event queue that the child shares with
    its parent, and the parent would wait for them for ever.
    """

    owner = 0
    """The process that made it."""

    def __del__(self, *_: object) -> None:
        if self.owner == os.getpid():
            super().__del__()


async def _keep(connector: _Connector) -> AsyncGenerator[None]:
    """Close the connections when this is closed, or when `asyncio.run` shuts the loop down."""
    try:
        yield
    finally:
        await connector.close()


async def _close(connector: _Connector) -> None:
    await connector.close()


def _close_dropped(loop: asyncio.AbstractEventLoop, connector: _Connector) -> None:
    """Close connections that are not used any more; called at any time, in any thread.

    Where their event loop does not run, the sockets are left to the end of that loop.
    """
    if loop.is_running():
        with suppress(RuntimeError):  # The loop has just been closed.
            asyncio.run_coroutine_threadsafe(_close(connector), loop)
            return
    connector.owner = 0


class _Head(NamedTuple):
    """What all requests to one address begin with."""

    request: aiohttp.ClientRequest
    """Says where to connect to, and through which proxy; it is never sent."""
    text: bytes
    """Request line and headers, up to the length of a body where there is one."""


class Connections:
    """What one event loop uses; made in it, and ready after `open`.

    Attributes:
        loop: the event loop.
        lock: held while one request finds something out for all.
    """

    def __init__(self, endpoint: "Transport") -> None:
        """Prepare for the running event loop; nothing is contacted."""
        self.loop = asyncio.get_running_loop()
        self.lock = asyncio.Lock()
        self._endpoint = endpoint
        base_url = endpoint.base_url
        proxy, self._proxy_headers = (None, {}) if endpoint.direct else _proxy(URL(base_url))
        # A proxy reads plain requests themselves; of encrypted ones it sees the CONNECT alone.
        plain = base_url.startswith("http:")
        # Not the session's own headers: aiohttp shows those to proxies.
        self._headers = endpoint.headers | self._proxy_headers if plain else endpoint.headers
        connect, first_byte = endpoint.timeouts
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=connect, sock_read=first_byte
        )
        self._connector = _Connector(
            limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ttl_dns_cache=300
        )
        self._connector.owner = os.getpid()
        self._proxy = proxy
        self._heads: dict[tuple[URL, bool], _Head] = {}
        self._keeper = _keep(self._connector)
        self._dropped = weakref.finalize(self, _close_dropped, self.loop, self._connector)
        self._dropped.atexit = False

    @property
    def closed(self) -> bool:
        """Whether they can no longer be used."""
        return self._connector.closed

    async def open(self) -> None:
        """Let them be closed with the event loop."""
        await anext(self._keeper)

    async def close(self) -> None:
        """Close them."""
        self._dropped.detach()
        await self._keeper.aclose()

    def close_at_exit(self) -> None:
        """Close them where their loop still runs in another thread, else leave them alone."""
        if not self.loop.is_running():
            self.detach()
            return
        closing = asyncio.run_coroutine_threadsafe(self.close(), self.loop)
        with suppress(Exception):
            closing.result(timeout=1)

    def detach(self) -> None:
        """Leave them alone, for whose they are."""
        self._dropped.detach()
        self._connector.owner = 0

    async def exchange(self, url: URL, body: bytes | None) -> tuple[int, Mapping[str, str], bytes]:
        """POST a body, or GET without one, for seconds only; return what came.

        Returns:
            Status, headers and body of the reply.

        Raises:
            CallError: nothing came, or too much; `Unreachable` where no connection was made.
            EngineUnusableError: no request can succeed.
        """
        found = await self._try_exchange(url, body)
        if isinstance(found, PlauditError):
            raise found
        return found

    async def transfer(self, sent: "Transfer") -> tuple[int, Mapping[str, str], bytes]:
        """Exchange JSON by any method, or whole files; see `exchange`."""
        found = await self._try_transfer(sent)
        if isinstance(found, PlauditError):
            raise found
        return found

    async def _try_transfer(
        self, sent: "Transfer"
    ) -> tuple[int, Mapping[str, str], bytes] | CallError | EngineUnusableError:
        """Return what came, or what went wrong; see `_try_exchange`."""
        try:
            async with aiohttp.ClientSession(
                connector=self._connector, connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(), proxy=self._proxy,
            ) as session:  # fmt: skip
                status, headers, content = await transfer(
                    session, sent, self._headers, self._proxy_headers, self._timeout
                )
        except (aiohttp.ClientError, OSError) as error:
            return self._translate(error)
        if len(content) > BODY_LIMIT:
            return self._endpoint.bad_response(f"sent more than {BODY_LIMIT // 2**20} MB")
        return status, headers, content

    async def _try_exchange(
        self, url: URL, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes] | CallError | EngineUnusableError:
        """Return what came, or what went wrong.

        Errors are returned, so that they know nothing of aiohttp's exceptions, which carry the
        request's headers and so the key, nor of the frames here, which hold what came of a body.
        """
        try:
            if body is None:
                async with asyncio.timeout(_PROBE_SECONDS):
                    return await self._probe(url)
            return await self._send(url, body, self._timeout)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            return self._translate(error)

    async def _probe(self, url: URL) -> tuple[int, Mapping[str, str], bytes] | CallError:
        """GET; once more where a kept connection was lost, as servers may close idle ones."""
        try:
            return await self._send(url, None, _PROBE_TIMEOUT)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            return await self._send(url, None, _PROBE_TIMEOUT)

    async def _send(
        self, url: URL, body: bytes | None, timeout: aiohttp.ClientTimeout
    ) -> tuple[int, Mapping[str, str], bytes] | CallError:
        head = self._heads.get((url, body is None)) or self._make_head(url, body is None)
        try:
            connection = await self._connector.connect(head.request, [], timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        chunks: list[bytes] = []
        try:
            protocol, transport = connection.protocol, connection.transport
            assert protocol is not None and transport is not None
            protocol.set_response_params(read_until_eof=True, read_timeout=timeout.sock_read)
            protocol.start_timeout()
            if body is None:
                transport.write(head.text)
            else:
                transport.writelines((head.text, b"%d\r\n\r\n" % len(body), body))
            status, headers = await _read(protocol, chunks)
        except BaseException:
            connection.close()
            chunks.clear()  # A time-out keeps this frame for a while.
            raise
        if sum(map(len, chunks)) > BODY_LIMIT:
            connection.close()
            return self._endpoint.bad_response(f"sent more than {BODY_LIMIT // 2**20} MB")
        connection.release()
        return status, headers, chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _make_head(self, url: URL, probes: bool) -> _Head:
        """Write the head of all requests to an address; aiohttp knows what belongs into it."""
        method = "GET" if probes else "POST"
        request = aiohttp.ClientRequest(
            method,
            url,
            headers=self._headers,
            loop=self.loop,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers if self._proxy else None,
        )
        through = self._proxy is not None and not request.is_ssl()
        lines = [f"{method} {url if through else url.raw_path_qs} HTTP/1.1"]
        lines += [f"{k}: {v}" for k, v in request.headers.items() if k not in _OF_BODIES]
        if any("\r" in line or "\n" in line for line in lines):
            raise aiohttp.InvalidURL(url, "it holds line breaks")
        text = "".join(f"{line}\r\n" for line in lines)
        head = _Head(request, f"{text}{'' if probes else 'Content-Length: '}".encode())
        if probes:
            head = _Head(request, head.text + b"\r\n")
        self._heads[url, probes] = head
        return head

    def _translate(self, error: Exception) -> CallError | EngineUnusableError:
        """Turn an exception of aiohttp or the operating system into one of ours."""
        name, redact = self._endpoint.name, self._endpoint.redact
        detail = shorten(redact(str(error))) or type(error).__name__
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return EngineUnusableError(
                    f"{name}: its TLS certificate is not trusted ({detail}); set "
                    "SSL_CERT_FILE to the authority's certificate"
                )
            case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
                return EngineUnusableError(f"{name}: the URL cannot be used ({detail})")
            case aiohttp.ConnectionTimeoutError():
                problem = f"{name} cannot be reached: no connection in time"
                return Unreachable(Cause.CONNECTION, problem, retryable=True)
            case aiohttp.ClientConnectorError():
                why = redact(error.os_error.strerror or "") or detail
                problem = f"{name} cannot be reached: {why}"
                return Unreachable(Cause.CONNECTION, problem, retryable=True)
            case aiohttp.ClientPayloadError():
                return self._endpoint.bad_response(
                    f"broke off in the middle of its reply: {detail}"
                )
            case HttpProcessingError():
                problem = f"does not speak HTTP as it should: {error.message}"
                return self._endpoint.bad_response(problem)
            case TimeoutError():
                problem = f"{name} did not answer in time"
                return CallError(Cause.TIMEOUT, problem, retryable=True)
            case _:
                problem = f"{name} dropped the connection: {detail}"
                return CallError(Cause.CONNECTION, problem, retryable=True)


async def _read(protocol: ResponseHandler, chunks: list[bytes]) -> tuple[int, Mapping[str, str]]:
    """Read a reply; return its status and headers.

    Args:
        protocol: of a connection on which a request was sent.
        chunks: takes the body, up to the first chunk that goes beyond the limit.
    """
    message, stream = await protocol.read()
    while 100 <= message.code < 200 and message.code != 101:
        message, stream = await protocol.read()
    size = 0
    while size <= BODY_LIMIT and not stream.at_eof():
        chunk = await stream.readany()
        size += len(chunk)
        chunks.append(chunk)
    return message.code, message.headers


def _proxy(url: URL) -> tuple[URL | None, dict[str, str]]:
    """Return the proxy that the environment names for a URL, and the headers that log in to it.

    Looked up once a session: aiohttp's own `trust_env` does it in a thread for every request.
    """
    found = urllib.request.getproxies().get(url.scheme)
    if not found or urllib.request.proxy_bypass(url.host or ""):
        return None, {}
    proxy = None
    with suppress(ValueError):
        proxy = URL(found)
    if proxy is None or proxy.scheme not in ("http", "https") or not proxy.host:
        raise EngineUnusableError(  # Without the text, which may hold a password.
            f"{url.scheme.upper()}_PROXY is no URL of a proxy; write http://host:port"
        )
    if proxy.user is None:
        return proxy, {}
    login = f"{unquote(proxy.user)}:{unquote(proxy.password or '')}"
    basic = "Basic " + base64.b64encode(login.encode()).decode()
    return proxy.with_user(None), {"Proxy-Authorization": basic}
