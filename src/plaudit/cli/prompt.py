"""`plaudit prompt`: see what a judge would be asked."""

from typing import Annotated, Any

import typer

from plaudit._util import aio
from plaudit.cli import display
from plaudit.cli.judge import (
    SEED_HELP,
    CriteriaOption,
    FeedbackTemplateOption,
    InputArgument,
    KindArgument,
    ModeOption,
    PoolOption,
    ReadoutOption,
    SelectOption,
    ShotsOption,
    ShotTemplateOption,
    TemplateOption,
    template_fields,
)
from plaudit.cli.options import EngineOption
from plaudit.engines.base import Engine, PromptToken, Request
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.sources import RowReader
from plaudit.judges.base import BaseJudge
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import bind, make_config
from plaudit.runs.history import prompt_text


def prompt(  # one parameter an option: that is how Typer reads them
    kind: KindArgument,
    source: InputArgument,
    engine: EngineOption = "local",
    readout: ReadoutOption = "auto",
    mode: ModeOption = "auto",
    template: TemplateOption = None,
    criteria: CriteriaOption = None,
    shot_template: ShotTemplateOption = None,
    feedback_template: FeedbackTemplateOption = None,
    shots: ShotsOption = None,
    pool: PoolOption = None,
    select: SelectOption = "fixed",
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show the first N samples.")] = 1,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Show the tokens that the model reads, with their ids.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the requests as JSON.")] = False,
) -> None:
    """Show the prompt that a judge sends for INPUT, and send nothing."""
    config = make_config(
        kind.value,
        {
            "readout": readout,
            "mode": mode,
            **template_fields(template, shot_template, feedback_template),
            "shots": shots,
            "pool": pool,
            "select": select,
            "criteria": criteria,
            "seed": seed,
        },
    )
    aio.run(_show(config, load_engine(engine), source, limit, tokens, as_json))


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
    tokenize: Any = getattr(engine, "tokenize", None)
    if tokenize is None:
        raise UsageError(
            f"the tokens of {engine.uri} cannot be shown: it has no tokenizer that can be asked; "
            "leave --tokens out"
        )
    return await tokenize(request)


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
