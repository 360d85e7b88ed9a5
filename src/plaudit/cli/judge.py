"""`plaudit judge`: judge a file."""

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

from plaudit._util import loops
from plaudit._util.options import Help
from plaudit._util.ranges import SECONDS, WHOLE_32, Range
from plaudit.cli import display, display_judging, display_runs
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
from plaudit.cli.running import collect_seldom, resumable, run_and_show, store_path
from plaudit.engines.base import Engine
from plaudit.engines.load import launch_engine, load_engine
from plaudit.engines.uri import EngineURI
from plaudit.errors import UsageError
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.io.sources import count_hint
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import KINDS, make_config, task_type
from plaudit.judges.panel import PanelConfig, read_cascade, read_jury
from plaudit.runs.cached import CachePolicy
from plaudit.runs.plan import Plan, plan_file
from plaudit.runs.record import JudgeOptions, JudgeRecord, RunSettings
from plaudit.runs.runner import run_judge
from plaudit.runs.summary import JudgeSummary
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
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

JudgeEngineOption = Annotated[
    str | None,
    option(
        "--engine",
        "-e",
        metavar="URI",
        help=f"{ENGINE_HELP} Without it: `none:` (verify), which asks no model, and `local`.",
        panel="Engine",
    ),
]
JuryOption = Annotated[
    str | None,
    option(
        "--jury",
        metavar="SPEC",
        help="Ask several judges about every sample and combine their verdicts: a TOML or "
        "JSON file of members.",
        panel="Engine",
    ),
]
CascadeOption = Annotated[
    str | None,
    option(
        "--cascade",
        metavar="SPEC",
        help="Ask a cheap judge first, and the next only about what it cannot decide: a TOML "
        "or JSON file of steps.",
        panel="Engine",
    ),
]


class LaunchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Servers that are started for a run."""

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


@with_fields
def judge(
    kind: KindArgument,
    source: InputArgument,
    config: Annotated[Values, Fields(JudgeConfig)],
    reads: Annotated[Values, Fields(JudgeOptions)],
    send: Annotated[Values, Fields(SendPolicy)],
    cache: Annotated[Values, Fields(CachePolicy)],
    servers: Annotated[Values, Fields(LaunchOptions)],
    engine: JudgeEngineOption = None,
    jury: JuryOption = None,
    cascade: CascadeOption = None,
    store: StoreOption = None,
    out: Annotated[
        str | None,
        option(
            "--out",
            "-o",
            metavar="OUT",
            help="Write verdicts here: JSON Lines, .parquet, DIR/ for `datasets`, or - .",
            panel="Output",
        ),
    ] = None,
    as_json: JsonOption = False,
    dry_run: Annotated[
        bool,
        option("--dry-run", help="Count calls, tokens and cost; send nothing.", panel="Output"),
    ] = False,
    verbose: Annotated[
        bool,
        option("--verbose", "-v", help="Show prompt, reply and reading of each.", panel="Output"),
    ] = False,
    prices: PricesOption = None,
) -> None:
    """Judge every sample of INPUT, and say how sure the judge is.

    A judgement that cannot be made is never a number: it is counted as abstained, invalid or
    failed, with its cause. The same command again costs no call, and goes on where a stopped run
    stopped.

    Exit status: 0 done; 1 done, but rows were rejected or samples failed or are invalid; 2 wrong
    usage or no usable input; 3 the engine cannot be used; 130 interrupted.
    """
    judge_type = task_type(kind)
    settings, panel = make_config(judge_type, config), None
    engine = engine or judge_type.default_engine
    if jury is not None or cascade is not None:
        panel, asked = read_panel(jury, cascade, settings, engine, servers["launch"])
    else:
        asked = load_judging(engine, LaunchOptions(**servers), verbose)
    options = JudgeOptions(source=source, out=out, **reads)
    record = JudgeRecord(judge=settings, engine=engine, options=options, panel=panel)
    job = _Job(
        record, asked, SendPolicy(**send), cache_policy(cache), store_path(store),
        Prices.read(prices), verbose,
    )  # fmt: skip
    if dry_run:
        display_judging.plan(job.plan(), as_json)
        return
    shown = out is None and not as_json
    summary = (
        run_and_show(job.run, display_judging.verdicts, "verdicts.jsonl") if shown else job.run()
    )
    if as_json:
        display.json_line(summary, to_stderr=out == "-")
    else:
        display_judging.summary(summary, to_stderr=out == "-", store=store)
    raise typer.Exit(summary.exit_status)


def read_panel(
    jury: str | None, cascade: str | None, config: JudgeConfig, engine: str, launch: int | None
) -> tuple[PanelConfig, Sequence[Engine]]:
    """Read the jury or the cascade, and load its engines."""
    if jury is not None and cascade is not None:
        raise UsageError("give --jury or --cascade, not both")
    if launch is not None:
        raise UsageError("--launch starts servers of one model; start those of a panel yourself")
    EngineURI.parse(engine)  # Kept with the run, whether or not a member uses it.
    load = functools.partial(load_engine, progress=DownloadProgress())
    if jury is not None:
        return read_jury(jury, config, engine, load)
    assert cascade is not None
    return read_cascade(cascade, config, engine, load)


def load_judging(engine: str, servers: LaunchOptions, verbose: bool) -> Engine:
    """Load an engine, or launch its servers."""
    gpus, arguments = servers.gpus_per_worker, servers.launch_arg or ()
    if servers.launch is not None:
        return launch_engine(
            engine, servers.launch, gpus,
            arguments=arguments, timeout=servers.launch_timeout, report=_tell(verbose),
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
    send: SendPolicy
    cache: CachePolicy
    store: Path
    prices: Prices
    verbose: bool

    def plan(self) -> Plan:
        with Store(self.store) as store:
            return loops.run(plan_file(self.record, self.engine, store, self.cache, self.prices))

    def run(self, out: str | None = None) -> JudgeSummary:
        """Judge; `out` stands in place of the record's own."""
        total = count_hint(self.record.options.source)
        label = f"judge {self.record.judge.kind}"
        watch = display_runs.Exchanges(display.stderr()).watch if self.verbose else None
        with Store(self.store) as store, Progress(label, total_bytes=total) as bar:
            collect_seldom()
            settings = RunSettings(
                store=store, progress=bar, send=self.send, cache=self.cache, prices=self.prices
            )
            return resumable(run_judge(settings, self.record, self.engine, out, watch))
