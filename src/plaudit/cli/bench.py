"""`plaudit bench`: measure judges against people, on published sets and on rows of your own."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import typer

from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE, WHOLE_64, Range
from plaudit.bench.arms import Arm, Sweep, arms_of_engines, arms_of_panel
from plaudit.bench.datasets import DATASETS, DatasetFormat
from plaudit.bench.job import BenchJob, make_job
from plaudit.bench.results import BenchResults
from plaudit.bench.run import Benched, run_bench
from plaudit.cli import display, display_bench
from plaudit.cli.judge import LaunchOptions, load_judging, read_panel
from plaudit.cli.options import (
    ENGINE_HELP,
    Fields,
    JsonOption,
    PricesOption,
    StoreOption,
    Values,
    cache_policy,
    option,
    with_fields,
)
from plaudit.cli.running import collect_seldom, resumable, store_path
from plaudit.errors import UsageError
from plaudit.io.places import check_folder_output
from plaudit.io.progress import Progress
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import make_config, task_type
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

    unanimous: Annotated[
        bool, Help("Only pairs on which all three annotators agree.", "Input")
    ] = False


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
        kind = getattr(options, "kind", form.kind)
        sweep = Sweep(_numbers("--shots", shots), _numbers("--votes", votes))
        panel = jury, cascade
        given = _Given(
            job=lambda: _job(name, path, kind, options, rows, store),
            arms=_arms(kind, config, engine, panel, sweep, LaunchOptions(**servers)),
            send=SendPolicy(**send),
            cache=cache_policy(cache),
            store=store_path(store),
            prices=Prices.read(prices),
            out=out,
        )
        found = given.run()
        display.json_line(found) if as_json else display_bench.results(found)
        raise typer.Exit(exit_status(found))


class _Given(NamedTuple):
    """A command line, ready to run."""

    job: BenchJob
    arms: Sequence[Arm]
    send: SendPolicy
    cache: CachePolicy
    store: Path
    prices: Prices
    out: str | None

    def run(self) -> BenchResults:
        """Measure, and write the folder of results where one is named."""
        with Store(self.store) as store:
            collect_seldom()
            settings = RunSettings(
                store=store,
                progress=Progress("bench", enabled=False),
                send=self.send,
                cache=self.cache,
                prices=self.prices,
            )
            work = functools.partial(run_bench, settings, self.job, self.arms, self._watch)
            if self.out is None:
                return resumable(work())
            with results_folder(self.out) as folder:
                found = resumable(work(folder))
                write_results(found, folder.path)
            return found

    def _watch(self, name: str) -> Progress:
        samples = self.job.rows.rows * (1 + self.job.split)
        return Progress(f"bench {self.job.set.name}, {name}", total_rows=samples)
