"""`plaudit bench`: measure judges against people, on published sets and on rows of your own."""

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Annotated, Literal, NamedTuple

import msgspec
import typer

from plaudit._util.choices import check_choices
from plaudit._util.options import Help
from plaudit._util.ranges import WHOLE, WHOLE_64, Range
from plaudit.bench.arms import Arm, Sweep, arms_of_engines, arms_of_panel
from plaudit.bench.catalog import DATASETS, DatasetFormat
from plaudit.bench.job import BenchJob, make_job
from plaudit.bench.replays import replay as replay_outputs
from plaudit.bench.results import BenchResults, write_results
from plaudit.bench.run import check_statistics, exit_status, results_folder, run_bench
from plaudit.cli import display, display_bench
from plaudit.cli.judge import AskedOptions, load_judging, read_panel
from plaudit.cli.options import (
    ENGINE_HELP,
    Fields,
    JsonOption,
    PricesOption,
    RowsOption,
    StoreOption,
    Values,
    cache_policy,
    option,
    with_fields,
)
from plaudit.cli.running import RunOptions, resumable, store_path
from plaudit.engines.base import Engine
from plaudit.errors import UsageError
from plaudit.io.progress import Progress
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import make_config, task_type
from plaudit.judges.panel import PanelConfig
from plaudit.runs.cached import CachePolicy
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices

app = typer.Typer(help="Measure judges against people, on labelled sets.", no_args_is_help=True)

_SWEPT = ("shots", "votes")
_PANEL = [name for name in AskedOptions.__struct_fields__ if name != "engine"]
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
    revision: Annotated[
        str | None,
        Help("Commit, branch or tag on the hub, where PATH is left out.", "Input", rare=True),
    ] = None


class NoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of sets that have none."""


class PairSetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of sets of pairs."""

    kind: Annotated[
        Literal["pairwise", "pointwise"],
        Help(
            "`pairwise` compares the responses; `pointwise` scores each, and the scores are "
            "compared.",
            "Input",
        ),
    ] = "pairwise"


class PandaOptions(PairSetOptions, frozen=True, kw_only=True):
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
    return _OPTIONS.get(name, PairSetOptions if form.kind == "pairwise" else NoOptions)


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
        own: Annotated[Values, Fields(_options_of(name, form))],
        config: Annotated[Values, Fields(JudgeConfig, *_CONFIG)],
        rows: Annotated[Values, Fields(RowOptions)],
        send: Annotated[Values, Fields(SendPolicy)],
        cache: Annotated[Values, Fields(CachePolicy)],
        asked: Annotated[Values, Fields(AskedOptions, *_PANEL)],
        path: Annotated[str | None, typer.Argument(help=_path_help(form))] = None,
        engine: EngineOption = None,
        shots: ShotsOption = None,
        votes: VotesOption = None,
        store: StoreOption = None,
        out: OutOption = None,
        as_json: JsonOption = False,
        prices: PricesOption = None,
    ) -> None:
        options = _options_of(name, form)(**own)
        check_choices(options)
        command = _Command(
            name=name,
            path=path,
            kind=getattr(options, "kind", form.kind) or "",
            options=options,
            rows=RowOptions(**rows),
            config=config,
            sweep=Sweep(_numbers("--shots", shots), _numbers("--votes", votes)),
            engines=engine or [],
            asked=AskedOptions(**asked),
            how=RunOptions(
                SendPolicy(**send), cache_policy(cache), store_path(store), Prices.read(prices)
            ),
            out=out,
        )
        _finish(command.run(), as_json)


def _help(form: DatasetFormat) -> str:
    return (
        f"{form.title}: measure judges on {form.kind or 'labelled'} rows.\n\nThe score is the "
        f"{form.score}.\n\nRuns are kept: the same command again costs no call, and goes on where "
        "a stopped one stopped.\n\nExit status: 0 done; 1 done, but samples failed or are "
        "invalid, rows were rejected, or there is no score; 2 wrong usage or no usable input; 3 an "
        "engine cannot be used; 130 interrupted."
    )


def _path_help(form: DatasetFormat) -> str:
    fetched = " Without it the set is fetched from the Hugging Face hub." if form.hub else ""
    return f"File or folder of {form.title}: {form.fields}.{fetched}"


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
    path: str | None
    kind: str
    options: msgspec.Struct
    rows: RowOptions
    config: Values
    sweep: Sweep
    engines: Sequence[str]
    asked: AskedOptions
    how: RunOptions
    out: str | None

    def run(self) -> BenchResults:
        """Measure, and write the folder of results where one is named."""
        check_statistics()
        with nullcontext() if self.out is None else results_folder(self.out, self._read) as folder:
            arms = self._arms()
            job = self._job()
            with self.how.opened(Progress("bench", enabled=False)) as settings:
                found = resumable(run_bench(settings, job, arms, _watch(job), folder))
            if folder is not None:
                write_results(found, folder.path)
        return found

    @property
    def _read(self) -> list[str]:
        """What the command reads."""
        named = (self.path, self.asked.jury, self.asked.cascade, *self.engines)
        return [one for one in named if one is not None]

    def _job(self) -> BenchJob:
        options = msgspec.structs.asdict(self.options)
        return make_job(
            self.name,
            self.path,
            self.kind,
            folder=self.how.store.with_name(f"{self.how.store.stem}-rows"),
            options={name: value for name, value in options.items() if name != "kind" and value},
            limit=self.rows.limit,
            seed=self.rows.rows_seed,
            revision=self.rows.revision,
        )

    def _arms(self) -> list[Arm]:
        judge = task_type(self.kind or "feedback")
        config = make_config(judge, self.config)
        usual = judge.default_engine
        if self.asked.jury is None and self.asked.cascade is None:
            load = functools.partial(load_judging, asked=self.asked, verbose=False)
            return arms_of_engines(config, self.engines or [usual], load, self.sweep)
        if self.engines[1:]:
            raise UsageError("a panel takes one -e at most, for members that name none")
        uri = (self.engines or [usual])[0]

        def read(made: JudgeConfig) -> tuple[PanelConfig, Sequence[Engine]]:
            return read_panel(self.asked, made, uri)

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


@app.command()
@with_fields
def replay(
    name: Annotated[
        str,
        typer.Argument(metavar="SET", help="One of `plaudit bench list`."),
    ],
    path: Annotated[str, typer.Argument(metavar="PATH", help="File or folder of the set.")],
    outputs: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUTS",
            help="Recorded judgements: a file or folder in the form of the set's own tools, "
            "verdicts of `plaudit judge`, or what `plaudit bench -o` wrote.",
        ),
    ],
    own: Annotated[Values, Fields(OwnOptions)],
    unanimous: Annotated[
        bool, option("--unanimous", help="pandalm: as in `plaudit bench pandalm`.", panel="Input")
    ] = False,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score judgements that were recorded elsewhere, without asking anything.

    Exit status: 0 done; 1 done, but judgements failed or cannot be read, or there is no score; 2
    wrong usage or no usable input.
    """
    check_statistics()
    given: dict[str, str | bool | None] = {**own, "unanimous": unanimous}
    options = {option: value for option, value in given.items() if value}
    with nullcontext() if out is None else results_folder(out, [path, outputs]) as folder:
        found = replay_outputs(name, path, outputs, revision=None, folder=folder, **options)
        if folder is not None:
            write_results(found, folder.path)
    _finish(found, as_json)


def _finish(found: BenchResults, as_json: bool) -> None:
    """Print results, and exit with their status."""
    if as_json:
        display.json_line(found)
    else:
        display_bench.results(found)
    raise typer.Exit(exit_status(found))


for _name, _form in DATASETS.items():
    _add(_name, _form)
