"""Modules that stand in for packages that are not installed."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch


@contextmanager
def stand_in_modules(modules: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Have modules with these names, and the packages around them, while the context lasts."""
    made: dict[str, ModuleType] = {}
    for path, names in modules.items():
        parts = path.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            made.setdefault(name, ModuleType(name))
        vars(made[path]).update(names)
    with patch.dict(sys.modules, made):
        yield
