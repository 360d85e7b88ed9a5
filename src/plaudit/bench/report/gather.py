"""What a report is asked for: files and folders of results, and runs in the store."""

from collections.abc import Callable, Sequence
from pathlib import Path

from plaudit.bench.report.card import ReportCard
from plaudit.bench.report.runs import results_of_runs
from plaudit.bench.results import AnyResults, read_results
from plaudit.errors import InputError, UsageError
from plaudit.store.store import Store


async def gather(
    things: Sequence[str], open_store: Callable[[], Store], *, plaudit: str, title: str = ""
) -> ReportCard:
    """Return the results of files, folders and runs, in that order.

    Args:
        things: each a folder of `plaudit bench` or `audit`, its `results.json`, or the name or
            number of a finished run; a path that exists is a path.
        open_store: opens the store, if a run is asked for.
        plaudit: the version that makes the report.
        title: of the report.

    Raises:
        UsageError: one is neither a file nor a run, or a run cannot be reported.
        InputError: a file holds no results, or those of another version.
        StoreError: a file cannot be read.
    """
    paths = [thing for thing in things if _is_path(thing)]
    runs = [thing for thing in things if not _is_path(thing)]
    results: list[AnyResults] = [read_results(path) for path in paths]
    if runs:
        with open_store() as store:
            _check_runs(store, runs)
            results += await results_of_runs(store, runs, plaudit=plaudit)
    return ReportCard(plaudit=plaudit, title=title, results=results)


def _is_path(thing: str) -> bool:
    path = Path(thing)
    return len(path.parts) > 1 or path.suffix == ".json" or path.exists()


def _check_runs(store: Store, runs: Sequence[str]) -> None:
    for run in runs:
        try:
            store.find_run(run)
        except UsageError as error:
            raise InputError(f"{run} is no file or folder of results, and {error}") from None
