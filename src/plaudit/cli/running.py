"""What commands that run for long have in common."""

import gc
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from plaudit._util import loops
from plaudit.errors import InterruptedRunError
from plaudit.store.store import default_store_path

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

GO_ON = "interrupted; give the same command again to go on where it stopped"


def store_path(given: str | None) -> Path:
    """Return the path of the store."""
    return Path(given) if given else default_store_path()


def resumable(work: Coroutine[Any, Any, T], message: str = GO_ON) -> T:
    """Run a coroutine to its end.

    Raises:
        InterruptedRunError: the user stopped it.
    """
    try:
        return loops.run(work)
    except KeyboardInterrupt:
        raise InterruptedRunError(message) from None


def run_and_show(run: Callable[[str | None], S], show: Callable[[str], None], name: str) -> S:
    """Run with an output file that lasts until it was shown; return the summary."""
    with tempfile.TemporaryDirectory(prefix="plaudit-") as folder:
        out = str(Path(folder) / name)
        summary = run(out)
        show(out)
    return msgspec.structs.replace(summary, out=None)


def collect_seldom() -> None:
    """Keep the collector of cycles from walking all that is in flight ten times a second."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
