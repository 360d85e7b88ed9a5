"""`plaudit serve`: rewards over HTTP, for trainers."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from plaudit import __version__
from plaudit._util.collector import collect_seldom
from plaudit._util.options import Help
from plaudit._util.ranges import SECONDS, WHOLE_32, WHOLE_64, Range
from plaudit.cli import display, display_serve
from plaudit.cli.options import (
    WRITER_HELP,
    Fields,
    JsonOption,
    NoCacheOption,
    StoreOption,
    Values,
    option,
    with_fields,
)
from plaudit.cli.running import resumable
from plaudit.engines.load import load_engine
from plaudit.errors import UsageError
from plaudit.io.progress import DownloadProgress
from plaudit.rewarding.unscored import UnscoredChoice, read_choice
from plaudit.rollouts import telemetry
from plaudit.sending.pool import SendPolicy
from plaudit.server.app import App, HTTPLimits, make_app
from plaudit.server.checking import check_served
from plaudit.server.desk import DeskLimits
from plaudit.server.metrics import Snapshot
from plaudit.server.peers import Peers
from plaudit.server.running import Address, Inside, JSONLines
from plaudit.server.running import serve as run_server
from plaudit.server.security import Gatekeeper, read_token
from plaudit.server.service import DialectChoices, Service, Spoken, choose_dialects
from plaudit.server.spec import Served, ServeDefaults, load_spec
from plaudit.server.watch.plan import WatchPlan, make_watch
from plaudit.server.workers import Worker, bind, supervise

_LOG = logging.getLogger("plaudit.server")


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where rewards are served, to whom, and how much at once."""

    host: Annotated[
        str,
        Help("Address to listen at; one that other machines reach needs a token.", "Input", "HOST"),
    ] = "127.0.0.1"
    token_file: Annotated[
        str | None,
        Help(
            "Clients send this token, as Bearer or as the password of a URL; or set "
            "`PLAUDIT_SERVE_TOKEN`.",
            "Input",
            "FILE",
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None,
        Help("Another name under which clients ask; may be repeated.", "Input", "NAME"),
    ] = None
    dialect: Annotated[
        list[str] | None,
        Help(
            "Serve this dialect: `openrlhf`, `slime`, `llama-factory`, `nemo-gym`, `vllm`; may be "
            "repeated. Without it, all that can carry --when-unscored.",
            "Input",
            "NAME",
        ),
    ] = None
    when_unscored: Annotated[
        list[str] | None,
        Help(
            "What a row without a value is answered: `null`, `error`, `drop`, `group-mean` or a "
            "number; or DIALECT=HOW; may be repeated.",
            "Rewards",
            "HOW",
        ),
    ] = None
    engine: Annotated[
        str | None,
        Help(
            f"For rewards and judges that name none. {WRITER_HELP}",
            "Engine",
            "URI",
            ("--engine", "-e"),
        ),
    ] = None
    processes: Annotated[
        int,
        Range(1, 256),
        Help("Processes that share the port, each with queues and limits of its own.", "Load"),
    ] = 1
    function_processes: Annotated[
        int,
        Range(1, 1024),
        Help("Processes for each sync function of your own; one that hangs is killed.", "Load"),
    ] = 4
    queue: Annotated[
        int,
        Range(1, WHOLE_64),
        Help(
            "Most rows of a reward that are taken and not answered; more are refused (503).", "Load"
        ),
    ] = 20_000
    at_once: Annotated[
        int, Range(1, WHOLE_64), Help("Most rows of a reward that are scored at once.", "Load")
    ] = 256
    max_body: Annotated[
        int, Range(1, WHOLE_32), Help("Most MB of a request.", "Load", "MB", rare=True)
    ] = 32
    max_rows: Annotated[
        int, Range(1, WHOLE_64), Help("Most rows of a request.", "Load", rare=True)
    ] = 4096
    otel: Annotated[
        bool,
        Help(
            "Export OpenTelemetry spans, to where OTEL_EXPORTER_OTLP_ENDPOINT says.",
            "Output",
            rare=True,
        ),
    ] = False
    drain: Annotated[
        float,
        Range(0, SECONDS),
        Help("Seconds that requests under way have after SIGTERM.", "Load", "S", rare=True),
    ] = 30.0


@with_fields
def serve(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="A TOML or JSON file: `[serve.NAME]` with `rewards = FILE` or `judge = KIND` and "
            "its options. A file of rewards is served under its stem.",
        ),
    ],
    *,
    given: Annotated[Values, Fields(ServeOptions)],
    send: Annotated[Values, Fields(SendPolicy, "timeout", "concurrency")],
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
    no_cache: NoCacheOption = False,
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
    options = ServeOptions(**given)
    token = read_token(options.token_file, options.host)
    engine = options.engine
    defaults = ServeDefaults(
        engine=None if engine is None else load_engine(engine, DownloadProgress()),
        cache=not no_cache and (store or True),
        send=SendPolicy(**send),
        processes=options.function_processes,
    )
    found = load_spec(spec, defaults)
    spoken = choose_dialects(found, _choices(options.dialect or [], options.when_unscored or []))
    watch = make_watch(found)
    if check:
        report = resumable(check_served(found.rewards, spoken, watch), "interrupted")
        display_serve.report(report, as_json)
        raise typer.Exit(report.exit_status)
    _log_as_json(quiet)
    collect_seldom()

    serving = _Serving(options, token, found.rewards, spoken, watch)
    if options.processes == 1:
        with telemetry.exporting() if options.otel else nullcontext():
            resumable(serving.alone(port), "interrupted")
        return
    sockets = bind(options.host, port, options.processes)
    serving.started(Address(options.host, sockets[0].getsockname()[1]))

    def work(worker: Worker) -> None:
        with telemetry.exporting() if options.otel else nullcontext():
            resumable(serving.beside_others(worker), "interrupted")

    supervise(sockets, work, drain=options.drain)


class _Serving(NamedTuple):
    """What is served, and how."""

    options: ServeOptions
    token: str | None
    rewards: Mapping[str, Served]
    spoken: Mapping[str, Spoken]
    watch: WatchPlan | None

    async def alone(self, port: int) -> None:
        """Serve in one process, until a signal ends it."""
        options, service = self.options, self._service(self.watch)
        address = Address(options.host, port)
        await run_server(service, self._app(service), address, self.started, drain=options.drain)

    async def beside_others(self, worker: Worker) -> None:
        """Serve as one of several processes; the first one watches."""
        options, peers = self.options, Peers(worker)
        watch = self.watch if worker.number == 0 else None
        service = self._service(watch, peers.before())
        inside = Inside(worker, self._app(service, peers, inner=True))
        app, address = self._app(service, peers), Address(options.host, 0)
        try:
            await run_server(
                service, app, address, lambda _: None, drain=options.drain, inside=inside
            )
        finally:
            await peers.close()

    def _service(self, watch: WatchPlan | None, counted: Snapshot | None = None) -> Service:
        desks = DeskLimits(waiting=self.options.queue, at_once=self.options.at_once)
        return Service(self.rewards, self.spoken, desks, watch, counted)

    def _app(self, service: Service, peers: Peers | None = None, *, inner: bool = False) -> App:
        options = self.options
        limits = HTTPLimits(body=options.max_body * 2**20, rows=options.max_rows)
        names = [*(options.allow_host or []), *([options.host] if self.token is None else [])]
        keeper = Gatekeeper(self.token, names)
        return make_app(
            service, keeper, limits=limits, version=__version__, peers=peers, inner=inner
        )

    def started(self, address: Address) -> None:
        """Say where it is."""
        facts: dict[str, Any] = {
            "url": address.url,
            "rewards": list(self.rewards),
            "dialects": {name: str(one.choice) for name, one in self.spoken.items()},
        }
        _LOG.info("serving", extra={"facts": facts})
        display.stderr().print(f"serving {', '.join(self.rewards)} at {address.url}")


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
