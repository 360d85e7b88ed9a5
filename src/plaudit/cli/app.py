"""The `plaudit` command: errors become one message and an exit status."""

import io
import logging
import os
import signal
import sys
from importlib import import_module
from logging.handlers import RotatingFileHandler
from types import FrameType
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from plaudit import __version__
from plaudit._util.ranges import FINITE, WHOLE, check_number
from plaudit.errors import ArgumentError, PlauditError, UsageError

_COMMANDS = {
    "judge": "judge:judge",
    "jury-weights": "jury:jury_weights",
    "prompt": "prompt:prompt",
    "shots": "shots:app",
    "rubric": "rubric:app",
    "calibrate": "calibrate:calibrate",
    "corpus": "corpus:app",
    "rollout": "rollout:rollout",
    "score": "score:score",
    "compare": "compare:compare",
    "pairs": "pairs:pairs",
    "export": "export:export",
    "curriculum": "curriculum:curriculum",
    "runs": "runs:runs",
    "show": "runs:show",
    "models": "models:app",
    "store": "store:app",
}
"""Where each command is, in the order of the help: a module of this package, and what of it."""


class _Command(TyperCommand):
    """A command whose numbers fit into 64 bits and whose files are named when they fail."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            UsageError: a number cannot be kept, or the system refused a file.
        """
        for parameter in self.params:
            given = ctx.params.get(parameter.name)
            for value in given if isinstance(given, list | tuple) else (given,):  # pyright: ignore[reportUnknownVariableType]
                if isinstance(value, int | float) and not isinstance(value, bool):
                    allowed = WHOLE if isinstance(value, int) else FINITE
                    check_number(max(parameter.opts, key=len), value, allowed)
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.filename is None:
                raise
            raise UsageError(f"{error.filename}: {error.strerror}") from error


class _OnDemand(TyperGroup):
    """Imports a command when it is wanted, so that none waits for what only others need."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """Return a command, or None where there is none of that name."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        found = getattr(import_module(f"plaudit.cli.{module}"), attribute)
        holder = typer.Typer(**_LOOK)
        if isinstance(found, typer.Typer):
            for command in found.registered_commands:
                command.cls = _Command
            holder.add_typer(found, name=cmd_name)
        else:
            holder.command(cmd_name, cls=_Command)(found)
        made = typer.main.get_group(holder).commands[cmd_name]
        return cast("TyperCommand | TyperGroup", made)


_LOOK: dict[str, Any] = {
    "rich_markup_mode": "markdown",
    "pretty_exceptions_enable": False,
}
app = typer.Typer(
    name="plaudit",
    cls=_OnDemand,
    help="Turn any language model into a reward signal that can be trusted.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **_LOOK,
)


class _PrivateLog(RotatingFileHandler):
    """Log files that nobody else can read: with -v they hold what users wrote."""

    def _open(self) -> io.TextIOWrapper:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        opened = open(self.baseFilename, self.mode, encoding="utf-8", opener=private)  # noqa: SIM115
        return cast("io.TextIOWrapper", opened)


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
        handler: logging.Handler = _log_to(log_file)
    else:
        handler = logging.StreamHandler()
    logging.basicConfig(
        level=logging.WARNING, handlers=[handler], format="%(asctime)s %(levelname)s %(message)s"
    )


def _log_to(path: str) -> logging.Handler:
    try:
        return _PrivateLog(path, maxBytes=10_000_000, backupCount=3)
    except OSError as error:
        raise UsageError(f"--log-file {path}: {error.strerror}") from error


def _terminated(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # As shells do with background jobs.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command line and exit with its status."""
    signal.signal(signal.SIGTERM, _terminated)
    _write_whole_texts()
    try:
        app()
    except PlauditError as error:
        from plaudit.cli import display

        option = isinstance(error, ArgumentError)
        display.error(error.as_option if option else str(error))
        _exit(error.exit_status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(0)


def _write_whole_texts() -> None:
    """Give the standard streams a buffer, which they lack under `PYTHONUNBUFFERED`.

    Without one, Python drops what a pipe does not take at once: rows would miss their ends.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
            continue
        encoding, errors = stream.encoding, stream.errors
        buffered = io.BufferedWriter(stream.detach())
        whole = io.TextIOWrapper(buffered, encoding, errors, line_buffering=True)
        setattr(sys, name, whole)
        setattr(sys, f"__{name}__", whole)


def _exit(status: int) -> NoReturn:
    sys.stdout.flush()
    raise SystemExit(status)
