"""The transport that HTTP engines share, the translation of its errors, and feature negotiation.

Every foreign exception and every HTTP status becomes one of plaudit's own errors here, once:

======================================  ==================  =========  =============
what happened                           cause               retryable  ends the run
======================================  ==================  =========  =============
no connection, reset, unknown host      connection          yes        (in `open`)
untrusted certificate, a redirect       -                   -          yes
truncated, too large, not JSON          bad_response        yes        no
401 402 403 404 405, no credit          -                   -          yes
408                                     timeout             yes        no
409 425 5xx                             server_error        yes        no
429                                     rate_limited        yes        no
the prompt is longer than the context   context_overflow    no         no
stopped by a content filter             refused (a reply)   no         no
other 4xx                               bad_request         no         no
======================================  ==================  =========  =============
"""

import asyncio
import atexit
import base64
import io
import json
import logging
import os
import re
import urllib.request
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from plaudit.engines.base import Capabilities, Completion, EngineURI, Request
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.types import Json

BODY_LIMIT = 8 * 1024 * 1024
"""Most bytes of a reply that are read."""

CONNECT_SECONDS = 10.0
"""Time for name lookup, connection and TLS. The whole request is bounded by the caller."""

_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=8, connect=4)
_QUOTE_LENGTH = 200
_COMPLAINT_LENGTH = 300
_PATIENCE_SECONDS = 2.0
# Shorter keys are placeholders ("x"), and replacing them would garble every message.
_SHORTEST_SECRET = 4
# uvicorn (vLLM, SGLang) drops idle connections after 5 s; one that we drop first is never lost.
_KEEPALIVE_SECONDS = 4.0
# aiohttp warns where a larger body is handed over as bytes.
_LARGE_BODY = 1024 * 1024

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
Terms = TypeVar("Terms", bound=msgspec.Struct)


class Unreachable(CallError):
    """No connection could be made: nothing listens, or the host is unknown."""


class Refusal(CallError):
    """The server refused something in the request that may be given up.

    Attributes:
        reply: what the server said.
    """

    def __init__(
        self, cause: Cause, message: str, reply: "ErrorReply", *, retryable: bool = False
    ) -> None:
        super().__init__(cause, message, retryable=retryable)
        self.reply = reply


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """A server's error message, whatever shape it came in."""

    status: int
    message: str = ""
    """Printable, on one line, without the key."""
    param: str = ""
    """The field of the request that is blamed; empty where the server does not say."""
    code: str = ""
    """The server's own error code and type."""
    needed: int | None = None
    """Tokens of the prompt, where the server counts them."""
    limit: int | None = None
    """Tokens that the context holds, where the server says so."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    location: str = ""
    """Where a redirect leads."""

    @property
    def quote(self) -> str:
        """The message cut to what fits in an error of ours."""
        return shorten(self.message)

    @property
    def complaint(self) -> str:
        """What features are looked for in: the beginning, since servers echo the prompt later."""
        return f"{self.code} {self.message[:_COMPLAINT_LENGTH]}"


class _Row(NamedTuple):
    cause: Cause | None
    """None: the error ends the run."""
    retryable: bool = False
    advice: str = ""


_KEY_ADVICE = "set {variable} to a key that this endpoint accepts"
_PATH_ADVICE = (
    "check the model's name, that the base URL is complete (most end in /v1), and that the "
    "endpoint offers this mode (--mode)"
)
_STATUS: dict[int, _Row] = {
    401: _Row(None, advice=_KEY_ADVICE),
    402: _Row(None, advice="the account behind {variable} has no credit"),
    403: _Row(None, advice=_KEY_ADVICE),
    404: _Row(None, advice=_PATH_ADVICE),
    405: _Row(None, advice=_PATH_ADVICE),
    408: _Row(Cause.TIMEOUT, retryable=True),
    409: _Row(Cause.SERVER_ERROR, retryable=True),
    425: _Row(Cause.SERVER_ERROR, retryable=True),
    429: _Row(Cause.RATE_LIMITED, retryable=True),
}
_REDIRECT = _Row(None, advice="redirects are not followed; write the URL it leads to, {location}")
_CLIENT_ERROR = _Row(Cause.BAD_REQUEST)
_SERVER_ERROR = _Row(Cause.SERVER_ERROR, retryable=True)
_ODD_STATUS = _Row(Cause.BAD_RESPONSE, retryable=True)
_NO_CREDIT = _STATUS[402]
_NEGOTIABLE = frozenset({400, 422, 501})
_ABOUT_THE_PROMPT = frozenset({400, 413, 422, 500})

_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded|available context size|maximum context length"
    r"|prompt is too long|exceed context limit|model'?s context length|maximum model length"
    r"|exceeds the maximum allowed length|exceed the configured limit|exceed context window"
    r"|`inputs` tokens",
    re.IGNORECASE,
)
_NEEDED = re.compile(
    r"(?:requested(?: a total of)?|resulted in|request has|prompt is too long:|contains"
    r"|(?:input|request|length|tokens) \((?:length )?|\(length|limit:|given:)\s*(\d+)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:context length(?: is| of)?|context (?:length|size) \(|allowed length \("
    r"|configured limit of|model length of|context window of|<=|>|with)\s*(\d+)",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content_filter|content_policy|flagged as potentially violating", re.I)
_UNPAID = re.compile(r"insufficient_quota|credit balance is too low|billing_hard_limit", re.I)


def shorten(text: str) -> str:
    """Cut a foreign text to what an error message may quote."""
    return text if len(text) <= _QUOTE_LENGTH else text[: _QUOTE_LENGTH - 1] + "…"


def read_key(variable: str) -> str:
    """Return the key that an environment variable holds, or the empty string.

    Raises:
        UsageError: it holds characters that no HTTP header can carry.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise UsageError(f"{variable} holds characters that cannot be sent; set it to the bare key")
    return key


def check_base_url(url: str) -> str:
    """Return a base URL without its last slash.

    Raises:
        UsageError: it is no HTTP URL, or holds a password.
    """
    problem = UsageError(f"{shorten(url)!r} is not a base URL; write http://host:port/v1")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise problem from None
    if not usable:
        raise problem
    if parts.username or parts.password:
        raise UsageError(f"the base URL at {parts.hostname} holds a password; leave it out")
    return url.rstrip("/")


def only_base_url(uri: EngineURI) -> str | None:
    """Return the base URL of an engine URI, None where it names none.

    Raises:
        UsageError: it names several.
    """
    if len(uri.base_urls) > 1:
        raise UsageError(
            f"engine {uri.scheme}: takes one URL for now, and {len(uri.base_urls)} are given"
        )
    return uri.base_urls[0] if uri.base_urls else None


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
        self, scheme: str, base_url: str, variable: str, headers: Callable[[str], dict[str, str]]
    ) -> None:
        """Prepare for an endpoint.

        Args:
            scheme: the provider, as engine URIs name it.
            base_url: without a last slash.
            variable: the environment variable that holds the key; need not be set.
            headers: the headers that carry a key, and whatever else is always sent.

        Raises:
            UsageError: the key cannot be sent.
        """
        key = read_key(variable)
        self.name = f"{scheme} at {base_url}"
        self.base_url = base_url
        self.variable = variable
        self.has_key = bool(key)
        self._key = key
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "plaudit",
            **headers(key),
        }
        self._connections: dict[asyncio.AbstractEventLoop, _Connections] = {}
        self._last: _Connections | None = None
        self._proxied: dict[str, Any] = {}
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
        data = body if len(body) < _LARGE_BODY else io.BytesIO(body)
        status, headers, content = await self._exchange("POST", url, data, None)
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
        self._last = None
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
        text = content[: 1024 * 64].decode(errors="replace")
        try:
            found = _find_error(msgspec.json.decode(content))
        except (ValueError, RecursionError):
            found = {"message": text}
        found = {k: self.redact(v) if isinstance(v, str) else v for k, v in found.items()}
        if headers:
            found["retry_after"] = _retry_after(headers)
            found["location"] = self.redact(headers.get("Location", ""))[:_QUOTE_LENGTH]
        return ErrorReply(status=status, **cast("dict[str, Any]", found))

    def translate(self, reply: ErrorReply) -> CallError | ReplyError | EngineUnusableError:
        """Turn a server's error into one of ours, by the table above."""
        said = f"{self.name} answered {reply.status}: {reply.quote or 'nothing'}"
        blamed = f"{reply.code} {reply.message}"
        if reply.status in _ABOUT_THE_PROMPT:
            if reply.needed or _OVERFLOW.search(blamed):
                return CallError(Cause.CONTEXT_OVERFLOW, self._overflow(reply))
            if _FILTERED.search(reply.complaint):
                return ReplyError(Cause.REFUSED, f"{said}. Its content filter stopped the request")
        row = _row(reply, blamed)
        if row is not _NO_CREDIT and _negotiable(reply):
            cause = row.cause or Cause.BAD_REQUEST
            return Refusal(cause, said, reply, retryable=row.retryable)
        if row.cause is None:
            advice = row.advice.format(variable=self.variable, location=reply.location or "unknown")
            return EngineUnusableError(f"{said}; {advice}")
        return CallError(row.cause, said, retryable=row.retryable, retry_after=reply.retry_after)

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

    def _overflow(self, reply: ErrorReply) -> str:
        if reply.needed and reply.limit:
            size = f"the request takes {reply.needed} tokens and the context holds {reply.limit}"
        else:
            size = f"the request is longer than the model's context ({reply.quote})"
        return (
            f"{size} ({self.name}); nothing was cut. Shorten the input, ask for fewer tokens, or "
            "serve the model with a longer context"
        )

    async def _exchange(
        self,
        method: str,
        url: URL,
        data: bytes | io.BytesIO | None,
        timeout: aiohttp.ClientTimeout | None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request and read its reply.

        `from None` throughout: aiohttp's exceptions carry the request's headers, and so the key.
        """
        here = self._last
        if here is None or here.loop is not asyncio.get_running_loop() or here.session.closed:
            here = await self._here()
        options: dict[str, Any] = (
            self._proxied if timeout is None else {**self._proxied, "timeout": timeout}
        )
        try:
            response = await here.session.request(
                method, url, data=data, allow_redirects=False, **options
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
            case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
                problem = f"{self.name} cannot be reached: {detail}"
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
            session = self._session()
            here = _Connections(loop, session, asyncio.Lock(), _keep(session))
            self._connections[loop] = here
            await anext(here.keeper)
        self._last = here
        return here

    def _session(self) -> aiohttp.ClientSession:
        proxy, login = _proxy(URL(self.base_url))
        headers = self._headers
        if login:
            self._proxied = {"proxy_headers": {"Proxy-Authorization": login}}
            if self.base_url.startswith("http:"):
                headers = {**headers, "Proxy-Authorization": login}
        connector = _Connector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS, ttl_dns_cache=300)
        connector.owner = os.getpid()
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            proxy=proxy,
        )

    def forget_after_fork(self) -> None:
        """Leave the parent's connections alone; called in the child."""
        for here in self._connections.values():
            here.session.detach()
            _inherited.append(here)
        self._connections = {}
        self._last = None

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


def _proxy(url: URL) -> tuple[URL | None, str]:
    """Return the proxy that the environment names for a URL, and its Proxy-Authorization.

    Looked up once a session: aiohttp's own `trust_env` does it in a thread for every request.
    """
    found = urllib.request.getproxies().get(url.scheme)
    if not found or urllib.request.proxy_bypass(url.host or ""):
        return None, ""
    proxy = URL(found)
    if proxy.user is None:
        return proxy, ""
    login = f"{unquote(proxy.user)}:{unquote(proxy.password or '')}"
    return proxy.with_user(None), "Basic " + base64.b64encode(login.encode()).decode()


def _negotiable(reply: ErrorReply) -> bool:
    """Tell whether a refusal may be about one feature of the request only."""
    return reply.status in _NEGOTIABLE or (reply.status == 403 and "logprobs" in reply.complaint)


def _row(reply: ErrorReply, blamed: str) -> _Row:
    if _UNPAID.search(blamed):
        return _NO_CREDIT
    if reply.status in _STATUS:
        return _STATUS[reply.status]
    if 300 <= reply.status < 400:
        return _REDIRECT
    if 400 <= reply.status < 500:
        return _CLIENT_ERROR
    return _SERVER_ERROR if reply.status >= 500 else _ODD_STATUS


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait: milliseconds, seconds or an HTTP date."""
    value = headers.get("retry-after-ms")
    with suppress(ValueError):
        if value is not None:
            return max(0.0, float(value) / 1000)
    value = headers.get("Retry-After", "")
    with suppress(ValueError):
        seconds = float(value)
        return max(0.0, seconds) if seconds < float("inf") else None
    with suppress(ValueError):
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return None


def _find_error(body: Json) -> dict[str, Json]:
    """Find the fields of `ErrorReply` in an error body.

    Known shapes: `{"error": {...}}` (OpenAI, Anthropic, llama.cpp), the same fields at the top
    (older vLLM, SGLang, Mistral), `{"error": "text"}`, and FastAPI's `{"detail": text or list}`.
    """
    if not isinstance(body, dict):
        return {"message": body if isinstance(body, str) else ""}
    found = cast("dict[str, Json]", body)
    if isinstance(inner := found.get("error"), dict):
        found = cast("dict[str, Json]", inner)
    message = found.get("message") or found.get("error") or found.get("detail") or ""
    message, param, kind = _unfold(message)
    codes = (found.get("code"), found.get("type"), kind)
    needed, limit = _token_counts(found, message)
    return {
        "message": message,
        "param": _field(found.get("param")) or param,
        "code": " ".join(str(code) for code in codes if code),
        "needed": needed,
        "limit": limit,
    }


def _unfold(message: Json) -> tuple[str, str, str]:
    """Return text, blamed field and kind of a message that may hold FastAPI's list of details."""
    if isinstance(message, dict):
        return _unfold(cast("dict[str, Json]", message).get("detail", ""))
    if not isinstance(message, list):
        return str(message), "", ""
    details = [
        cast("dict[str, Json]", item)
        for item in cast("list[Json]", message)
        if isinstance(item, dict)
    ]
    texts = [f"{_field(item.get('loc'))}: {item.get('msg', '')}" for item in details]
    first = details[0] if details else {}
    return "; ".join(texts), _field(first.get("loc")), str(first.get("type", ""))


def _field(blamed: Json) -> str:
    """Return the top-level field of the request that `param` or `loc` names."""
    if isinstance(blamed, str):
        return re.split(r"[.\[]", blamed.removeprefix("body."))[0]
    if isinstance(blamed, list):
        path = [str(step) for step in cast("list[Json]", blamed) if step != "body"]
        return path[0] if path else ""
    return ""


def _token_counts(found: dict[str, Json], message: str) -> tuple[int | None, int | None]:
    """Return tokens needed and tokens available, of a message about the context's size."""
    needed, limit = found.get("n_prompt_tokens"), found.get("n_ctx")
    if isinstance(needed, int) and isinstance(limit, int):
        return needed, limit
    if not _OVERFLOW.search(f"{found.get('code')} {found.get('type')} {message}"):
        return None, None
    if match := re.search(r"(\d+) \+ (\d+) > (\d+)", message):
        return int(match[1]) + int(match[2]), int(match[3])
    asked, holds = _NEEDED.search(message), _LIMIT.search(message)
    return (int(asked[1]) if asked else None), (int(holds[1]) if holds else None)


class Feature(msgspec.Struct, Generic[Terms], frozen=True):
    """Something in a request that an endpoint may not know and that can be given up."""

    fields: frozenset[str]
    """Fields of the request's body that carry it."""
    complaint: re.Pattern[str]
    """What a server says that refuses it."""
    lower: Callable[[Terms, ErrorReply, dict[str, Json]], dict[str, Json]]
    """From terms, complaint and refused body to changed fields of the terms.

    No field, or none that changes: there is nothing left to give up.
    """
    note: str
    """What is told when it is given up; the changed fields are filled in."""
    quiet: bool = False
    """Whether nothing is lost by it, so that it is no warning."""


def give_up(name: str, to: Json) -> Callable[[Any, ErrorReply, dict[str, Json]], dict[str, Json]]:
    """Return a `Feature.lower` that sets one field of the terms to its last value."""

    def lower(_: Any, __: ErrorReply, ___: dict[str, Json]) -> dict[str, Json]:
        return {name: to}

    return lower


def complains(*about: str) -> re.Pattern[str]:
    """Return a pattern for messages that say that one of the fields is not supported at all.

    A value out of range is not meant: to drop that silently would not be what the user asked for.
    """
    words = "|".join(about)
    return re.compile(
        rf"(?s)(?=.*\b(?:{words})\b)(?=.*(?:not support|unsupported|deprecated|only the default"
        r"|not permitted|forbidden|unrecognized|unknown|unexpected|not allowed|cannot both"
        r"|not available|not implemented|incompatible))",
        re.IGNORECASE,
    )


class HTTPEngine(Generic[Terms, R]):
    """What engines over HTTP share: identity, preflight, discovery and negotiation.

    An endpoint that refuses a feature is asked again without it. What was given up is remembered;
    the first request of each kind finds it out alone while the others wait a moment. Later
    requests take no lock.
    """

    features: ClassVar[tuple[Feature[Any], ...]] = ()
    """What can be given up, in the order in which it is tried."""

    def __init__(
        self,
        uri: EngineURI,
        transport: Transport,
        terms: Terms,
        capabilities: Capabilities,
        *,
        scheme: str = "",
        models_path: str = "/models",
        revision: str = "",
        needs_key: bool = False,
    ) -> None:
        """Put an engine together.

        Args:
            uri: what it is made from.
            transport: how it is reached.
            terms: what requests ask for until something is refused.
            capabilities: what it can do.
            scheme: the scheme in its identity, if not the URI's.
            models_path: where models are listed.
            revision: a part of its identity.
            needs_key: whether it is of no use without a key.
        """
        self._uri = uri
        self._scheme = scheme or uri.scheme
        self._needs_key = needs_key
        self._transport = transport
        self._terms = terms
        self._capabilities = capabilities
        self._models_url = transport.url(models_path)
        self._revision = revision
        self._model = uri.model
        self._settled: set[int] = set()
        self._notes: list[str] = []
        self.refused = 0
        """Requests that were refused for a feature and sent again without it."""
        self._ready = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def __reduce__(self) -> Any:
        """Pickle the URI alone; the key is read from the environment where it is loaded."""
        return type(self), (self._uri,)

    @property
    def uri(self) -> str:
        """The engine URI that makes this engine again."""
        return str(self._uri)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, before anything was negotiated."""
        return self._capabilities

    @property
    def notes(self) -> tuple[str, ...]:
        """What the endpoint refused and was given up; each continues "the endpoint ..."."""
        return tuple(self._notes)

    async def identify(self) -> str:
        """Return `scheme:model` or `scheme:model@revision`.

        Raises:
            EngineUnusableError: no model is named and the endpoint does not list exactly one.
        """
        await self._find_model()
        revision = f"@{self._revision}" if self._revision else ""
        return f"{self._scheme}:{self._model}{revision}"

    async def open(self) -> None:
        """Check that the endpoint is there and takes the key.

        Raises:
            EngineUnusableError: it cannot be reached, refuses the key, or names no model.
        """
        if self._ready:
            return
        if self._needs_key and not self._transport.has_key:
            raise EngineUnusableError(
                f"{self._transport.name} needs a key; set {self._transport.variable}"
            )
        try:
            await self._preflight()
        except Unreachable:
            await asyncio.sleep(0.5)
            try:
                await self._preflight()
            except Unreachable as error:
                raise EngineUnusableError(f"{error}; is the server running?") from None
        await self._find_model()
        self._ready = True

    async def close(self) -> None:
        """Close the connections; the engine may be opened again."""
        self._ready = False
        await self._transport.close()

    async def complete(self, request: Request) -> Completion:
        """Complete one request.

        Raises:
            CallError: no reply came.
            ReplyError: a filter refused, or log-probabilities were asked for and none came.
            EngineUnusableError: no further request can succeed.
        """
        if not self._model:
            await self._find_model()
        kind = self._kind(request)
        if kind in self._settled:
            return await self._ask(request, kind)
        lock = await self._transport.lock()
        alone = await _acquire(lock)
        try:
            if kind not in self._settled:
                return await self._ask(request, kind)
        finally:
            if alone:
                lock.release()
        return await self._ask(request, kind)

    async def _ask(self, request: Request, kind: int) -> Completion:
        """Send a request on the terms found so far, giving up what is refused."""
        terms = self._terms
        given_up: list[tuple[Feature[Terms], dict[str, Json]]] = []
        while True:
            body = self._body(request, terms)
            try:
                content = await self._transport.post(self._url(request), self._encode(body))
                reply = self._decode(content)
                break
            except Refusal as refusal:
                feature, changes = self._lower(terms, refusal, body)
                self.refused += 1
                given_up.append((feature, changes))
                terms = msgspec.structs.replace(terms, **changes)
        if given_up:
            self._remember(given_up)
        self._settled.add(kind)
        return self._completion(reply, request)

    def _lower(
        self, terms: Terms, refusal: Refusal, body: dict[str, Json]
    ) -> tuple[Feature[Terms], dict[str, Json]]:
        """Find what a refusal is about, and how to do without.

        Raises:
            CallError: the refusal itself, if it is about nothing that can be given up.
        """
        reply = refusal.reply
        blamed = [f for f in self.features if reply.param in f.fields] or self.features
        for feature in blamed:
            if feature.fields.isdisjoint(body) or not feature.complaint.search(
                f"{reply.param} {reply.complaint}"
            ):
                continue
            changes = feature.lower(terms, reply, body)
            if any(getattr(terms, name) != value for name, value in changes.items()):
                return feature, changes
        raise self._give_up(refusal, body) from None

    def _give_up(self, refusal: Refusal, body: dict[str, Json]) -> Exception:
        """Return what to raise for a refusal that nothing can be done about."""
        return refusal

    def _remember(self, given_up: list[tuple[Feature[Terms], dict[str, Json]]]) -> None:
        """Keep what was given up; called once a request succeeded without it."""
        for feature, changes in given_up:
            self._terms = msgspec.structs.replace(self._terms, **changes)
            note = feature.note.format(**changes)
            if note not in self._notes:
                self._notes.append(note)
                level = logging.INFO if feature.quiet else logging.WARNING
                _LOG.log(level, "%s: it %s", self._transport.name, note)

    def _encode(self, body: dict[str, Json]) -> bytes:
        try:
            return msgspec.json.encode(body)
        except (UnicodeEncodeError, TypeError) as error:
            raise CallError(
                Cause.BAD_REQUEST, f"the request to {self._transport.name} is no JSON: {error}"
            ) from None

    async def _preflight(self) -> None:
        """Ask for the models; whatever answers but a refused key is good enough."""
        try:
            status, content = await self._transport.get(self._models_url)
        except Unreachable:
            raise
        except CallError:
            return
        if status in (401, 403):
            raise self._transport.translate(self._transport.read_error(status, content))

    async def _find_model(self) -> None:
        if self._model:
            return
        async with await self._transport.lock():
            if not self._model:
                self._model = await self._discover()

    async def _discover(self) -> str:
        """Return the one model that the endpoint serves."""
        url = self._models_url
        name = f"write {self._uri.scheme}:MODEL"
        try:
            status, content = await self._transport.get(url)
        except CallError as error:
            raise EngineUnusableError(
                f"no model is named and {url} cannot be asked for one: {error}"
            ) from None
        if status in (401, 403):
            raise self._transport.translate(self._transport.read_error(status, content))
        models = self._model_names(status, content)
        if len(models) == 1:
            return models[0]
        if not models:
            raise EngineUnusableError(f"no model is named and {url} lists none; {name}")
        listed = self._transport.redact(", ".join(models[:10])) + ", …" * (len(models) > 10)
        raise EngineUnusableError(f"{url} lists {len(models)} models; {name} with one of: {listed}")

    def _model_names(self, status: int, content: bytes) -> list[str]:
        listed: list[_Model] = []
        if status == 200:
            with suppress(CallError):
                found = self._transport.decode(content, _MODELS)
                listed = found if isinstance(found, list) else found.data
        return [model.id for model in listed if model.id]

    def _kind(self, request: Request) -> int:
        """Return a number for the set of features that a request uses."""
        return (
            isinstance(request.prompt, str)
            | (request.logprobs > 0) << 1
            | (request.schema is not None) << 2
            | (request.sampling.seed is not None) << 3
        )

    def _url(self, request: Request) -> URL:
        raise NotImplementedError

    def _body(self, request: Request, terms: Terms) -> dict[str, Json]:
        raise NotImplementedError

    def _decode(self, content: bytes) -> R:
        raise NotImplementedError

    def _completion(self, reply: R, request: Request) -> Completion:
        raise NotImplementedError


class _Model(msgspec.Struct):
    id: str = ""


class _ModelList(msgspec.Struct):
    data: list[_Model]


_MODELS: msgspec.json.Decoder[_ModelList | list[_Model]] = msgspec.json.Decoder(
    _ModelList | list[_Model]
)


async def _acquire(lock: asyncio.Lock) -> bool:
    """Wait for a lock, but not long: a slow first reply must not hold up all the others.

    Refusals come before a model starts to write, so after this time the first request was accepted.
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await lock.acquire()
    except TimeoutError:
        return False
    return True
