"""`plaudit models`: the embedded models, and fetching their weights."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from plaudit.cli import display
from plaudit.engines.llama.models import LocalModel, ensure, local_models
from plaudit.io.progress import DownloadProgress

app = typer.Typer(help="List the embedded models, or fetch one.", invoke_without_command=True)


@app.callback()
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a model a line as JSON.")] = False,
) -> None:
    """List the embedded models and where their weights are."""
    if context.invoked_subcommand is None:
        _show(local_models(), as_json)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="Name of a model, as `plaudit models` lists it.")],
) -> None:
    """Fetch a model's weights into the cache folder, and check their SHA-256."""
    path = ensure(name, DownloadProgress())
    display.stdout().print(f"{name} is at {path}", soft_wrap=True)


def _show(found: Iterable[LocalModel], as_json: bool) -> None:
    """Print the embedded models."""
    if as_json:
        for local in found:
            display.json_line(local)
        return
    table = display.table("model", "size", "licence", "where")
    for local in found:
        model = local.model
        where = local.path or f"not here; fetch it with: plaudit models pull {model.name}"
        table.add_row(model.name, f"{model.size / 1e6:.0f} MB", model.licence, Text(str(where)))
    display.stdout().print(table)
