"""`plaudit bench`: measure judges against people, on published sets and on rows of your own."""

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import typer

from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE, WHOLE_64, Range
from plaudit.bench.arms import Arm, Sweep, arms_of_engines, arms_of_panel
from plaudit.bench.catalog import DATASETS, DatasetFormat
from plaudit.bench.job import BenchJob, make_job
from plaudit.bench.results import BenchResults, write_results
from plaudit.bench.run import check_statistics, exit_status, results_folder, run_bench
from plaudit.cli import display, display_bench
from plaudit.cli.judge import LaunchOptions, load_judging, read_panel
from plaudit.cli.options import (
    ENGINE_HELP,
    Fields,
    JsonOption,
    PricesOption,
    RowsOption,
    StoreOption,
    Values,
    build,
    cache_policy,
    option,
    with_fields,
)
from plaudit.cli.running import collect_seldom, resumable, store_path
from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.io.progress import Progress
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import make_config, task_type
from plaudit.judges.panel import PanelConfig
from plaudit.runs.cached import CachePolicy
from plaudit.runs.record import RunSettings
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store

app = typer.Typer(help="Measure judges against people, on labelled sets.", no_args_is_help=True)

_SWEPT = ("shots", "votes")
_CONFIG = [name for name in JudgeConfig.__struct_fields__ if name not in ("kind", *_SWEPT)]


class RowOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of a set are judged."""

    limit: Annotated[
        int | None,
        Range(1, WHOLE_64),
        Help("Judge N rows only, drawn from the subsets in proportion.", "Input"),
    ] = None
    rows_seed: Annotated[
        int,
        WHOLE,
        Help(
            "Seed of what --limit draws, of which response comes first, and of resampling.",
            "Input",
            rare=True,
        ),
    ] = 0


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of sets that have none."""


class PairOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of sets of pairs."""

    kind: Annotated[
        Literal["pairwise", "pointwise"],
        Help(
            "`pairwise` compares the responses; `pointwise` scores each, and the scores are "
            "compared.",
            "Input",
        ),
    ] = "pairwise"


class PandaOptions(PairOptions, frozen=True, kw_only=True):
    """Options of PandaLM's test set."""

    unanimous: Annotated[bool, Help("Only pairs on which all three annotators agree.", "Input")] = (
        False
    )


class OwnOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of rows of one's own."""

    kind: Annotated[
        Literal["feedback", "pairwise", "pointwise", "verify"] | None,
        Help(
            "The judge that the rows are for; `pointwise` scores the responses of pairs one by "
            "one.",
            "Input",
        ),
    ] = None
    group: Annotated[
        str | None, Help("The column whose values are the subsets.", "Input", "COLUMN")
    ] = None


_OPTIONS: Mapping[str, type[msgspec.Struct]] = {"pandalm": PandaOptions, "own": OwnOptions}


def _options_of(name: str, form: DatasetFormat) -> type[msgspec.Struct]:
    return _OPTIONS.get(name, PairOptions if form.kind == "pairwise" else NoOptions)


EngineOption = Annotated[
    list[str] | None,
    option(
        "--engine",
        "-e",
        metavar="URI",
        help=f"May be repeated: each engine is measured. {ENGINE_HELP} Without it: `none:` "
        "(verify), which asks no model, and `local`.",
        panel="Engine",
    ),
]
JuryOption = Annotated[
    str | None,
    option("--jury", metavar="SPEC", help="Measure a jury; see `plaudit judge`.", panel="Engine"),
]
CascadeOption = Annotated[
    str | None,
    option(
        "--cascade", metavar="SPEC", help="Measure a cascade; see `plaudit judge`.", panel="Engine"
    ),
]
ShotsOption = Annotated[
    str | None,
    option(
        "--shots",
        metavar="N[,N...]",
        help="Draw N shots from the pool; several numbers, such as 0,1,3,5, are compared.",
        panel="Prompt",
    ),
]
VotesOption = Annotated[
    str | None,
    option(
        "--votes",
        metavar="N[,N...]",
        help="Judge up to N times (json readout); several numbers, such as 1,3,5, are compared, "
        "each by the plurality of all N.",
        panel="Decision",
    ),
]
OutOption = Annotated[
    str | None,
    option(
        "--out",
        "-o",
        metavar="DIR",
        help="Write results.json and the judgements here, for `plaudit report` and `compare`.",
        panel="Output",
    ),
]


def _add(name: str, form: DatasetFormat) -> None:
    """Add the command of a set."""

    @app.command(name, help=_help(form))
    @with_fields
    def bench(
        path: Annotated[str, typer.Argument(metavar="PATH", help=f"{form.fields}.")],
        own: Annotated[Values, Fields(_options_of(name, form))],
        config: Annotated[Values, Fields(JudgeConfig, *_CONFIG)],
        rows: Annotated[Values, Fields(RowOptions)],
        send: Annotated[Values, Fields(SendPolicy)],
        cache: Annotated[Values, Fields(CachePolicy)],
        servers: Annotated[Values, Fields(LaunchOptions)],
        engine: EngineOption = None,
        jury: JuryOption = None,
        cascade: CascadeOption = None,
        shots: ShotsOption = None,
        votes: VotesOption = None,
        store: StoreOption = None,
        out: OutOption = None,
        as_json: JsonOption = False,
        prices: PricesOption = None,
    ) -> None:
        options = build(_options_of(name, form), own)
        command = _Command(
            name=name,
            path=path,
            kind=getattr(options, "kind", form.kind) or "",
            options=options,
            rows=build(RowOptions, rows),
            config=config,
            sweep=Sweep(_numbers("--shots", shots), _numbers("--votes", votes)),
            engines=engine or [],
            panel=(jury, cascade),
            servers=LaunchOptions(**servers),
            send=SendPolicy(**send),
            cache=cache_policy(cache),
            store=store_path(store),
            prices=Prices.read(prices),
            out=out,
        )
        found = command.run()
        if as_json:
            display.json_line(found)
        else:
            display_bench.results(found)
        raise typer.Exit(exit_status(found))


def _help(form: DatasetFormat) -> str:
    return (
        f"{form.title}: measure judges on {form.kind or 'labelled'} rows.\n\nThe score is the "
        f"{form.score}.\n\nRuns are kept: the same command again costs no call, and goes on where "
        "a stopped one stopped.\n\nExit status: 0 done; 1 done, but samples failed or are "
        "invalid, rows were rejected, or there is no score; 2 wrong usage or no usable input; 3 an "
        "engine cannot be used; 130 interrupted."
    )


def _numbers(flag: str, given: str | None) -> list[int]:
    """Read `N` or `N,N,...`.

    Raises:
        UsageError: it is something else.
    """
    try:
        return [int(part) for part in given.split(",")] if given is not None else []
    except ValueError:
        raise UsageError(f"{flag} {given!r}: write a number, or several such as 0,1,3") from None


class _Command(NamedTuple):
    """A command line that was read."""

    name: str
    path: str
    kind: str
    options: msgspec.Struct
    rows: RowOptions
    config: Values
    sweep: Sweep
    engines: Sequence[str]
    panel: tuple[str | None, str | None]
    """Paths of a jury and of a cascade."""
    servers: LaunchOptions
    send: SendPolicy
    cache: CachePolicy
    store: Path
    prices: Prices
    out: str | None

    def run(self) -> BenchResults:
        """Measure, and write the folder of results where one is named."""
        check_statistics()
        with nullcontext() if self.out is None else results_folder(self.out, self._read) as folder:
            arms = self._arms()
            job = self._job()
            with Store(self.store) as store:
                collect_seldom()
                settings = RunSettings(
                    store=store,
                    progress=Progress("bench", enabled=False),
                    send=self.send,
                    cache=self.cache,
                    prices=self.prices,
                )
                found = resumable(run_bench(settings, job, arms, _watch(job), folder))
            if folder is not None:
                write_results(found, folder.path)
        return found

    @property
    def _read(self) -> list[str]:
        """What the command reads."""
        return [self.path, *self.engines, *(path for path in self.panel if path is not None)]

    def _job(self) -> BenchJob:
        options = msgspec.structs.asdict(self.options)
        return make_job(
            self.name,
            self.path,
            self.kind,
            folder=self.store.with_name(f"{self.store.stem}-rows"),
            options={name: value for name, value in options.items() if name != "kind" and value},
            limit=self.rows.limit,
            seed=self.rows.rows_seed,
        )

    def _arms(self) -> list[Arm]:
        judge = task_type(self.kind or "feedback")
        config = make_config(judge, self.config)
        usual = judge.default_engine
        if not any(self.panel):
            load = functools.partial(load_judging, servers=self.servers, verbose=False)
            return arms_of_engines(config, self.engines or [usual], load, self.sweep)
        if self.engines[1:]:
            raise UsageError("a panel takes one -e at most, for members that name none")
        uri = (self.engines or [usual])[0]
        launch = self.servers.launch

        def read(made: JudgeConfig) -> tuple[PanelConfig, Sequence[Engine]]:
            return read_panel(*self.panel, made, uri, launch)

        return arms_of_panel(config, uri, read, self.sweep)


def _watch(job: BenchJob) -> Callable[[str], Progress]:
    """Return what makes the progress of an arm."""
    samples = job.rows.rows * (2 if job.split else 1)
    return lambda name: Progress(f"bench {job.set.name}, {name}", total_rows=samples)


@app.command("list")
def list_sets(as_json: RowsOption = False) -> None:
    """List the sets: what each is, its licence, how to get it, what counts as its score."""
    for name, form in DATASETS.items():
        if as_json:
            display.json_line({"set": name, **display_bench.set_fields(form)})
        else:
            display_bench.set_entry(name, form)


for _name, _form in DATASETS.items():
    _add(_name, _form)
