"""Engine URIs: `scheme:[model][@base_url[,base_url...]][?option=value&...]`."""

import os
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from plaudit.errors import UsageError

_SCHEME = re.compile(r"[a-z][a-z0-9_-]*")
_NAME = re.compile(r"\w+")
_FILES = frozenset({"local", "gguf", "hf", "scripted", "none"})
"""Schemes of engines in this process: they take no base URL, and `@` is part of a file's path."""
_URL_OF_FILE = re.compile(r"@[^/]*//")
_MOST_DIGITS = 20
_AT = "%40"
"""Stands for an `@` in the name of a model."""
_HERE = "127.0.0.1"
_URL = re.compile(r"^(https?:|//)", re.IGNORECASE)
_ADDRESS = re.compile(
    r"^\w+:/|^//|://|^(localhost|\d+(\.\d+){3}|\[[\da-f:.]+\])(:|/|$)|:\d{2,5}(/|$)", re.IGNORECASE
)
"""Matches addresses; no name of a hosted model looks like one."""
PASSWORD = "it holds a password"


class EngineURI(msgspec.Struct, frozen=True):
    """`scheme:[model][@base_url[,base_url...]][?option=value&...]`, taken apart."""

    scheme: str
    model: str = ""
    base_urls: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "EngineURI":
        """Take an engine URI apart.

        What follows the first `@` is base URLs and nothing else; `%40` in the name of a model
        stands for an `@`. Models that are files have paths, in which `@` and `%40` are themselves.

        Raises:
            UsageError: the text is not of that form, or what follows `@` is no base URL or holds a
                password. The message quotes nothing that could be one.
        """
        head, _, query = text.partition("?")
        scheme, _, rest = head.partition(":")
        if not _SCHEME.fullmatch(scheme):
            shown = "what was given" if "@" in text or "//" in text else repr(text)
            raise UsageError(
                f"{shown} is not an engine URI; write scheme:model@url, such as local, "
                "gguf:model.gguf or vllm:my-model@http://127.0.0.1:8000/v1"
            )
        options = tuple(parse_qsl(query, keep_blank_values=True))
        if scheme in _FILES:
            if _URL_OF_FILE.search(rest):
                raise UsageError(f"engine {scheme}: runs in this process and takes no URL")
            return cls(scheme, rest, (), options)
        model, separator, urls = rest.partition("@")
        base_urls = _base_urls(scheme, urls) if separator else ()
        return cls(scheme, model.replace(_AT, "@"), base_urls, options)

    def __str__(self) -> str:
        model = self.model if self.scheme in _FILES else self.model.replace("@", _AT)
        at = "@" + ",".join(self.base_urls) if self.base_urls else ""
        colon = ":" if model or at else ""
        query = "?" + urlencode(self.options) if self.options else ""
        return f"{self.scheme}{colon}{model}{at}{query}"

    def take(self, **known: str) -> dict[str, str]:
        """Return the options by name, with `known` giving the names allowed and their defaults.

        Raises:
            UsageError: an option is not among the known ones.
        """
        given = dict(self.options)
        unknown = sorted(given.keys() - known.keys())
        if unknown:
            names = ", ".join(sorted(known)) or "none"
            name = repr(unknown[0]) if _NAME.fullmatch(unknown[0]) else "of that name"
            raise UsageError(f"engine {self.scheme}: has no option {name}; it has {names}")
        return known | given


def whole_option(
    uri: EngineURI, name: str, text: str, least: int, most: int, usual: str = ""
) -> int:
    """Read an option of an engine URI that is a whole number.

    Raises:
        UsageError: it is none, or out of range.
    """
    if text.isdecimal() and len(text) < _MOST_DIGITS and least <= int(text) <= most:
        return int(text)
    raise UsageError(
        f"engine {uri.scheme}: {name} must be a whole number from {least} to {most}, not "
        f"{text[:_MOST_DIGITS]!r}" + (f"; write {name}={usual}" if usual else "")
    )


def _base_urls(scheme: str, text: str) -> tuple[str, ...]:
    """Return the base URLs that follow the `@` of an engine URI."""
    urls = text.split(",")
    where = f"engine {scheme}: what follows @"
    advice = f"write {scheme}:MODEL@http://host:port/v1, and {_AT} for an @ in the model's name"
    several = len(urls) > 1
    return tuple(
        check_base_url(url, f"{where} (URL {number})" if several else where, advice)
        for number, url in enumerate(urls, 1)
    )


def check_base_url(url: str, where: str, advice: str = "write http://host:port/v1") -> str:
    """Return a base URL with its scheme in lower case, and without a slash at the end.

    Args:
        url: what may be one. It is never quoted: a password may stand anywhere in it.
        where: what holds it, as the message says.
        advice: what to write instead.

    Raises:
        UsageError: it is no HTTP URL, or holds a password, a query or a fragment.
    """
    problem = problem_of_url(url)
    if problem is None and ("?" in url or "#" in url):
        problem = "it holds a query or a fragment, and paths are added to it"
    if problem is None:
        scheme, separator, rest = url.partition("://")
        return f"{scheme.lower()}{separator}{rest}".rstrip("/")
    if problem == PASSWORD:
        raise UsageError(
            f"{where} must not hold a password; put the key in the provider's environment "
            "variable, such as OPENAI_API_KEY"
        )
    raise UsageError(f"{where} is not a base URL: {problem}; {advice}")


def problem_of_url(url: str) -> str | None:
    """Say what is wrong with an HTTP URL, without quoting it; `PASSWORD` where it holds one."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:
            return PASSWORD
        host, port = parts.hostname, parts.port
    except ValueError:  # A bracket without its pair, a port that is no number.
        return "its host or its port cannot be read"
    if parts.scheme not in ("http", "https") or "://" not in url:
        return "it does not begin with http:// or https://"
    if not host or port == 0:
        return "it names no host, or the port 0"
    if any(char.isspace() or not char.isprintable() for char in url):
        return "it holds a space or a character that cannot be printed"
    return None


def place_of(uri: EngineURI, default: str, variable: str | None = None) -> tuple[str, bool]:
    """Return where an engine is reached, and whether the user said so.

    Args:
        uri: its base URL comes first.
        default: where the provider is.
        variable: an environment variable that comes before the default.

    Raises:
        UsageError: the URI or the variable holds no base URL, or a password; or the name of the
            model is an address, which would be sent to the provider together with its key.
    """
    given = only_base_url(uri)
    if given is not None:
        return check_base_url(given, f"engine {uri.scheme}: what follows @"), True
    given = os.environ.get(variable, "").strip() if variable else ""
    if variable and given:
        return check_base_url(given, variable), True
    looks = _URL if urlsplit(default).hostname == _HERE else _ADDRESS
    if looks.search(uri.model):
        raise UsageError(
            f"engine {uri.scheme}: the name of the model is an address; write "
            f"{uri.scheme}:MODEL@http://host:port/v1"
        )
    return default, False


def only_base_url(uri: EngineURI) -> str | None:
    """Return the base URL of an engine URI, None where it names none.

    Raises:
        UsageError: it names several, of which `load_engine` makes an engine each.
    """
    if len(uri.base_urls) > 1:
        raise UsageError(f"one {uri.scheme} engine has one URL; load_engine({str(uri)!r}) has all")
    return uri.base_urls[0] if uri.base_urls else None
