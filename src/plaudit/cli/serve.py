"""`plaudit serve`: rewards over HTTP, for trainers."""

import functools
import logging
from typing import Annotated, Any

import typer

from plaudit import __version__
from plaudit.cli import display, display_serve
from plaudit.cli.options import (
    RARE,
    WRITER_HELP,
    Fields,
    JsonOption,
    StoreOption,
    Values,
    option,
    with_fields,
)
from plaudit.cli.running import collect_seldom, resumable
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.progress import DownloadProgress
from plaudit.sending.pool import SendPolicy
from plaudit.server.app import HTTPLimits, make_app
from plaudit.server.checking import check_served
from plaudit.server.desk import DeskLimits
from plaudit.server.running import Address, JSONLines
from plaudit.server.running import serve as run_server
from plaudit.server.security import Gatekeeper, read_token
from plaudit.server.service import DialectChoices, Service, choose_dialects
from plaudit.server.spec import ServeDefaults, load_spec
from plaudit.server.unscored import UnscoredChoice, read_choice

_LOG = logging.getLogger("plaudit.server")


@with_fields
def serve(
    send: Annotated[Values, Fields(SendPolicy, "timeout", "concurrency")],
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="A TOML or JSON file: `[serve.NAME]` with `rewards = FILE` or `judge = KIND` and "
            "its options. A file of rewards is served under its stem.",
        ),
    ],
    host: Annotated[
        str,
        option(
            "--host",
            panel="Input",
            help="Address to listen at; one that other machines reach needs a token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        option(
            "--port",
            panel="Input",
            min=0,
            max=65535,
            envvar="PLAUDIT_SERVE_PORT",
            help="Port; 0: a free one.",
        ),
    ] = 8080,
    token_file: Annotated[
        str | None,
        option(
            "--token-file",
            panel="Input",
            metavar="FILE",
            help="Clients send this token, as Bearer or as the password of a URL; or set "
            "`PLAUDIT_SERVE_TOKEN`.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        option(
            "--allow-host",
            panel="Input",
            metavar="NAME",
            help="Another name under which clients ask; may be repeated.",
        ),
    ] = None,
    dialect: Annotated[
        list[str] | None,
        option(
            "--dialect",
            panel="Input",
            metavar="NAME",
            help="Serve this dialect: `openrlhf`, `slime`, `llama-factory`, `nemo-gym`, `vllm`; "
            "may be repeated. Without it, all that can carry --when-unscored.",
        ),
    ] = None,
    when_unscored: Annotated[
        list[str] | None,
        option(
            "--when-unscored",
            panel="Rewards",
            metavar="HOW",
            help="What a row without a value is answered: `null`, `error`, `drop`, `group-mean` "
            "or a number; or DIALECT=HOW; may be repeated.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        option(
            "--engine",
            "-e",
            panel="Engine",
            metavar="URI",
            help=f"For rewards and judges that name none. {WRITER_HELP}",
        ),
    ] = None,
    processes: Annotated[
        int,
        option(
            "--function-processes",
            panel="Load",
            min=1,
            max=1024,
            metavar="N",
            help="Processes for each sync function of your own; one that hangs is killed.",
        ),
    ] = 4,
    queue: Annotated[
        int,
        option(
            "--queue",
            panel="Load",
            min=1,
            metavar="N",
            help="Most rows of a reward that are taken and not answered; more are refused (503).",
        ),
    ] = 20_000,
    at_once: Annotated[
        int,
        option(
            "--at-once",
            panel="Load",
            min=1,
            metavar="N",
            help="Most rows of a reward that are scored at once.",
        ),
    ] = 256,
    max_body: Annotated[
        int,
        option("--max-body", panel="Load", min=1, metavar="MB", help="Most MB of a request."),
        RARE,
    ] = 32,
    max_rows: Annotated[
        int,
        option("--max-rows", panel="Load", min=1, metavar="N", help="Most rows of a request."),
        RARE,
    ] = 4096,
    drain: Annotated[
        float,
        option(
            "--drain",
            panel="Load",
            min=0,
            metavar="S",
            help="Seconds that requests under way have after SIGTERM.",
        ),
        RARE,
    ] = 30.0,
    no_cache: Annotated[
        bool, option("--no-cache", panel="Store", help="Neither read nor keep the judge's replies.")
    ] = False,
    store: StoreOption = None,
    check: Annotated[
        bool, option("--check", panel="Output", help="Show what would be served, and probe it.")
    ] = False,
    quiet: Annotated[
        bool, option("--quiet", panel="Output", help="Log problems alone, and no requests.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve rewards and judges over HTTP, in the protocols of trainers.

    A row that cannot be scored is never a number in silence: `--when-unscored` says what is
    answered in its place. Dialects whose trainer takes no null are not served without a choice.

    Exit status: 0 stopped in order, or --check found no problem; 1 --check found one; 2 wrong
    usage; 3 --check could not use an engine.
    """
    token = read_token(token_file, host)
    defaults = ServeDefaults(
        engine=None if engine is None else load_engine(engine, DownloadProgress()),
        cache=not no_cache and (store or True),
        send=SendPolicy(**send),
        processes=processes,
    )
    found = load_spec(spec, defaults)
    spoken = choose_dialects(found, _choices(dialect or [], when_unscored or []))
    if check:
        report = resumable(check_served(found.rewards, spoken), "interrupted")
        display_serve.report(report, as_json)
        raise typer.Exit(report.exit_status)
    _log_as_json(quiet)
    collect_seldom()
    limits = HTTPLimits(body=max_body * 2**20, rows=max_rows)
    names = [*(allow_host or []), *([host] if token is None else [])]

    async def run() -> None:
        desks = DeskLimits(waiting=queue, at_once=at_once)
        service = Service(found.rewards, spoken, desks)
        app = make_app(service, Gatekeeper(token, names), limits=limits, version=__version__)
        shown = functools.partial(_started, service)
        await run_server(service, app, Address(host, port), shown, drain=drain)

    resumable(run(), "interrupted")


def _choices(dialects: list[str], given: list[str]) -> DialectChoices:
    """Read `HOW` and `DIALECT=HOW`.

    Raises:
        UsageError: one of them cannot be read, or two say what holds for all.
    """
    general: list[UnscoredChoice] = []
    by_name: dict[str, UnscoredChoice] = {}
    for text in given:
        name, separator, how = text.rpartition("=")
        try:
            choice = read_choice(how)
        except UsageError as error:
            raise UsageError(f"--when-unscored {text}: {error}") from None
        if separator:
            by_name[name] = choice
        else:
            general.append(choice)
    if len(general) > 1:
        raise UsageError("--when-unscored: give HOW once, and DIALECT=HOW for others")
    return DialectChoices(
        names=dialects, when_unscored=general[0] if general else None, by_name=by_name
    )


def _log_as_json(quiet: bool) -> None:
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JSONLines())
    _LOG.setLevel(logging.WARNING if quiet else logging.INFO)


def _started(service: Service, address: Address) -> None:
    facts: dict[str, Any] = {
        "url": address.url,
        "rewards": list(service.rewards),
        "dialects": {name: str(one.choice) for name, one in service.spoken.items()},
    }
    _LOG.info("serving", extra={"facts": facts})
    display.stderr().print(f"serving {', '.join(service.rewards)} at {address.url}")
