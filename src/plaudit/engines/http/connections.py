"""The connections of one event loop to one endpoint: JSON over aiohttp, which only this file knows.

It is imported with the first request, because importing aiohttp takes as long as judging thousands
of stored samples, and a run that is answered from the store never needs it. Every exception of
aiohttp and of the operating system becomes one of plaudit's own here.
"""

import asyncio
import base64
import encodings.idna  # pyright: ignore[reportUnusedImport] # noqa: F401 - asyncio needs it later.
import io
import os
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
from yarl import URL

from plaudit.engines.http.errors import Unreachable, shorten
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError

if TYPE_CHECKING:
    from plaudit.engines.http.transport import Transport, Upload

BODY_LIMIT = 8 * 1024 * 1024
"""Most bytes of a reply that are read, and most that a compressed one may become."""

_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=8, connect=4)
# uvicorn (vLLM, SGLang) drops idle connections after 5 s; one that we drop first is never lost.
_KEEPALIVE_SECONDS = 4.0
# aiohttp warns where a larger body is handed over as bytes.
_LARGE_BODY = 1024 * 1024
_BODY = aiohttp.BytesPayload  # Bytes alone are looked up in a registry first.
_FILE_SILENCE_SECONDS = 300
"""Longest wait for bytes while a file crosses the network."""


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


async def _keep(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    """Close the session when this is closed, or when `asyncio.run` shuts the loop down."""
    try:
        yield
    finally:
        await session.close()


def _close_dropped(
    loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession, connector: _Connector
) -> None:
    """Close a session that is not used any more; called at any time, in any thread.

    Where its event loop does not run, the sockets are left to the end of that loop.
    """
    if loop.is_running():
        with suppress(RuntimeError):  # The loop has just been closed.
            asyncio.run_coroutine_threadsafe(session.close(), loop)
            return
    session.detach()
    connector.owner = 0


class Connections:
    """What one event loop uses; made in it, and ready after `open`.

    Attributes:
        loop: the event loop.
        lock: held while one request finds something out for all.
    """

    def __init__(self, endpoint: "Transport") -> None:
        """Make a session of the running event loop; nothing is contacted."""
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
        connector = _Connector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ttl_dns_cache=300)
        connector.owner = os.getpid()
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy
        )
        self._keeper = _keep(self._session)
        self._dropped = weakref.finalize(self, _close_dropped, self.loop, self._session, connector)
        self._dropped.atexit = False

    @property
    def closed(self) -> bool:
        """Whether they can no longer be used."""
        return self._session.closed

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
        self._session.detach()

    async def exchange(
        self, method: str, url: URL, body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request, without a body to probe for seconds only; return what came.

        Returns:
            Status, headers and body of the reply.

        Raises:
            CallError: nothing came, or too much; `Unreachable` where no connection was made.
            EngineUnusableError: no request can succeed.
        """
        data = None if body is None else _payload(body)
        timeout = _PROBE_TIMEOUT if body is None else self._timeout
        found = await self._try_exchange(method, url, data, timeout)
        if isinstance(found, PlauditError):
            raise found
        return found

    async def send_file(self, url: URL, upload: "Upload") -> tuple[int, Mapping[str, str], bytes]:
        """Send a file, as a form or as the whole body; see `exchange`."""
        with upload.path.open("rb") as file:
            data: Any = file if upload.fields is None else _form(upload, file)
            timeout = self._patient
            found = await self._try_exchange("POST", url, data, timeout, upload.headers)
        if isinstance(found, PlauditError):
            raise found
        return found

    async def fetch_file(self, url: URL, path: Path) -> tuple[int, Mapping[str, str], bytes]:
        """Write the body of a good reply to a file; see `exchange`."""
        found = await self._try_exchange("GET", url, None, self._patient, into=path)
        if isinstance(found, PlauditError):
            raise found
        return found

    @property
    def _patient(self) -> aiohttp.ClientTimeout:
        connect = self._timeout.sock_connect
        return aiohttp.ClientTimeout(
            total=None, sock_connect=connect, sock_read=_FILE_SILENCE_SECONDS
        )

    async def _try_exchange(
        self,
        method: str,
        url: URL,
        data: Any,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str] = {},
        into: Path | None = None,
    ) -> tuple[int, Mapping[str, str], bytes] | CallError | EngineUnusableError:
        """Return what came, or what went wrong; a good reply is written to the file `into`.

        Errors are returned, so that they know nothing of aiohttp's exceptions, which carry the
        request's headers and so the key, nor of the frames here, which hold what came of a body.
        """
        try:
            response = await self._session.request(
                method,
                url,
                data=data,
                headers=self._headers_for(data, headers),
                allow_redirects=False,
                timeout=timeout,
                proxy_headers=self._proxy_headers,
            )
            if into is not None and response.status == 200:
                await _write(response, into)
                return response.status, response.headers, b""
            content = await self._read(response)
        except (aiohttp.ClientError, OSError) as error:
            return self._translate(error)
        if content is None:
            return self._endpoint.bad_response(f"sent more than {BODY_LIMIT // 2**20} MB")
        return response.status, response.headers, content

    def _headers_for(self, data: Any, further: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a request; a form names its own content type."""
        if isinstance(data, aiohttp.FormData):
            return {k: v for k, v in self._headers.items() if k != "Content-Type"}
        return {**self._headers, **further} if further else self._headers

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | None:
        """Read a body; None where it goes on beyond the limit, of which the rest is not read."""
        stream = response.content
        chunks: list[bytes] = []
        size = 0
        try:
            while not stream.at_eof():
                chunk = await stream.readany()
                size += len(chunk)
                if size > BODY_LIMIT:
                    response.close()
                    return None
                chunks.append(chunk)
        except BaseException:
            response.close()
            chunks.clear()  # A time-out keeps this frame for a while.
            raise
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

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
            case aiohttp.ClientResponseError():
                problem = f"does not speak HTTP as it should: {error.message}"
                return self._endpoint.bad_response(problem)
            case TimeoutError():
                problem = f"{name} did not answer in time"
                return CallError(Cause.TIMEOUT, problem, retryable=True)
            case _:
                problem = f"{name} dropped the connection: {detail}"
                return CallError(Cause.CONNECTION, problem, retryable=True)


def _form(upload: "Upload", file: io.BufferedReader) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in (upload.fields or {}).items():
        form.add_field(name, value)
    form.add_field("file", file, filename=upload.path.name, content_type="application/jsonl")
    return form


async def _write(response: aiohttp.ClientResponse, path: Path) -> None:
    try:
        with path.open("wb") as file:
            async for chunk in response.content.iter_chunked(_LARGE_BODY):
                file.write(chunk)
    except BaseException:
        response.close()
        raise


def _payload(body: bytes) -> aiohttp.BytesPayload | io.BytesIO:
    if len(body) < _LARGE_BODY:
        return _BODY(body, content_type="application/json")
    return io.BytesIO(body)


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
