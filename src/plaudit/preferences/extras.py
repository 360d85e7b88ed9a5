"""Packages of the extra `preferences`, imported when they are wanted."""

import importlib
from typing import Any

from plaudit.errors import MissingDependencyError


def import_extra(package: str) -> Any:
    """Import a package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingDependencyError(package, "preferences") from None
