"""Packages of the extras `corpus` and `embeddings`, loaded when they are needed."""

import logging
from typing import Any

from plaudit._util import packages


def load_package(module: str, extra: str = "corpus") -> Any:
    """Import a module of an extra, and leave logging as it was.

    Raises:
        MissingDependencyError: its package is not installed.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        return packages.load_package(module, extra)
    finally:  # wordllama sets up the root logger.
        root.setLevel(level)
        root.handlers[:] = handlers
