"""Code and tools that the command line names: `module:name`, `search:INDEX`, `mcp:...`."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from urllib.parse import parse_qsl

from plaudit.errors import UsageError
from plaudit.rollouts.tools.base import Tool
from plaudit.rollouts.tools.toolset import Offered, ToolSet


def load_named(text: str) -> Any:
    """Import what a text names. The code of its module runs, as with any import.

    Args:
        text: `module:name`, or `path/to/file.py:name`; a name may have dots.

    Raises:
        UsageError: there is no such file, module or name, or importing it raises.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise UsageError(f"{text!r} names no function; write module:name or path/to/file.py:name")
    found: Any = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{place} has no {name!r}{_others(found)}")
        found = getattr(found, part)
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        hint = f"; for a file write path/to/{name.split('.')[-1]}.py:name"
        raise UsageError(f"there is no module {error.name!r}{hint}") from error
    except Exception as error:  # The module's own code may raise anything.
        raise _broken(name, error) from error


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    whole = path.resolve()
    name = f"{path.stem}_{hashlib.sha256(str(whole).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, whole)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Known before it runs: dataclasses and quoted annotations look their module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # The file's own code may raise anything.
        del sys.modules[name]
        raise _broken(str(path), error) from error
    return module


def _broken(place: str, error: Exception) -> UsageError:
    return UsageError(f"importing {place} raises {type(error).__name__}: {error}")


def _others(found: Any) -> str:
    names = [name for name in dir(found) if name[0] != "_" and callable(getattr(found, name))]
    return f"; it has {', '.join(names[:10])}" if names else ""


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
