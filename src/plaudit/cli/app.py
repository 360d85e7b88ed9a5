"""The `plaudit` command: errors become one message and an exit status."""

import logging
import os
import signal
import sys
from logging.handlers import RotatingFileHandler
from types import FrameType
from typing import Annotated, NoReturn

import typer

from plaudit import __version__
from plaudit.cli import (
    calibrate,
    corpus,
    display,
    judge,
    jury,
    models,
    prompt,
    rubric,
    runs,
    shots,
    store,
)
from plaudit.errors import PlauditError

app = typer.Typer(
    name="plaudit",
    help="Turn any language model into a reward signal that can be trusted.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("judge")(judge.judge)
app.command("jury-weights")(jury.jury_weights)
app.command("prompt")(prompt.prompt)
app.command("calibrate")(calibrate.calibrate)
app.command("runs")(runs.runs)
app.command("show")(runs.show)
app.add_typer(shots.app, name="shots")
app.add_typer(rubric.app, name="rubric")
app.add_typer(corpus.app, name="corpus")
app.add_typer(models.app, name="models")
app.add_typer(store.app, name="store")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"plaudit {__version__}")
        raise typer.Exit


@app.callback()
def setup(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    log_file: Annotated[
        str | None, typer.Option(help="Write logs here, with rotation, instead of to stderr.")
    ] = None,
) -> None:
    """Judge conversations, score candidates, and prove how far the judge can be trusted."""
    if log_file is not None:
        handler: logging.Handler = RotatingFileHandler(log_file, maxBytes=10_000_000, backupCount=3)
    else:
        handler = logging.StreamHandler()
    logging.basicConfig(
        level=logging.WARNING, handlers=[handler], format="%(asctime)s %(levelname)s %(message)s"
    )


def _terminated(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # As shells do with background jobs.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command line and exit with its status."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except PlauditError as error:
        display.error(str(error))
        _exit(error.exit_status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(0)


def _exit(status: int) -> NoReturn:
    sys.stdout.flush()
    raise SystemExit(status)
