"""The transport that HTTP engines share: JSON over aiohttp, with the key kept out of sight.

Every foreign exception becomes one of plaudit's own errors here, once; what a server's own error
message means is told by `http_errors`.
"""

import asyncio
import atexit
import base64
import io
import json
import os
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

import aiohttp
import msgspec
from yarl import URL

from plaudit.engines.base import EngineURI
from plaudit.engines.http_errors import ErrorReply, Unreachable, read_error, shorten, translate
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError

BODY_LIMIT = 8 * 1024 * 1024
"""Most bytes of a reply that are read."""

CONNECT_SECONDS = 10.0
"""Time for a connection and TLS. The whole request is bounded by the caller."""

_DEFAULT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=8, connect=4)
# Shorter keys are placeholders ("x"), and replacing them would garble every message.
_SHORTEST_SECRET = 4
# uvicorn (vLLM, SGLang) drops idle connections after 5 s; one that we drop first is never lost.
_KEEPALIVE_SECONDS = 4.0
# aiohttp warns where a larger body is handed over as bytes.
_LARGE_BODY = 1024 * 1024
_JSON = "application/json"
_BODY = aiohttp.BytesPayload  # Bytes alone are looked up in a registry first.

T = TypeVar("T")


def read_key(variable: str) -> str:
    """Return the key that an environment variable holds, or the empty string.

    Raises:
        UsageError: it holds characters that no HTTP header can carry.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UsageError(f"{variable} holds characters that cannot be sent; set it to the bare key")
    return key


TIMEOUTS = {"connect_timeout": f"{CONNECT_SECONDS:g}", "first_byte_timeout": ""}
"""Options of the engine URI, and their defaults."""


def call_timeout(uri: EngineURI, options: Mapping[str, str]) -> aiohttp.ClientTimeout:
    """Read the time-outs of an engine URI: for the connection, and for each wait for bytes.

    Raises:
        UsageError: one is no positive number of seconds.
    """
    connect, first_byte = (_seconds(uri, name, options[name]) for name in TIMEOUTS)
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=first_byte)


def _seconds(uri: EngineURI, name: str, given: str) -> float | None:
    if not given:
        return None
    with suppress(ValueError):
        if 0 < float(given) < float("inf"):
            return float(given)
    raise UsageError(f"engine {uri.scheme}: {name}={given} is no number of seconds")


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


class _Connections(NamedTuple):
    """What one event loop uses."""

    loop: asyncio.AbstractEventLoop
    session: aiohttp.ClientSession
    headers: dict[str, str]
    """What is sent with each request. Not the session's own: aiohttp shows those to proxies."""
    proxy_headers: dict[str, str]
    """What logs in to the proxy, if there is one."""
    lock: asyncio.Lock
    """Held by whoever finds something out for all."""
    keeper: AsyncGenerator[None]
    """Closes the session when it is closed, or when `asyncio.run` shuts the loop down."""


async def _keep(session: aiohttp.ClientSession) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await session.close()


class Transport:
    """JSON requests to one endpoint, from any event loop and after a fork.

    Connections are made on first use in each loop. Pickling is the engine's business: a transport
    holds the key and is never pickled.
    """

    def __init__(
        self,
        scheme: str,
        base_url: str,
        key_variable: str,
        headers: Callable[[str], dict[str, str]],
        *,
        timeout: aiohttp.ClientTimeout = _DEFAULT_TIMEOUT,
        own_key: str | None = None,
    ) -> None:
        """Prepare for an endpoint.

        Args:
            scheme: the provider, as engine URIs name it.
            base_url: without a last slash.
            key_variable: the environment variable that holds the key; need not be set.
            headers: the headers that carry a key, and whatever else is always sent.
            timeout: time-outs of a request, from `call_timeout`.
            own_key: the key of a server that this process started, instead of the environment's.
                Such a server is reached without a proxy.

        Raises:
            UsageError: the key cannot be sent.
        """
        key = read_key(key_variable) if own_key is None else own_key
        self._direct = own_key is not None
        self._timeout = timeout
        self.scheme = scheme
        self.name = f"{scheme} at {base_url}"
        self.base_url = base_url
        self.key_variable = key_variable
        self.has_key = bool(key)
        self._key = key
        self._headers = {
            "Content-Type": _JSON,
            "Accept": _JSON,
            "Accept-Encoding": "identity",
            "User-Agent": "plaudit",
            **headers(key),
        }
        self._connections: dict[asyncio.AbstractEventLoop, _Connections] = {}
        _transports.add(self)

    def __repr__(self) -> str:
        return f"Transport({self.name!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a Transport holds a key and cannot be pickled; pickle its engine")

    def url(self, path: str) -> URL:
        """Return the URL of a path below the base URL."""
        return URL(self.base_url + path, encoded=True)

    async def post(self, url: URL, body: bytes) -> bytes:
        """Send JSON and return the body of a good reply.

        Raises:
            CallError: no good reply came; `Refusal` where something may be given up.
            ReplyError: a content filter stopped it.
            EngineUnusableError: no further request can succeed.
        """
        data = _BODY(body, content_type=_JSON) if len(body) < _LARGE_BODY else io.BytesIO(body)
        status, headers, content = await self._exchange("POST", url, data, self._timeout)
        if status == 200:
            return content
        raise self.translate(self.read_error(status, content, headers))

    async def get(self, url: URL) -> tuple[int, bytes]:
        """Return status and body, whatever the status; gives up after seconds.

        Raises:
            CallError: nothing came; `Unreachable` where no connection was made.
            EngineUnusableError: no request can succeed.
        """
        status, _, content = await self._exchange("GET", url, None, _PROBE_TIMEOUT)
        return status, content

    async def lock(self) -> asyncio.Lock:
        """Return the lock of this event loop."""
        return (await self._here()).lock

    async def close(self) -> None:
        """Close the connections of this event loop; those of other loops close with them."""
        here = self._connections.pop(asyncio.get_running_loop(), None)
        if here:
            await here.keeper.aclose()

    def redact(self, text: str) -> str:
        """Return a foreign text printable, on one line and without the key."""
        if len(self._key) >= _SHORTEST_SECRET:
            text = text.replace(self._key, "[key]")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())

    def read_error(
        self, status: int, content: bytes, headers: Mapping[str, str] | None = None
    ) -> ErrorReply:
        """Read a server's error in any of the shapes that providers send."""
        return read_error(status, content, headers or {}, self.redact)

    def translate(self, reply: ErrorReply) -> CallError | ReplyError | EngineUnusableError:
        """Turn a server's error into one of ours."""
        return translate(reply, self.name, self.key_variable)

    def bad_response(self, problem: str) -> CallError:
        """Return the error for a reply that is not what the protocol says."""
        return CallError(Cause.BAD_RESPONSE, f"{self.name} {problem}", retryable=True)

    def decode(self, content: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
        """Decode a reply.

        Raises:
            CallError: it is not JSON, or JSON of another shape.
        """
        try:
            return decoder.decode(content)
        except msgspec.ValidationError as error:
            raise self.bad_response(f"sent JSON of an unknown shape: {error}") from None
        except (msgspec.DecodeError, RecursionError):
            return self._decode_python_json(content, decoder)

    def _decode_python_json(self, content: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
        """Decode what Python servers write: NaN and Infinity, which count as null here."""
        try:
            return decoder.decode(msgspec.json.encode(json.loads(content)))
        except (ValueError, TypeError, RecursionError):
            quote = shorten(self.redact(content[:4096].decode(errors="replace")))
            raise self.bad_response(f"sent no JSON: {quote or 'an empty body'}") from None

    async def _exchange(
        self,
        method: str,
        url: URL,
        data: aiohttp.BytesPayload | io.BytesIO | None,
        timeout: aiohttp.ClientTimeout,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request and read its reply.

        `from None` throughout: aiohttp's exceptions carry the request's headers, and so the key.
        """
        here = await self._here()
        try:
            response = await here.session.request(
                method,
                url,
                data=data,
                headers=here.headers,
                allow_redirects=False,
                timeout=timeout,
                proxy_headers=here.proxy_headers,
            )
            content = await self._read(response)
        except (aiohttp.ClientError, OSError) as error:
            raise self._translate_foreign(error) from None
        return response.status, response.headers, content

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Read a body up to the limit."""
        stream = response.content
        chunks: list[bytes] = []
        size = 0
        try:
            while not stream.at_eof():
                chunk = await stream.readany()
                size += len(chunk)
                if size > BODY_LIMIT:
                    raise self.bad_response(f"sent more than {BODY_LIMIT // 2**20} MB")
                chunks.append(chunk)
        except BaseException:
            response.close()
            raise
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _translate_foreign(self, error: Exception) -> CallError | EngineUnusableError:
        """Turn an exception of aiohttp or the operating system into one of ours."""
        detail = shorten(self.redact(str(error))) or type(error).__name__
        match error:
            case aiohttp.ClientConnectorCertificateError():
                return EngineUnusableError(
                    f"{self.name}: its TLS certificate is not trusted ({detail}); set "
                    "SSL_CERT_FILE to the authority's certificate"
                )
            case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
                return EngineUnusableError(f"{self.name}: the URL cannot be used ({detail})")
            case aiohttp.ConnectionTimeoutError():
                problem = f"{self.name} cannot be reached: no connection in time"
                return Unreachable(Cause.CONNECTION, problem, retryable=True)
            case aiohttp.ClientConnectorError():
                why = self.redact(error.os_error.strerror or "") or detail
                problem = f"{self.name} cannot be reached: {why}"
                return Unreachable(Cause.CONNECTION, problem, retryable=True)
            case aiohttp.ClientPayloadError():
                return self.bad_response(f"broke off in the middle of its reply: {detail}")
            case aiohttp.ClientResponseError():
                return self.bad_response(f"does not speak HTTP as it should: {error.message}")
            case TimeoutError():
                problem = f"{self.name} did not answer in time"
                return CallError(Cause.TIMEOUT, problem, retryable=True)
            case _:
                problem = f"{self.name} dropped the connection: {detail}"
                return CallError(Cause.CONNECTION, problem, retryable=True)

    async def _here(self) -> _Connections:
        """Return what the running loop uses, made on its first request."""
        loop = asyncio.get_running_loop()
        here = self._connections.get(loop)
        if here is None or here.session.closed:
            for closed in [other for other in list(self._connections) if other.is_closed()]:
                self._connections.pop(closed, None)
            here = self._connections[loop] = self._connect(loop)
            await anext(here.keeper)
        return here

    def _connect(self, loop: asyncio.AbstractEventLoop) -> _Connections:
        proxy, proxy_headers = (None, {}) if self._direct else _proxy(URL(self.base_url))
        # A proxy reads plain requests themselves; of encrypted ones it sees the CONNECT alone.
        plain = self.base_url.startswith("http:")
        connector = _Connector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ttl_dns_cache=300)
        connector.owner = os.getpid()
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), proxy=proxy
        )
        return _Connections(
            loop=loop,
            session=session,
            headers=self._headers | proxy_headers if plain else self._headers,
            proxy_headers=proxy_headers,
            lock=asyncio.Lock(),
            keeper=_keep(session),
        )

    def forget_after_fork(self) -> None:
        """Leave the parent's connections alone; called in the child."""
        for here in self._connections.values():
            here.session.detach()
            _inherited.append(here)
        self._connections = {}

    def close_at_exit(self) -> None:
        """Close connections of loops that still run in other threads."""
        for here in self._connections.values():
            if here.loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(_aclose(here.keeper), here.loop)
                with suppress(Exception):
                    closing.result(timeout=1)
            else:
                here.session.detach()
        self._connections = {}


async def _aclose(keeper: AsyncGenerator[None]) -> None:
    await keeper.aclose()


_transports: "weakref.WeakSet[Transport]" = weakref.WeakSet()
_inherited: list[_Connections] = []
"""What a forked child got from its parent; kept, since collecting it would close it."""


def _forget_after_fork() -> None:
    for transport in list(_transports):
        transport.forget_after_fork()


def _close_at_exit() -> None:
    for transport in list(_transports):
        transport.close_at_exit()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_close_at_exit)


def _proxy(url: URL) -> tuple[URL | None, dict[str, str]]:
    """Return the proxy that the environment names for a URL, and the headers that log in to it.

    Looked up once a session: aiohttp's own `trust_env` does it in a thread for every request.
    """
    found = urllib.request.getproxies().get(url.scheme)
    if not found or urllib.request.proxy_bypass(url.host or ""):
        return None, {}
    proxy = URL(found)
    if proxy.user is None:
        return proxy, {}
    login = f"{unquote(proxy.user)}:{unquote(proxy.password or '')}"
    basic = "Basic " + base64.b64encode(login.encode()).decode()
    return proxy.with_user(None), {"Proxy-Authorization": basic}
