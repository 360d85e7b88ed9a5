"""Optional packages and costly modules, imported on first use."""

import importlib
import logging
from functools import cache
from types import ModuleType
from typing import Any

from plaudit._util.forks import finished_before_a_fork
from plaudit.errors import MissingDependencyError


class DeferredModule:
    """Stands for a module of plaudit that is imported when something of it is first used.

    For what compiles hundreds of patterns, so that commands that never use it start fast. Types
    come from an import of the same name under `TYPE_CHECKING`.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Return what the module has by this name."""
        return getattr(_imported(self._name), name)


@cache
def _imported(name: str) -> ModuleType:
    with finished_before_a_fork():
        return importlib.import_module(name)


_INSTALLED_AS = {
    "markdown_it": "markdown-it-py",
    "opentelemetry": "opentelemetry-sdk",
    "sklearn": "scikit-learn",
}


def load_package(module: str, extra: str) -> Any:
    """Import a module of an optional package; the root logger stays as it was.

    Args:
        module: import name; may be a module inside the package.
        extra: the extra of plaudit that installs the package.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        with finished_before_a_fork():
            return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingDependencyError(_INSTALLED_AS.get(package, package), extra) from None
    finally:  # wordllama sets up the root logger.
        root.setLevel(level)
        root.handlers[:] = handlers
