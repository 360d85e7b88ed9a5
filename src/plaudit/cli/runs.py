"""`plaudit runs` and `plaudit show`: what was judged before."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from plaudit._util import loops
from plaudit.cli import display, display_runs
from plaudit.cli.options import StoreOption
from plaudit.runs.history import show_run
from plaudit.store.store import Store, default_store_path


def open_store(path: str | None) -> Store:
    """Open a store to look at it: read-only where it cannot be written."""
    place = Path(path) if path else default_store_path()
    writable = os.access(place, os.W_OK) and os.access(place.parent, os.W_OK)
    return Store(place, read_only=place.exists() and not writable)


def runs(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="The newest N.")] = 20,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a run a line as JSON.")] = False,
) -> None:
    """List runs, the newest first."""
    with open_store(store) as opened:
        found = opened.runs(limit)
    if not as_json:
        display_runs.run_list(found)
        return
    for info in found:
        summary = msgspec.Raw(info.summary) if info.summary else None
        display.json_line(
            {
                "run": info.name,
                "state": info.state,
                "started": info.started,
                "finished": info.finished,
                "config": msgspec.Raw(info.config),
                "summary": summary,
            }
        )


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name or number of a run, or `last`.")],
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what failed or is invalid.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The first N.")] = None,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a sample a line as JSON.")] = False,
) -> None:
    """Show, sample by sample, what was asked, what came back, and how it was read."""
    with open_store(store) as opened:
        printer = display_runs.Exchanges(display.stdout())
        for item in loops.run(show_run(opened, run, failed=failed, limit=limit)):
            if as_json:
                display.json_line(item)
            else:
                printer.show(item)
