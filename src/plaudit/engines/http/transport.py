"""The transport that HTTP engines share: JSON to an endpoint, with the key kept out of sight.

`connections` sends; `errors` knows what a server's own error message means.
"""

import asyncio
import atexit
import importlib
import os
import re
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
from yarl import URL

from plaudit._util.forks import finished_before_a_fork
from plaudit._util.loops import drop_closed
from plaudit.engines.http.errors import ErrorReply, read_error, translate
from plaudit.engines.replies import decode_json, read_body, unreadable
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError

CONNECT_SECONDS = 10.0
"""Time for a connection and TLS. The whole request is bounded by the caller."""

# Shorter keys are placeholders ("x"), and replacing them would garble every message.
_SHORTEST_SECRET = 4
# In replies, which are kept as they are, a word or a short text may stand for itself ("EMPTY").
_SHORTEST_KEY = 8
_SHORTEST_WORD = 16
_MOST_TEXT = 64 * 1024
_JSON = "application/json"

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


_ESCAPES = (b"\\u00", b"\\/")
"""How JSON escapes the characters that a key may hold."""
_MAY_BE_ESCAPED = '"\\/'


def _written(key: str) -> re.Pattern[bytes] | None:
    """Return what finds a key in JSON text; None: it is a placeholder such as EMPTY, or none."""
    if len(key) < (_SHORTEST_WORD if key.isalpha() else _SHORTEST_KEY):
        return None
    return re.compile("".join(map(_form, key)).encode())


def _form(char: str) -> str:
    escape = r"\\?" if char in _MAY_BE_ESCAPED else ""
    return rf"(?:{escape}{re.escape(char)}|(?i:\\u{ord(char):04x}))"


TIMEOUTS = {"connect_timeout": f"{CONNECT_SECONDS:g}", "first_byte_timeout": ""}
"""Options of the engine URI, and their defaults."""


def call_timeouts(uri: EngineURI, options: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Read the time-outs of an engine URI: for the connection, and for each wait for bytes.

    Raises:
        UsageError: one is no positive number of seconds.
    """
    connect, first_byte = (_seconds(uri, name, options[name]) for name in TIMEOUTS)
    return connect, first_byte


def _seconds(uri: EngineURI, name: str, given: str) -> float | None:
    if not given:
        return None
    with suppress(ValueError):
        if 0 < float(given) < float("inf"):
            return float(given)
    raise UsageError(f"engine {uri.scheme}: {name}={given} is no number of seconds")


@finished_before_a_fork()
def import_connections() -> ModuleType:
    """Import the module that sends, which is slow to import and not always needed."""
    return importlib.import_module("plaudit.engines.http.connections")


def import_for_transports() -> None:
    """Import what requests need now, where there is a transport that will send some."""
    if _transports:
        import_connections()


def bearer(key: str) -> dict[str, str]:
    """Return the header that carries a key; without one, none."""
    return {"Authorization": f"Bearer {key}"} if key else {}


class Upload(NamedTuple):
    """A file that is sent."""

    path: Path
    fields: Mapping[str, str] | None = None
    """Fields of the form that holds the file as `file`; None: the file is the whole body."""
    headers: Mapping[str, str] = {}


class Transfer(NamedTuple):
    """An exchange other than a JSON request and its reply."""

    method: str
    url: URL
    body: bytes | Upload | None = None
    into: Path | None = None
    """The file that takes the body of a good reply."""


Answered = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of a reply, without the key."""


class Transport:
    """JSON requests to one endpoint, from any event loop and after a fork.

    Connections are made on first use in each loop, and kept in `connections`. A transport holds the
    key and is never pickled; its engine is.
    """

    def __init__(
        self,
        scheme: str,
        base_url: str,
        key_variable: str,
        headers: Callable[[str], dict[str, str]] = bearer,
        *,
        timeouts: tuple[float | None, float | None] = (CONNECT_SECONDS, None),
        own_key: str | None = None,
    ) -> None:
        """Prepare for an endpoint.

        Args:
            scheme: the provider, as engine URIs name it.
            base_url: without a last slash.
            key_variable: the environment variable that holds the key; need not be set.
            headers: the headers that carry a key, and whatever else is always sent.
            timeouts: seconds for a connection and for each wait for bytes, from `call_timeouts`.
            own_key: the key of a server that this process started, instead of the environment's.
                Such a server is reached without a proxy.

        Raises:
            UsageError: the key cannot be sent.
        """
        key = read_key(key_variable) if own_key is None else own_key
        self.direct = own_key is not None
        self.timeouts = timeouts
        self.scheme = scheme
        self.name = f"{scheme} at {base_url}"
        self.base_url = base_url
        self.key_variable = key_variable
        self.has_key = bool(key)
        self._key = key
        self._written_key = _written(key)
        self.headers = {
            "Content-Type": _JSON,
            "Accept": _JSON,
            "Accept-Encoding": "identity",
            "User-Agent": "plaudit",
            **headers(key),
        }
        self.connections: dict[asyncio.AbstractEventLoop, Any] = {}
        _transports.add(self)

    def __repr__(self) -> str:
        return f"Transport({self.name!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a Transport holds a key and cannot be pickled; pickle its engine")

    def url(self, path: str) -> URL:
        """Return the URL of a path below the base URL."""
        return URL(self.base_url + path, encoded=True)

    async def post(self, url: URL, body: bytes, reader: Callable[[bytes], T]) -> T:
        """Send JSON and return what a reader makes of the body of a good reply.

        Raises:
            CallError: no good reply came; `Refusal` where something may be given up.
            ReplyError: a content filter stopped it, or the reader found no completion.
            EngineUnusableError: no further request can succeed.
        """
        status, headers, content = await (await self._here()).exchange(url, body)
        try:
            if status == 200:
                return self.read(self.hide_key(content), reader)
            return self.read(content, partial(self._refuse, status, headers, body))
        finally:
            del content  # What is raised keeps this frame.

    def _refuse(
        self, status: int, headers: Mapping[str, str], sent: bytes, content: bytes
    ) -> NoReturn:
        raise self.translate(self.read_error(status, content, headers, sent))

    def read(self, content: bytes, reader: Callable[[bytes], T]) -> T:
        """Return what a reader makes of a body; see `read_body`."""
        try:
            return read_body(content, reader, self.name, self.redact)
        finally:
            del content

    async def get(self, url: URL) -> tuple[int, bytes]:
        """Return status and body, whatever the status; gives up after seconds.

        Raises:
            CallError: nothing came; `Unreachable` where no connection was made.
            EngineUnusableError: no request can succeed.
        """
        status, _, content = await (await self._here()).exchange(url, None)
        return status, self.hide_key(content)

    async def transfer(self, sent: Transfer) -> Answered:
        """Exchange JSON by any method, or whole files; return what came, whatever the status.

        What goes into a file may hold the key.

        Raises:
            CallError: nothing came; `Unreachable` where no connection was made.
            EngineUnusableError: no request can succeed.
        """
        status, headers, content = await (await self._here()).transfer(sent)
        return status, headers, self.hide_key(content)

    async def lock(self) -> asyncio.Lock:
        """Return the lock of this event loop."""
        return (await self._here()).lock

    async def close(self) -> None:
        """Close the connections of this event loop; those of other loops close with them."""
        here = self.connections.pop(asyncio.get_running_loop(), None)
        if here:
            await here.close()

    def redact(self, text: str) -> str:
        """Return the beginning of a foreign text printable, on one line and without the key."""
        if len(self._key) >= _SHORTEST_SECRET:
            text = text.replace(self._key, "[key]")
        text = text[:_MOST_TEXT]  # Not before: half a key would not be found.
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())

    def hide_key(self, content: bytes) -> bytes:
        """Return the body of a reply without the key, which would be stored and shown with it.

        The key is found in JSON text too where some of its characters are escaped.
        """
        if self._written_key is None:
            return content
        if self._key.encode() in content or any(escape in content for escape in _ESCAPES):
            return self._written_key.sub(b"[key]", content)
        return content

    def read_error(
        self,
        status: int,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        sent: bytes = b"",
    ) -> ErrorReply:
        """Read a server's error in any of the shapes that providers send; see `read_error`."""
        return read_error(status, self.hide_key(content), headers or {}, self.redact, sent)

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
            return decode_json(content, decoder)
        except msgspec.ValidationError as error:
            raise self.bad_response(f"sent JSON of an unknown shape: {error}") from None
        except UnicodeDecodeError:
            what = "text that is not UTF-8"
            raise unreadable(content, what, self.name, self.redact) from None
        except (ValueError, TypeError, RecursionError):
            raise unreadable(content, "no JSON", self.name, self.redact) from None

    async def _here(self) -> Any:
        """Return the `Connections` of the running loop, made on its first request."""
        loop = asyncio.get_running_loop()
        here = self.connections.get(loop)
        if here is None or here.closed:
            drop_closed(self.connections)
            here = self.connections[loop] = import_connections().Connections(self)
            await here.open()
        return here

    def forget_after_fork(self) -> None:
        """Leave the parent's connections alone; called in the child."""
        for here in self.connections.values():
            here.detach()
        self.connections = {}

    def close_at_exit(self) -> None:
        """Close connections of loops that still run in other threads."""
        for here in self.connections.values():
            here.close_at_exit()
        self.connections = {}


_transports: "weakref.WeakSet[Transport]" = weakref.WeakSet()


def _forget_after_fork() -> None:
    for transport in list(_transports):
        transport.forget_after_fork()


def _close_at_exit() -> None:
    for transport in list(_transports):
        transport.close_at_exit()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_close_at_exit)
