"""`plaudit prompt`: see what a judge would be asked."""

from typing import Annotated

import typer

from plaudit import aio
from plaudit.cli import display
from plaudit.cli.judge import (
    CriteriaOption,
    EngineOption,
    InputArgument,
    KindArgument,
    ModeOption,
    ReadoutOption,
    TemplateOption,
)
from plaudit.engines.base import Request
from plaudit.engines.load import load_engine
from plaudit.judges.base import JudgeConfig
from plaudit.judges.load import bind
from plaudit.runs.api import make_config
from plaudit.runs.history import prompt_text
from plaudit.runs.sources import RowReader


def prompt(
    kind: KindArgument,
    source: InputArgument,
    engine: EngineOption = "local",
    readout: ReadoutOption = "auto",
    mode: ModeOption = "auto",
    template: TemplateOption = None,
    criteria: CriteriaOption = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show the first N samples.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the requests as JSON.")] = False,
) -> None:
    """Show the prompt that a judge sends for INPUT, and send nothing."""
    fields = {"readout": readout, "mode": mode, "template": template, "criteria": criteria}
    config = make_config(kind.value, fields)
    for request in aio.run(_render(config, engine, source, limit)):
        if as_json:
            display.json_line(request)
        else:
            display.stdout().rule(f"sample {request.sample_id}, {request.turn}", align="left")
            typer.echo(prompt_text(request.prompt))


async def _render(config: JudgeConfig, engine: str, source: str, limit: int) -> list[Request]:
    task = await bind(config, load_engine(engine))
    requests: list[Request] = []
    index = 0
    for row in RowReader(source, strict=True):
        for sample in task.read_row(row.data or {}, index):
            if index == limit:
                return requests
            requests.extend(task.requests(sample) or [task.render(sample)])
            index += 1
    return requests
