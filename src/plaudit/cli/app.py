"""The `plaudit` command: errors become one message and an exit status."""

import io
import logging
import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from logging.handlers import RotatingFileHandler
from types import FrameType
from typing import Annotated, Any, NamedTuple, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from plaudit import __version__
from plaudit._util.ranges import FINITE, WHOLE, check_number
from plaudit.errors import ArgumentError, PlauditError, UsageError


class _Place(NamedTuple):
    """Where a command is defined, and its line in the list of commands."""

    module: str
    attribute: str
    line: str


_PANELS: Mapping[str, Mapping[str, _Place]] = {
    "Judge": {
        "judge": _Place("judge", "judge", "Judge conversations, answers or pairs of answers."),
        "prompt": _Place("prompt", "prompt", "Show what a judge would be asked; send nothing."),
        "shots": _Place("prompt", "shots_app", "Look at a pool of shots, and check it."),
        "calibrate": _Place("labels", "calibrate", "Measure a judge's confidence; find a gate."),
        "rubric": _Place("labels", "rubric_app", "Learn criteria from labelled pairs."),
        "jury-weights": _Place("labels", "jury_weights", "Learn the weights of a jury's members."),
    },
    "Proof": {
        "bench": _Place("bench", "app", "Measure judges against people, on labelled sets."),
        "audit": _Place("audit", "audit", "Look for biases of a judge, and attack it."),
        "report": _Place("report", "report", "Write the report card of judges, as one page."),
    },
    "Agents": {
        "corpus": _Place("corpus", "app", "Make documents searchable, and ask about them."),
        "rollout": _Place("rollout", "rollout", "Let a model answer questions with tools."),
        "score": _Place("score", "score", "Score stored rollouts again; try rewards on cheats."),
        "compare": _Place("score", "compare", "Compare two runs or results, one by one."),
        "serve": _Place("serve", "serve", "Serve rewards over HTTP, for trainers."),
    },
    "Training data": {
        "pairs": _Place("pairs", "pairs", "Make preference pairs from scored answers."),
        "export": _Place("export", "export", "Split pairs, and write them for a trainer."),
        "curriculum": _Place("curriculum", "curriculum", "Order examples from easy to difficult."),
    },
    "Runs and models": {
        "runs": _Place("runs", "runs", "List runs, the newest first."),
        "view": _Place("view", "view", "Look at runs and rows in a browser."),
        "show": _Place("runs", "show", "Show the samples of a run: prompt, reply, reading."),
        "batches": _Place("batches", "batches", "List batches sent; wait, cancel, collect."),
        "store": _Place("store", "app", "Look after the store of replies and runs."),
        "models": _Place("models", "app", "List the embedded models, or fetch one."),
    },
}
"""The commands, in the order of the help."""
_PLACES = {name: place for commands in _PANELS.values() for name, place in commands.items()}

JOBS = """
Label user reactions
    plaudit judge feedback chats.jsonl -o rewards.jsonl
Score and compare answers
    plaudit judge pointwise answers.jsonl -o scores.jsonl
    plaudit judge pairwise answer-pairs.jsonl -o choices.jsonl
Check answers against references
    plaudit judge verify solutions.jsonl -o checked.jsonl
Roll out and reward an agent
    plaudit corpus build docs/ -o index
    plaudit rollout questions.jsonl --tools search:index --rewards default
Make preference data
    plaudit pairs scores.jsonl -o pairs.jsonl
    plaudit export trl-dpo pairs.jsonl -o dpo/
Prove how far a judge can be trusted
    plaudit bench own labelled.jsonl --kind verify -o bench
    plaudit audit --kind verify -o audit
    plaudit report bench audit -o card

Without -e a small embedded model answers: no key, no GPU. Name another one with
-e openai:MODEL or -e vllm:MODEL@URL.

plaudit --help lists all commands, plaudit judge --help all options of judge.
"""
"""What `plaudit` alone shows."""


class _Command(TyperCommand):
    """A command whose numbers fit into 64 bits and whose files are named when they fail."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as the help shows them.

        Options stand in panels where each has one; `--help` is in the last of them. A switch takes
        no value, so it shows no type.
        """
        parameters = super().get_params(ctx)
        *options, help_option = [p for p in parameters if isinstance(p, TyperOption)]
        panels = [option.rich_help_panel for option in options]
        for option in options if None in panels else ():
            option.rich_help_panel = None
        help_option.rich_help_panel = panels[-1] if panels and None not in panels else None
        for option in (*options, help_option):
            option.metavar = "" if option.is_flag else option.metavar
        return parameters

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
    """Imports a command when it is used, so that none waits for imports of the others."""

    def __init__(self, **options: Any) -> None:
        """Know the commands by their names and lines, which imports none of them."""
        super().__init__(**options)
        self.commands = {
            name: TyperCommand(name, help=place.line, rich_help_panel=panel)
            for panel, commands in _PANELS.items()
            for name, place in commands.items()
        }

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(_PLACES)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        """Return a command, or None where there is none of that name."""
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        found = getattr(import_module(f"plaudit.cli.{place.module}"), place.attribute)
        holder = typer.Typer(**_LOOK)
        if isinstance(found, typer.Typer):
            for command in found.registered_commands:
                command.cls = _Command
            holder.add_typer(found, name=cmd_name)
        else:
            holder.command(cmd_name, cls=_Command)(found)
        made = typer.main.get_group(holder).commands[cmd_name]
        return cast("TyperCommand | TyperGroup", made)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; without any, show what plaudit is for."""
        if not args and not ctx.resilient_parsing:
            typer.echo(f"{self.help}\n{JOBS}", nl=False)
            raise typer.Exit(UsageError.exit_status)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help from the names and lines of the commands."""
        listing = TyperGroup(
            name=self.name,
            help=self.help,
            epilog="`plaudit` alone shows what it is for, with examples.",
            params=self.params,
            commands=list(self.commands.values()),
            **_MARKUP,
        )
        listing.format_help(ctx, formatter)


_MARKUP: dict[str, Any] = {"rich_markup_mode": "markdown"}
_LOOK: dict[str, Any] = {
    **_MARKUP,
    "pretty_exceptions_enable": False,
}
app = typer.Typer(
    name="plaudit",
    cls=_OnDemand,
    help="Turn any language model into a reward signal that can be trusted.",
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
        from plaudit.cli.options import with_options

        option = isinstance(error, ArgumentError)
        display.error(error.as_option if option else with_options(str(error)))
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
