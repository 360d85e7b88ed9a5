"""Who may ask: a token, and the names under which the server is asked."""

import base64
import binascii
import hmac
import ipaddress
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from plaudit.errors import UsageError

TOKEN_VARIABLE = "PLAUDIT_SERVE_TOKEN"
SHORTEST = 16
"""Fewest characters of a token."""
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: str | None, host: str) -> str | None:
    """Return the token that clients have to send, of a file or of the environment.

    Raises:
        UsageError: it cannot be read or is too short; or there is none, and other machines reach
            the address.
    """
    token = os.environ.get(TOKEN_VARIABLE) if path is None else _read(path)
    if token is None:
        if is_loopback(host):
            return None
        raise UsageError(
            f"--host {host} is reached from other machines, so clients need a token: give "
            f"--token-file FILE, or set {TOKEN_VARIABLE}"
        )
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
        raise UsageError(f"the token must be {SHORTEST} printable ASCII characters or more")
    return token


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--token-file {path}: {reason}") from None


class Gatekeeper:
    """Checks who asks, and under which name."""

    def __init__(self, token: str | None, names: Iterable[str] = ()) -> None:
        """Set the rules.

        Args:
            token: which clients have to send; None: none.
            names: under which the server may be asked, besides those of this machine. Without
                names a server with a token takes any: a web page does not know the token.
        """
        self._token = None if token is None else token.encode()
        self._names = {name.lower() for name in names}
        self._any_name = token is not None and not self._names
        self._knows = lru_cache(256)(self._looked_up)

    def admits(self, authorization: str) -> bool:
        """Whether the header of a request holds the token; compared in constant time."""
        if self._token is None:
            return True
        return hmac.compare_digest(_token_of(authorization), self._token)

    def knows(self, host: str) -> bool:
        """Whether a request names this server; a page with a forged name does not."""
        return self._any_name or self._knows(host)

    def _looked_up(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in _LOOPBACK_NAMES or name in self._names


def _token_of(authorization: str) -> bytes:
    """Return the token of a Bearer header, or the password of a Basic one."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
