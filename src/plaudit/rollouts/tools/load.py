"""Code and tools that the command line names: `module:name`, `search:INDEX`, `mcp:...`."""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, cast
from urllib.parse import parse_qsl

from plaudit._util.named import load_named
from plaudit.errors import UsageError
from plaudit.rollouts.tools.base import Tool
from plaudit.rollouts.tools.toolset import Offered, ToolSet


def load_tools(specs: Iterable[str | Offered], **limits: Any) -> ToolSet:
    """Gather tools by their names.

    Args:
        specs: each a tool, a function, a source of tools, or a text: `search:INDEX`
            (`search:INDEX?k=3`), `module:function`, `path/to/file.py:function`,
            `mcp:COMMAND ARGUMENTS` or `mcp:https://HOST/PATH`. Functions named by a text are the
            user's code, which is imported.
        limits: `timeout`, `max_result_chars` and `max_concurrency` of the set.

    Raises:
        UsageError: a text names nothing, or two tools have one name.
        MissingDependencyError: a tool needs an extra that is not installed.
    """
    return ToolSet([_load(spec) if isinstance(spec, str) else spec for spec in specs], **limits)


def recorded(spec: str) -> str:
    """Return the name of a tool as a run keeps it: without the query of a URL, which may be a key.

    Args:
        spec: as in `load_tools`.
    """
    url, mark, _ = spec.partition("?")
    return f"{url}?…" if mark and spec.startswith("mcp") and "://" in url else spec


def _load(text: str) -> Offered:
    scheme, _, rest = text.partition(":")
    if scheme == "search":
        return _search(text, rest)
    if scheme in ("mcp", "mcp+http", "mcp+https"):
        return import_module("plaudit.rollouts.tools.mcp").mcp_source(text)
    found = load_named(text)
    if not callable(found) and not hasattr(found, "spec") and not hasattr(found, "open"):
        raise UsageError(f"{text} is a {type(found).__name__}, neither a function nor a tool")
    return found


def _search(text: str, rest: str) -> Tool:
    index, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    k = options.pop("k", "2")
    if options or not index or not k.isdecimal() or int(k) < 1:
        raise UsageError(f"{text} cannot be read; write search:INDEX or search:INDEX?k=NUMBER")
    make = import_module("plaudit.rollouts.tools.search").search_tool
    return cast("Callable[..., Tool]", make)(index, k=int(k))
