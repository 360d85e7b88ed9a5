"""Packages of the extras `corpus` and `embeddings`, loaded when they are needed."""

import importlib
import logging
from typing import Any

from plaudit.errors import MissingDependencyError

_INSTALLED_AS = {"markdown_it": "markdown-it-py"}


def load_package(module: str, extra: str = "corpus") -> Any:
    """Import a module of an extra, and leave logging as it was.

    Raises:
        MissingDependencyError: its package is not installed.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingDependencyError(_INSTALLED_AS.get(package, package), extra) from None
    finally:  # wordllama sets up the root logger.
        root.setLevel(level)
        root.handlers[:] = handlers
