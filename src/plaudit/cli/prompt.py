"""`plaudit prompt` and `plaudit shots`: what a judge is asked, and with which examples."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from plaudit._util import loops
from plaudit.cli import display
from plaudit.cli.judge import InputArgument, KindArgument
from plaudit.cli.options import ENGINE_HELP, Fields, RowsOption, Values, option, with_fields
from plaudit.engines.base import Engine, PromptToken, Request, engine_info
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.sources import RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind, make_config, task_type
from plaudit.judges.shots import check_pool, read_shots
from plaudit.prompts.shots import PoolRow
from plaudit.runs.history import prompt_text
from plaudit.runs.pools import (
    PoolReport,
    blank_task,
    draw,
    pool_kind,
    pool_rows,
    report_pool,
)
from plaudit.types import Json

_SIDES = ("A longer", "B longer", "as long")
_SHOWN = (
    "readout", "mode", "template", "criteria", "shot_template", "feedback_template", "shots",
    "pool", "select", "seed",
)  # fmt: skip
"""Options of a judge that change its prompts."""


EngineOption = Annotated[
    str, option("--engine", "-e", metavar="URI", help=ENGINE_HELP, panel="Engine")
]
FirstOption = Annotated[
    int, option("--limit", min=1, metavar="N", help="Show the first N samples.", panel="Input")
]
TokensOption = Annotated[
    bool,
    option(
        "--tokens", help="Show the tokens that the model reads, with their ids.", panel="Output"
    ),
]


@with_fields
def prompt(
    kind: KindArgument,
    source: InputArgument,
    *,
    engine: EngineOption = "local",
    config: Annotated[Values, Fields(JudgeConfig, *_SHOWN)],
    limit: FirstOption = 1,
    tokens: TokensOption = False,
    as_json: Annotated[
        bool, option("--json", help="Print the requests as JSON.", panel="Output")
    ] = False,
) -> None:
    """Show the prompt that a judge sends for INPUT, and send nothing."""
    settings = make_config(kind, config)
    loops.run(_show(settings, load_engine(engine), source, limit, tokens, as_json))


async def _show(
    config: JudgeConfig, engine: Engine, source: str, limit: int, tokens: bool, as_json: bool
) -> None:
    task = await bind(config, engine)
    try:
        for request in _requests(task, source, limit):
            found = await _tokens(engine, request) if tokens else None
            if as_json:
                display.json_line(request if found is None else {"tokens": found})
            else:
                _print(request, found)
    finally:
        await engine.close()
    for note in task.notes:
        typer.echo(f"note: {note}", err=True)


def _print(request: Request, tokens: list[PromptToken] | None) -> None:
    display.stdout().rule(f"sample {request.sample_id}, {request.turn}", align="left")
    if tokens is None:
        typer.echo(prompt_text(request.prompt))
        return
    for token in tokens:
        typer.echo(f"{token.id:>8} {token.text!r}")
    typer.echo(f"{len(tokens)} tokens")


async def _tokens(engine: Engine, request: Request) -> list[PromptToken]:
    tokenizer = engine_info(engine).tokenizer
    if tokenizer is None:
        raise UsageError(
            f"the tokens of {engine.uri} cannot be shown: it has no tokenizer that can be asked; "
            "leave --tokens out"
        )
    return await tokenizer.tokenize(request)


def _requests(task: BaseJudge, source: str, limit: int) -> list[Request]:
    requests: list[Request] = []
    index = 0
    for row in RowReader(source, strict=True):
        for sample in task.read_row(row.data or {}, index):
            if index == limit:
                return requests
            requests.extend(task.requests(sample) or [task.render(sample)])
            index += 1
    return requests


# Shots

shots_app = typer.Typer(
    no_args_is_help=True, help="Pools of shots: labelled examples for a prompt."
)

PoolArgument = Annotated[
    str,
    typer.Argument(
        metavar="POOL", help="A pool file, or the name of a judge for the pool that ships with it."
    ),
]
JudgeOption = Annotated[
    str | None,
    typer.Option("--judge", help="The judge of the pool, where the pool does not show it."),
]


@shots_app.command()
def show(pool: PoolArgument, judge: JudgeOption = None, as_json: RowsOption = False) -> None:
    """List the shots of a pool."""
    kind, rows = _open(pool, judge)
    shots, problems = read_shots(blank_task(kind), rows)
    if as_json:
        for shot in shots:
            display.json_line(shot.row)
    else:
        _shots([(shot.where, shot.label, shot.text) for shot in shots])
    for problem in problems:
        display.error(problem)
    raise typer.Exit(bool(problems))


@shots_app.command()
@with_fields
def sample(
    pool: PoolArgument,
    config: Annotated[Values, Fields(JudgeConfig, "select", "seed")],
    number: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many.")] = 3,
    source: Annotated[
        str | None,
        typer.Option("--for", metavar="INPUT", help="Draw for the first row of this input."),
    ] = None,
    judge: JudgeOption = None,
    as_json: RowsOption = False,
) -> None:
    """Show which shots a judge would be given."""
    kind, rows = _open(pool, judge)
    task = blank_task(kind)
    shots = check_pool(task, rows, pool)
    row = None if source is None else _first(source)
    drawn = [
        shots[place] for place in draw(task, shots, number, config["seed"], config["select"], row)
    ]
    if as_json:
        for shot in drawn:
            display.json_line(shot.row)
    else:
        _shots([(shot.where, shot.label, shot.text) for shot in drawn])
    if len(drawn) < number:
        typer.echo(f"note: the pool has no more than {len(drawn)}", err=True)


@shots_app.command()
def check(pool: PoolArgument, judge: JudgeOption = None, as_json: RowsOption = False) -> None:
    """Check a pool: labels, lengths, duplicates, and entries that cannot be used.

    Exit status: 0 it can be used; 1 it has problems; 2 wrong usage or no such file.
    """
    kind, rows = _open(pool, judge)
    report = report_pool(kind, rows)
    if as_json:
        display.json_line(report)
    else:
        _pool_report(report)
    raise typer.Exit(bool(report.problems))


def _open(pool: str, judge: str | None) -> tuple[str, list[PoolRow]]:
    rows = pool_rows(pool)
    return task_type(judge).kind if judge else pool_kind(pool, rows), rows


def _first(source: str) -> dict[str, Json]:
    with RowReader(source, strict=True) as rows:
        return next(rows).data or {}


def _shots(found: Iterable[tuple[str, str, str]]) -> None:
    """Print shots as a table: where they stand, their labels, what they say."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", expand=True)
    table.add_column("shot", style="dim", no_wrap=True)
    table.add_column("label", no_wrap=True)
    table.add_column("sample", ratio=1, no_wrap=True, overflow="ellipsis")
    for where, label, text in found:
        table.add_row(Text(where), Text(label), Text(" ".join(text.split())))
    display.stdout().print(table)


def _pool_report(report: PoolReport) -> None:
    """Print what a pool holds, and what is wrong with it."""
    console = display.stdout()
    table = display.table(
        "label", "all", *(name for name in _SIDES if report.longer), numbers=("all",)
    )
    for label, number in report.labels.items():
        longer = report.longer.get(label, {})
        cells = [str(longer.get(name, 0)) for name in _SIDES] if report.longer else []
        table.add_row(Text(label), str(number), *cells)
    console.print(table)
    if report.lengths:
        least, median, most = (f"{report.lengths[n]:.0f}" for n in ("least", "median", "most"))
        console.print(f"{least} to {most} characters a sample, {median} at the median")
    for problem in report.problems:
        console.print(Text(f"problem: {problem}", style="red"))
    for hint in report.hints:
        console.print(Text(f"hint: {hint}"))
    fit = "cannot be used as it is" if report.problems else "can be used"
    console.print(
        f"{display.count(report.shots, 'shot')} for the {report.judge} judge: the pool {fit}"
    )
