"""Optional packages, imported when they are wanted."""

import importlib
from typing import Any

from plaudit._util.forks import finished_before_a_fork
from plaudit.errors import MissingDependencyError

_INSTALLED_AS = {
    "markdown_it": "markdown-it-py",
    "opentelemetry": "opentelemetry-sdk",
    "sklearn": "scikit-learn",
}


def load_package(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: may be within the package.
        extra: which extra of plaudit brings it.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    try:
        with finished_before_a_fork():
            return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingDependencyError(_INSTALLED_AS.get(package, package), extra) from None
