"""What commands that run for long have in common."""

import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
import typer

from plaudit._util import loops
from plaudit._util.collector import collect_seldom
from plaudit.cli import display
from plaudit.errors import InterruptedRunError
from plaudit.io.progress import Progress
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import RunSettings, Summary
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store, default_store_path

T = TypeVar("T")
S = TypeVar("S", bound=Summary)

GO_ON = "interrupted; give the same command again to go on where it stopped"


def store_path(given: str | None) -> Path:
    """Return the path of the store."""
    return Path(given) if given else default_store_path()


def resumable(work: Coroutine[Any, Any, T], message: str = GO_ON) -> T:
    """Run a coroutine to its end.

    Raises:
        InterruptedRunError: the user stopped it.
    """
    return interruptible(lambda: loops.run(work), message)


def interruptible(work: Callable[[], T], message: str = GO_ON) -> T:
    """Do what the same command goes on with.

    Raises:
        InterruptedRunError: the user stopped it.
    """
    try:
        return work()
    except KeyboardInterrupt:
        raise InterruptedRunError(message) from None


class RunOptions(NamedTuple):
    """How a command sends requests and keeps replies."""

    send: SendPolicy
    cache: CachePolicy
    store: Path
    prices: Prices

    @contextmanager
    def opened(self, progress: Progress) -> Generator[RunSettings]:
        """Open the store and show the progress while a run lasts."""
        with Store(self.store) as store, progress:
            collect_seldom()
            yield RunSettings(
                store=store,
                progress=progress,
                send=self.send,
                cache=self.cache,
                prices=self.prices,
            )


class RunDisplay(NamedTuple):
    """How the result of a run is shown."""

    rows: Callable[[str], None]
    """Shows an output file, where the command names none."""
    name: str
    """Of that file."""
    summary: Callable[[Any, bool], None]
    """Shows the summary; with True on standard error."""


def run_to_end(
    run: Callable[[str | None], S], out: str | None, as_json: bool, shown: RunDisplay
) -> NoReturn:
    """Run, show what came of it, and exit with the status of the summary.

    Args:
        run: runs with the path of an output in place of the command's own.
        out: the output that the command names.
        as_json: whether the summary is printed as JSON, and no row is shown.
        shown: how results are shown.
    """
    summary = run(None) if out is not None or as_json else _run_and_show(run, shown)
    if as_json:
        display.json_line(summary, to_stderr=out == "-")
    else:
        shown.summary(summary, out == "-")
    raise typer.Exit(summary.exit_status)


def _run_and_show(run: Callable[[str | None], S], shown: RunDisplay) -> S:
    """Run with an output file that lasts until it was shown; return the summary."""
    with tempfile.TemporaryDirectory(prefix="plaudit-") as folder:
        out = str(Path(folder) / shown.name)
        summary = run(out)
        shown.rows(out)
    return msgspec.structs.replace(summary, out=None)
