"""Write the stubs of packages that import their public names lazily; `--check` compares."""

import importlib
import sys
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
PACKAGES = (
    "plaudit",
    "plaudit.bench",
    "plaudit.corpus",
    "plaudit.judges",
    "plaudit.preferences",
    "plaudit.rollouts",
)


def stub_of(package: str) -> str:
    """Return the stub of a package: an import of each name of its table."""
    module = importlib.import_module(package)
    table = module._MODULES
    imports = [f"from {table[name]} import {name} as {name}" for name in table]
    version = ["", "__version__: str"] if hasattr(module, "__version__") else []
    listed = ["", "__all__ = [", *(f'    "{name}",' for name in table), "]"]
    return "\n".join([f'"""{module.__doc__}"""', "", *imports, *version, *listed, ""])


def path_of(package: str) -> Path:
    """Return where the stub of a package is."""
    return SOURCE / package.replace(".", "/") / "__init__.pyi"


def main() -> None:
    """Write the stubs, or exit with status 1 where one is out of date."""
    stale = [p for p in PACKAGES if not path_of(p).exists() or path_of(p).read_text() != stub_of(p)]
    if "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run scripts/stubs.py" if stale else 0)
    for package in stale:
        path_of(package).write_text(stub_of(package))


if __name__ == "__main__":
    main()
