"""`plaudit shots`: look at a pool of shots, and check it."""

from typing import Annotated

import typer

from plaudit.cli import display
from plaudit.cli.judge import SEED_HELP, SelectOption
from plaudit.io.sources import RowReader
from plaudit.judges.load import task_type
from plaudit.judges.shots import check_pool, read_shots
from plaudit.prompts.shots import PoolRow
from plaudit.runs.pools import (
    blank_task,
    draw,
    pool_kind,
    pool_rows,
    report_pool,
)
from plaudit.types import Json

app = typer.Typer(no_args_is_help=True, help="Pools of shots: labelled examples for a prompt.")

PoolArgument = Annotated[
    str,
    typer.Argument(
        metavar="POOL", help="A pool file, or the name of a judge for the pool that ships with it."
    ),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="KIND",
        help="The judge that it is for, where the entries fit several; or FILE.py:Class.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, a line each.")]


@app.command()
def show(pool: PoolArgument, judge: JudgeOption = None, as_json: JsonOption = False) -> None:
    """List the shots of a pool."""
    kind, rows = _open(pool, judge)
    shots, problems = read_shots(blank_task(kind), rows)
    if as_json:
        for shot in shots:
            display.json_line(shot.row)
    else:
        display.shots([(shot.where, shot.label, shot.text) for shot in shots])
    for problem in problems:
        display.error(problem)
    raise typer.Exit(bool(problems))


@app.command()
def sample(
    pool: PoolArgument,
    number: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many.")] = 3,
    select: SelectOption = "fixed",
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    source: Annotated[
        str | None,
        typer.Option("--for", metavar="INPUT", help="Draw for the first row of this input."),
    ] = None,
    judge: JudgeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which shots a judge would be given."""
    kind, rows = _open(pool, judge)
    task = blank_task(kind)
    shots = check_pool(task, rows, pool)
    row = None if source is None else _first(source)
    drawn = [shots[place] for place in draw(task, shots, number, seed, select, row)]
    if as_json:
        for shot in drawn:
            display.json_line(shot.row)
    else:
        display.shots([(shot.where, shot.label, shot.text) for shot in drawn])
    if len(drawn) < number:
        typer.echo(f"note: the pool has no more than {len(drawn)}", err=True)


@app.command()
def check(pool: PoolArgument, judge: JudgeOption = None, as_json: JsonOption = False) -> None:
    """Check a pool: labels, lengths, duplicates, and entries that cannot be used.

    Exit status: 0 it can be used; 1 it has problems; 2 wrong usage or no such file.
    """
    kind, rows = _open(pool, judge)
    report = report_pool(kind, rows)
    if as_json:
        display.json_line(report)
    else:
        display.pool_report(report)
    raise typer.Exit(bool(report.problems))


def _open(pool: str, judge: str | None) -> tuple[str, list[PoolRow]]:
    rows = pool_rows(pool)
    return task_type(judge).kind if judge else pool_kind(pool, rows), rows


def _first(source: str) -> dict[str, Json]:
    with RowReader(source, strict=True) as rows:
        return next(rows).data or {}
