"""`plaudit judge`: judge a file."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, cast

import msgspec
import typer

from plaudit._util import loops
from plaudit._util.options import Help
from plaudit._util.ranges import SECONDS, WHOLE_32, Range
from plaudit.cli import display, display_batches, display_judging, display_runs
from plaudit.cli.cluster import on_ray
from plaudit.cli.options import (
    ENGINE_HELP,
    Fields,
    JsonOption,
    PricesOption,
    StoreOption,
    Values,
    cache_policy,
    completer,
    option,
    with_fields,
)
from plaudit.cli.running import (
    RunDisplay,
    RunOptions,
    resumable,
    run_to_end,
    store_path,
)
from plaudit.engines.base import Engine
from plaudit.engines.load import launch_engine, load_engine
from plaudit.engines.uri import EngineURI
from plaudit.errors import UsageError
from plaudit.integrations.ray.run import ClusterOptions
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.io.sources import count_hint
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import KINDS, make_config, task_type
from plaudit.judges.panel import PanelConfig, read_cascade, read_jury
from plaudit.runs.batch_policy import BatchPolicy
from plaudit.runs.batches import Batches
from plaudit.runs.cached import CachePolicy
from plaudit.runs.plan import Plan, add_batch_cost, plan_file
from plaudit.runs.processes.crew import Crew, CrewJob
from plaudit.runs.record import JudgeOptions, JudgeRecord
from plaudit.runs.runner import Watch, run_judge
from plaudit.runs.summary import JudgeSummary
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.batches import OPEN, BatchLedger, ledger_path
from plaudit.store.store import Store

KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="JUDGE",
        help="`feedback`: how did the user react? `pointwise`: how good is the response, 1-10? "
        "`pairwise`: which of two is better? `verify`: is the answer right, given a reference? "
        "`FILE.py:Class`: a judge of your own, whose code is run.",
        autocompletion=completer(KINDS),
    ),
]
InputArgument = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="JSON Lines, a JSON array or object, Parquet, a saved `datasets` folder, or - .",
    ),
]


class AskedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine, jury or cascade a command asks, and the servers that it starts."""

    engine: Annotated[
        str | None,
        Help(
            f"{ENGINE_HELP} Without it: `none:` (verify), which asks no model, and `local`.",
            "Engine",
            "URI",
            ("--engine", "-e"),
        ),
    ] = None
    jury: Annotated[
        str | None,
        Help(
            "Ask several judges about every sample and combine their verdicts: a TOML or JSON "
            "file of members.",
            "Engine",
            "SPEC",
        ),
    ] = None
    cascade: Annotated[
        str | None,
        Help(
            "Ask a cheap judge first, and the next only about what it cannot decide: a TOML or "
            "JSON file of steps.",
            "Engine",
            "SPEC",
        ),
    ] = None
    launch: Annotated[
        int | None,
        Range(1, WHOLE_32),
        Help(
            "Start N servers of `vllm:MODEL` or `sglang:MODEL` for this run, and end them after.",
            "Engine",
            rare=True,
        ),
    ] = None
    gpus_per_worker: Annotated[
        int | None,
        Range(1, WHOLE_32),
        Help("--launch: GPUs of each server; one by default.", "Engine", "K", rare=True),
    ] = None
    launch_arg: Annotated[
        list[str] | None,
        Help(
            '--launch: further arguments of the servers, such as "--max-model-len 4096"; '
            "may be repeated.",
            "Engine",
            "ARGS",
            rare=True,
        ),
    ] = None
    launch_timeout: Annotated[
        float,
        Range(1, SECONDS),
        Help("--launch: seconds until all must be ready.", "Engine", "S", rare=True),
    ] = 600.0

    @property
    def launched_gpus(self) -> int | None:
        """GPUs of all servers that are started; None: none is."""
        return None if self.launch is None else self.launch * (self.gpus_per_worker or 1)


ProcessesOption = Annotated[
    int,
    option(
        "--processes",
        metavar="N",
        min=1,
        help="Judge in N processes, to use N cores. Limits are those of all together.",
        panel="Load",
    ),
]
DryRunOption = Annotated[
    bool, option("--dry-run", help="Count calls, tokens and cost; send nothing.", panel="Output")
]
VerboseOption = Annotated[
    bool, option("--verbose", "-v", help="Show prompt, reply and reading of each.", panel="Output")
]


@with_fields
def judge(
    kind: KindArgument,
    source: InputArgument,
    *,
    asked: Annotated[Values, Fields(AskedOptions)],
    config: Annotated[Values, Fields(JudgeConfig)],
    reads: Annotated[Values, Fields(JudgeOptions)],
    send: Annotated[Values, Fields(SendPolicy)],
    processes: ProcessesOption = 1,
    cluster: Annotated[Values, Fields(ClusterOptions)],
    store: StoreOption = None,
    cache: Annotated[Values, Fields(CachePolicy)],
    batch: Annotated[Values, Fields(BatchPolicy)],
    as_json: JsonOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    prices: PricesOption = None,
) -> None:
    """Judge every sample of INPUT, and say how sure the judge is.

    A judgement that cannot be made is never a number: it is counted as abstained, invalid or
    failed, with its cause. The same command again costs no call, and goes on where a stopped run
    stopped.

    Exit status: 0 done; 1 done, but rows were rejected or samples failed or are invalid; 2 wrong
    usage or no usable input; 3 the engine cannot be used; 130 interrupted.
    """
    settings, options = make_config(task_type(kind), config), JudgeOptions(source=source, **reads)
    record, engines = _prepared(AskedOptions(**asked), settings, options, verbose)
    run = RunOptions(
        SendPolicy(**send), cache_policy(cache), store_path(store), Prices.read(prices)
    )
    policy = BatchPolicy(**batch, outage=run.send.outage)
    job = _Job(record, engines, run, verbose, policy if policy.batch else None)
    if policy.batch:
        _check_batch(options.source, run.cache)
    if processes > 1:
        job = _in_processes(job, processes, kind, {**asked, **cluster})
    if dry_run:
        display_judging.plan(job.plan(), as_json)
        return
    summary = functools.partial(display_judging.summary, store=store)
    shown = RunDisplay(display_judging.verdicts, "verdicts.jsonl", summary)
    on = ClusterOptions(**cluster)
    if on.ray is not None and policy.batch:
        raise UsageError("--batch does not go with --ray")
    wanted = AskedOptions(**asked)
    start = (
        job.run if on.ray is None else on_ray(kind, record, engines, on, wanted.launched_gpus, run)
    )
    run_to_end(start, options.out, as_json, shown)


def _check_batch(source: str, cache: CachePolicy) -> None:
    """Refuse what a run that reads its input again, and its replies from the store, cannot do.

    Raises:
        UsageError: the input or the cache does not allow it.
    """
    if source == "-":
        raise UsageError("--batch reads its input several times: write it to a file")
    if not (cache.read and cache.write) or cache.retry_invalid:
        raise UsageError(
            "--batch keeps replies in the store and reads them there: "
            "--fresh, --no-cache and --retry-invalid go without it"
        )


def _in_processes(job: "_Job", processes: int, kind: str, given: Values) -> "_Job":
    """Let several processes judge.

    Raises:
        UsageError: the command asks for what one process must do alone.
    """
    alone = {
        "--jury and --cascade": job.record.panel is not None,
        "--launch": given["launch"] is not None,
        "--ray": given["ray"] is not None,
        "--batch": job.batch is not None,
        "--verbose": job.verbose,
    }
    for what, wanted in alone.items():
        if wanted:
            raise UsageError(f"{what} cannot be used with --processes: leave one of them out")
    send, cache, store, _ = job.options
    engine = cast("Engine", job.engine)
    return job._replace(crew=CrewJob(processes, kind, engine, send, cache, str(store)))


def _prepared(
    asked: AskedOptions, config: JudgeConfig, options: JudgeOptions, verbose: bool
) -> tuple[JudgeRecord, Engine | Sequence[Engine]]:
    """Return what the command asks for, and the engines that it asks."""
    engine = asked.engine or task_type(config.kind).default_engine
    if asked.jury is None and asked.cascade is None:
        panel, engines = None, load_judging(engine, asked, verbose)
    else:
        panel, engines = read_panel(asked, config, engine)
    record = JudgeRecord(judge=config, engine=engine, options=options, panel=panel)
    return record, engines


def read_panel(
    asked: AskedOptions, config: JudgeConfig, engine: str
) -> tuple[PanelConfig, Sequence[Engine]]:
    """Read the jury or the cascade, and load its engines."""
    if asked.jury is not None and asked.cascade is not None:
        raise UsageError("give --jury or --cascade, not both")
    if asked.launch is not None:
        raise UsageError("--launch starts servers of one model; start those of a panel yourself")
    EngineURI.parse(engine)  # Kept with the run, whether or not a member uses it.
    load = functools.partial(load_engine, progress=DownloadProgress())
    if asked.jury is not None:
        return read_jury(asked.jury, config, engine, load)
    assert asked.cascade is not None
    return read_cascade(asked.cascade, config, engine, load)


def load_judging(engine: str, asked: AskedOptions, verbose: bool) -> Engine:
    """Load an engine, or launch its servers."""
    gpus, arguments = asked.gpus_per_worker, asked.launch_arg or ()
    if asked.launch is not None:
        return launch_engine(
            engine, asked.launch, gpus,
            arguments=arguments, timeout=asked.launch_timeout, report=_tell(verbose),
        )  # fmt: skip
    if gpus or arguments:
        raise UsageError("--gpus-per-worker and --launch-arg go with --launch N")
    return load_engine(engine, DownloadProgress())


def _tell(verbose: bool) -> Callable[[str], None]:
    """Return what prints how far servers are; verbose: their ports are logged too."""
    if verbose:
        logging.getLogger("plaudit.engines.launch.fleet").setLevel(logging.INFO)
    return functools.partial(typer.echo, err=True)


class _Job(NamedTuple):
    """A command line, ready to run."""

    record: JudgeRecord
    engine: Engine | Sequence[Engine]
    options: RunOptions
    verbose: bool
    batch: BatchPolicy | None
    crew: CrewJob | None = None

    def plan(self) -> Plan:
        _, cache, path, prices = self.options
        with Store(path) as store:
            found = loops.run(plan_file(self.record, self.engine, store, cache, prices))
        if self.batch is not None:
            add_batch_cost(found, self._engines)
        return found

    def run(self, out: str | None) -> JudgeSummary:
        """Judge; `out` stands in place of the record's own."""
        total = count_hint(self.record.options.source)
        progress = Progress(f"judge {self.record.judge.kind}", total_bytes=total)
        watch = display_runs.Exchanges(display.stderr()).watch if self.verbose else None
        if self.batch is not None:
            return self._run_in_batches(self.batch, progress, out, watch)
        with self.options.opened(progress) as settings:
            crew = None if self.crew is None else Crew(self.crew)
            work = run_judge(settings, self.record, self.engine, out, watch, crew=crew)
            return resumable(work)

    @property
    def _engines(self) -> Sequence[Engine]:
        return self.engine if isinstance(self.engine, Sequence) else [self.engine]

    def _run_in_batches(
        self, policy: BatchPolicy, progress: Progress, out: str | None, watch: Watch | None
    ) -> JudgeSummary:
        path = ledger_path(self.options.store)
        with BatchLedger(path) as ledger:
            display_batches.estimate(self.plan(), ledger.batches(OPEN))
        with self.options.opened(progress) as settings, BatchLedger(path) as ledger:
            store = cast("Store", settings.store)
            batches = Batches(store, ledger, policy, self._engines)
            work = run_judge(settings, self.record, self.engine, out, watch, batches)
            return resumable(work, display_batches.GO_ON)
