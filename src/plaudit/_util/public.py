"""Public names of a package, imported on first use."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__all__`, `__getattr__` and `__dir__` of a package with lazy names.

    Lazy imports keep the command line fast. `scripts/stubs.py` writes the same table as a stub, so
    that type checkers see the names.

    Args:
        package: its `__name__`.
        modules: module of each public name.
    """
    namespace = vars(sys.modules[package])

    def get(name: str) -> Any:
        module = modules.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        namespace[name] = value = getattr(import_module(module), name)
        return value

    def names() -> list[str]:
        return sorted({*namespace, *modules})

    return sorted(modules), get, names
