"""Code of the user's, named on the command line as `module:name` or `path/to/file.py:name`."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from plaudit.errors import UsageError


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
    found: Any = _file(Path(place)) if place.endswith(".py") else _module(place)
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


def _file(path: Path) -> ModuleType:
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
