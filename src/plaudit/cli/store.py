"""`plaudit store`: what the store holds, its size limit, removing what is old."""

from pathlib import Path
from typing import Annotated

import typer

from plaudit.cli import display
from plaudit.cli.options import StoreOption
from plaudit.errors import UsageError
from plaudit.store.limit import format_size, parse_age, parse_size
from plaudit.store.recovery import recover as recover_store
from plaudit.store.store import Store, default_store_path
from plaudit.store.upkeep import Pruned, StoreInfo, prune, read_limit, store_info, write_limit

app = typer.Typer(help="Look after the store of replies and runs.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _open(path: str | None) -> Store:
    return Store(Path(path) if path else default_store_path())


@app.command()
def info(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say what the store holds, in a moment also where it is large."""
    with _open(store) as opened:
        found = store_info(opened)
    if as_json:
        display.json_line(found)
        return
    for name, text in _lines(found):
        display.stdout().print(f"{name:<9} {text}", markup=False, soft_wrap=True)


def _lines(found: StoreInfo) -> list[tuple[str, str]]:
    about = "about " if found.estimated else ""
    runs = ", ".join(f"{count} {state}" for state, count in found.runs.items())
    lines = [
        ("store", f"{found.path} (schema {found.schema})"),
        ("size", f"{format_size(found.size)}, of it free {format_size(found.free)}"),
        ("limit", "none" if found.limit is None else format_size(found.limit)),
        ("replies", f"{about}{found.replies}, {about}{format_size(found.reply_bytes)}"),
        ("traces", str(found.traces)),
        ("written", f"{found.oldest or 'not known'} to {found.newest or 'not known'}"),
        ("runs", runs or "none"),
        ("verdicts", str(found.verdicts)),
        ("in use", "yes" if found.in_use else "no"),
    ]
    return lines + [("damaged", file) for file in found.damaged]


@app.command("prune")
def prune_store(
    max_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Remove the oldest replies, and the finished runs of their time, until the store "
            "is of this size, such as 20GB. Where nothing else is asked: the store's limit.",
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove replies written longer ago: 12h, 30d, 2w, 1y."),
    ] = None,
    runs_older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove runs that finished longer ago, with verdicts."),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN", help="Remove this run, also if it is unfinished; may be repeated."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what is old from the store, and give the space back.

    What an unfinished run needs is spared: the replies that were written while it was being run,
    and those that its verdicts name. Other processes may use the store meanwhile. What is removed
    is asked again when it is needed again; outputs stay as they are.
    """
    with _open(store) as opened:
        size = None if max_size is None else parse_size(max_size)
        if not (max_size or older_than or runs_older_than or forget):
            size = _limit_of(opened)
        done = prune(
            opened,
            size=size,
            older_than=None if older_than is None else parse_age(older_than),
            runs_older_than=None if runs_older_than is None else parse_age(runs_older_than),
            forget=tuple(forget or ()),
            dry_run=dry_run,
        )
    if as_json:
        display.json_line(done)
    else:
        _print_pruned(done)


def _limit_of(store: Store) -> int:
    limit = store_info(store).limit
    if limit is None:
        raise UsageError(
            "say what is to be removed: --max-size SIZE, --older-than AGE, --runs-older-than AGE "
            "or --forget RUN (or set a limit: plaudit store limit SIZE)"
        )
    return limit


def _print_pruned(done: Pruned) -> None:
    console = display.stdout()
    verb, about = ("would remove", "about ") if done.dry_run else ("removed", "")
    traces = f"{done.traces} finished traces, " if done.traces else ""
    lines = [
        f"{verb} {done.replies} replies ({format_size(done.reply_bytes)}), {traces}{done.runs} "
        f"runs, {done.verdicts} verdicts",
        f"size {format_size(done.size_before)} before, {about}{format_size(done.size_after)} after",
    ]
    if done.spared_for:
        shown = ", ".join(done.spared_for[:5])
        more = len(done.spared_for) - 5
        lines.append(f"spared: what {shown}{f' and {more} more' if more > 0 else ''} may need")
    if done.kept_over_size:
        lines.append("still larger than asked: the rest is spared, or is not replies and runs")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


@app.command()
def limit(
    size: Annotated[
        str | None, typer.Argument(metavar="[SIZE]", help="Such as 50GB; `none` removes the limit.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set the size that the store is kept under.

    Every writer of the store keeps to it: from 95% on, the oldest replies go, and finished runs
    with those of their time, until 90% are left. Unfinished runs are spared, and a warning says so
    when nothing else is left. `$PLAUDIT_STORE_LIMIT` goes before what is set here.
    """
    with _open(store) as opened:
        if size is not None:
            write_limit(opened, None if size.lower() == "none" else _checked(size))
        current = read_limit(opened)
    if as_json:
        display.json_line({"limit": current})
    else:
        display.stdout().print("none" if current is None else format_size(current))


_LEAST = 1_000_000


def _checked(size: str) -> int:
    limit = parse_size(size)
    if limit < _LEAST:
        raise UsageError(f"a limit of {size!r} is too small: at least {format_size(_LEAST)}")
    return limit


@app.command()
def recover(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A damaged store that was set aside.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the whole replies and finished traces of a damaged store back into the store.

    Each is checked by its checksum; what the store has stays as it is. What could not be read is
    counted. Runs are not brought back: give their commands again, and what was recovered is not
    asked.
    """
    with _open(store) as opened:
        done = recover_store(file, opened)
    if as_json:
        display.json_line(done)
        return
    console = display.stdout()
    console.print(f"{done.found} whole replies found, {done.new} brought back", soft_wrap=True)
    if done.damaged or done.lost_ranges:
        console.print(
            f"lost: {done.damaged} damaged replies, and {done.lost_ranges} ranges that cannot be "
            f"read, with at most {done.lost_rows} replies",
            soft_wrap=True,
        )
