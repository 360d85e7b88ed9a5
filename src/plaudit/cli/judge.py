"""`plaudit judge`: judge a file."""

import functools
import gc
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from plaudit._util import loops
from plaudit.cli import display, display_plan
from plaudit.cli.display_verdicts import verdicts
from plaudit.cli.options import (
    ENGINE_HELP,
    AttemptsOption,
    ConcurrencyOption,
    GenerationOption,
    NoCacheOption,
    OutageOption,
    StoreOption,
    StrictOption,
    TimeoutOption,
    parse_generation,
)
from plaudit.engines.base import Engine
from plaudit.engines.load import launch_engine, load_engine
from plaudit.engines.uri import EngineURI
from plaudit.errors import InterruptedRunError, UsageError
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.io.sources import count_hint
from plaudit.judges.config import JudgeConfig
from plaudit.judges.load import make_config, task_type
from plaudit.judges.panel import PanelConfig, read_cascade, read_jury
from plaudit.runs.cached import CachePolicy
from plaudit.runs.plan import Plan, plan_file
from plaudit.runs.record import JudgeOptions, JudgeRecord, RunSettings
from plaudit.runs.runner import run_judge
from plaudit.runs.summary import JudgeSummary
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices
from plaudit.store.store import Store, default_store_path

KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="`feedback`: how did the user react? `pointwise`: how good is the response, 1-10? "
        "`pairwise`: which of two is better? `verify`: is the answer right, given a reference? "
        "`FILE.py:Class`: a judge of your own, whose code is run.",
    ),
]
InputArgument = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="JSON Lines, a JSON array or object, Parquet, a saved `datasets` folder, or - .",
    ),
]
ReadoutOption = Annotated[
    str,
    typer.Option(
        help="`logprob` reads the distribution of one token, `json` a schema-constrained reply; "
        "`auto`: logprob where the engine has it."
    ),
]
ModeOption = Annotated[
    str, typer.Option(help="`chat` or `completion`; `auto`: completion for base models and local.")
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[MODE=]FILE",
        help="A Jinja prompt template of your own; `chat=FILE` and `completion=FILE`: for that "
        "mode only, may be repeated.",
    ),
]
CriteriaOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="pointwise, pairwise: judge by these criteria (JSON, JSON Lines or TOML: name, "
        "description, scale, weight).",
    ),
]
ShotTemplateOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[MODE=]FILE", help="A template of one shot; as for --template."),
]
FeedbackTemplateOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[MODE=]FILE", help="A template of the reply in a shot; likewise."),
]
ShotsOption = Annotated[
    int | None,
    typer.Option(
        min=0, metavar="N", help="Draw N shots from the pool (3 where only the pool is given)."
    ),
]
PoolOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="A pool of labelled shots; without it the one that ships is used."
    ),
]
SelectOption = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="`fixed`: the same shots for all; `random`: drawn for each sample; `similar`: the "
        "nearest to each (needs plaudit\\[search]). All balanced over labels.",
    ),
]
SEED_HELP = "Seed of the engine's sampling and of the choice of shots."
LaunchOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Start N servers of `vllm:MODEL` or `sglang:MODEL` for this run, and end them after.",
    ),
]
GpusOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="K", help="--launch: GPUs of each server; one, where not said."),
]
LaunchArgOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ARGS",
        help='--launch: further arguments of the servers, such as "--max-model-len 4096"; '
        "may be repeated.",
    ),
]
LaunchTimeoutOption = Annotated[
    float, typer.Option(min=1, metavar="S", help="--launch: seconds until all must be ready.")
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        "-e",
        metavar="URI",
        help=f"{ENGINE_HELP} Without it: `none:` (verify), which asks no model, and `local`.",
    ),
]
ExtractOption = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        help="verify: where the final answer stands: `boxed`, `tag`, `last_line`; `auto`: the "
        "first mark that there is.",
    ),
]
AnswerTypeOption = Annotated[
    str,
    typer.Option(
        metavar="TYPE",
        help="verify: compare answers as `text`, `number`, `math`, `choice`, `list`, `date`, "
        "`quantity` or `code`; `auto`: as each reference looks.",
    ),
]
ToleranceOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="P",
        help="verify: relative error up to which numbers and quantities are equal.",
    ),
]
DateOrderOption = Annotated[
    str,
    typer.Option(
        metavar="ORDER",
        help="verify: what comes first in 03/04/2020, `day` or `month`; `auto`: left open.",
    ),
]
NO_SWAP_HELP = "pairwise: ask one order only instead of both."


def judge(  # one parameter an option: that is how Typer reads them
    kind: KindArgument,
    source: InputArgument,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            help="Write verdicts here: JSON Lines, .parquet, DIR/ for `datasets`, or - .",
        ),
    ] = None,
    engine: EngineOption = None,
    jury: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Ask several judges about every sample and combine their verdicts: a TOML or "
            "JSON file of members.",
        ),
    ] = None,
    cascade: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Ask a cheap judge first, and the next only about what it cannot decide: a TOML "
            "or JSON file of steps.",
        ),
    ] = None,
    launch: LaunchOption = None,
    gpus_per_worker: GpusOption = None,
    launch_arg: LaunchArgOption = None,
    launch_timeout: LaunchTimeoutOption = 600.0,
    readout: ReadoutOption = "auto",
    mode: ModeOption = "auto",
    template: TemplateOption = None,
    shot_template: ShotTemplateOption = None,
    feedback_template: FeedbackTemplateOption = None,
    shots: ShotsOption = None,
    pool: PoolOption = None,
    select: SelectOption = "fixed",
    gate: Annotated[
        float | None,
        typer.Option(metavar="P", help="Abstain under this confidence (feedback: 0.6)."),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Apply the calibration and gate that `plaudit calibrate` wrote."
        ),
    ] = None,
    extract: ExtractOption = "auto",
    answer_type: AnswerTypeOption = "auto",
    tolerance: ToleranceOption = 0.0,
    date_order: DateOrderOption = "auto",
    no_swap: Annotated[bool, typer.Option("--no-swap", help=NO_SWAP_HELP)] = False,
    prior: Annotated[
        str, typer.Option(help="`auto` removes the judge's measured prior; `none` does not.")
    ] = "auto",
    criteria: CriteriaOption = None,
    votes: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Judge up to N times (json readout), until it is decided."
        ),
    ] = 1,
    vote_error: Annotated[
        float,
        typer.Option(
            metavar="E",
            help="--votes: chance of stopping at another outcome than the most frequent one.",
        ),
    ] = 0.05,
    all_votes: Annotated[
        bool, typer.Option("--all-votes", help="--votes: take all N, and the plurality.")
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0, help="Temperature of the engine's sampling; by default 0, with --votes 0.7."
        ),
    ] = None,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="Nucleus of the engine's sampling.")
    ] = 1.0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of a reply.")] = None,
    seed: Annotated[int, typer.Option(help=SEED_HELP)] = 0,
    generation: GenerationOption = None,
    timeout: TimeoutOption = 60.0,
    concurrency: ConcurrencyOption = 100,
    attempts: AttemptsOption = 6,
    outage: OutageOption = 300.0,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Send no more requests a minute.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Send no more tokens a minute, as far as known."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Judge the first N samples only.")
    ] = None,
    no_cache: NoCacheOption = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask everything again, and keep the new replies.")
    ] = False,
    retry_invalid: Annotated[
        bool, typer.Option("--retry-invalid", help="Ask again where a stored reply is unusable.")
    ] = False,
    store: StoreOption = None,
    prices: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Prices of your own, by model, before those of the price list (TOML or JSON).",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count calls, tokens and cost; send nothing.")
    ] = False,
    strict: StrictOption = False,
    raw: Annotated[bool, typer.Option("--raw", help="Put the raw replies in the output.")] = False,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Leave the input out of the output.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show prompt, reply and reading of each.")
    ] = False,
) -> None:
    """Judge every sample of INPUT, and say how sure the judge is.

    A judgement that cannot be made is never a number: it is counted as abstained, invalid or
    failed, with its cause. The same command again costs no call, and goes on where a stopped run
    stopped.

    Exit status: 0 done; 1 done, but rows were rejected or samples failed or are invalid; 2 wrong
    usage or no usable input; 3 the engine cannot be used; 130 interrupted.
    """
    judge_type = task_type(kind)
    config = make_config(
        judge_type,
        {
            "readout": readout,
            "mode": mode,
            **template_fields(template, shot_template, feedback_template),
            "shots": shots,
            "pool": pool,
            "select": select,
            "prior": prior,
            "swap": not no_swap,
            "gate": gate,
            "criteria": criteria,
            "votes": votes,
            "vote_error": vote_error,
            "all_votes": all_votes,
            "calibration": calibration,
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
            "seed": seed,
            "generation": parse_generation(generation or []),
            "extract": extract,
            "answer_type": answer_type,
            "tolerance": tolerance,
            "date_order": date_order,
        },
    )
    engine = engine or judge_type.default_engine
    options = JudgeOptions(
        source=source, out=out, limit=limit, strict=strict, raw=raw, input=not no_input
    )
    policy = SendPolicy(
        concurrency=concurrency,
        timeout=timeout,
        attempts=attempts,
        outage=outage,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )
    cache = CachePolicy(
        read=not (no_cache or fresh), write=not no_cache, retry_invalid=retry_invalid
    )
    panel = None
    if jury is not None or cascade is not None:
        panel, asked = _read_panel(jury, cascade, config, engine, launch)
    elif launch is not None:
        asked = launch_engine(
            engine, launch, gpus_per_worker,
            arguments=launch_arg or (), timeout=launch_timeout, report=_tell(verbose),
        )  # fmt: skip
    elif gpus_per_worker or launch_arg:
        raise UsageError("--gpus-per-worker and --launch-arg go with --launch N")
    else:
        asked = load_engine(engine, DownloadProgress())
    record = JudgeRecord(judge=config, engine=engine, options=options, panel=panel)
    job = _Job(record, asked, policy, cache, store, Prices.read(prices))
    if dry_run:
        display_plan.plan(job.plan(), as_json)
        return
    summary = job.run(show_verdicts=out is None and not as_json, verbose=verbose)
    to_stderr = out == "-"
    if as_json:
        display.json_line(summary, to_stderr)
    else:
        display.summary(summary, to_stderr, store)
    raise typer.Exit(summary.exit_status)


def _read_panel(
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


def template_fields(
    template: list[str] | None, shot_template: list[str] | None, feedback_template: list[str] | None
) -> dict[str, Any]:
    """Read the template options; return them as fields of a judge's configuration.

    Raises:
        UsageError: several files are for one mode.
    """
    return {
        "template": _parse_templates("--template", template),
        "shot_template": _parse_templates("--shot-template", shot_template),
        "feedback_template": _parse_templates("--feedback-template", feedback_template),
    }


def _parse_templates(option: str, values: list[str] | None) -> str | dict[str, str] | None:
    """Read a template option: one FILE for whatever mode is settled on, or `MODE=FILE`.

    Raises:
        UsageError: several files are for one mode.
    """
    if not values:
        return None
    by_mode: dict[str, str] = {}
    for value in values:
        mode, separator, path = value.partition("=")
        if not separator or mode not in ("chat", "completion"):
            mode, path = "", value
        if mode in by_mode or (by_mode and "" in (mode, *by_mode)):
            raise UsageError(f"{option}: give one FILE, or chat=FILE and completion=FILE")
        by_mode[mode] = path
    return by_mode.get("") or by_mode


def _tell(verbose: bool) -> Callable[[str], None]:
    """Return what prints how far servers are; verbose: their ports are logged too."""
    if verbose:
        logging.getLogger("plaudit.engines.launch.fleet").setLevel(logging.INFO)
    return functools.partial(typer.echo, err=True)


def collect_seldom() -> None:
    """Keep the collector of cycles from walking all that is in flight ten times a second."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class _Job:
    """A command line, ready to run."""

    def __init__(
        self,
        record: JudgeRecord,
        engine: Engine | Sequence[Engine],
        policy: SendPolicy,
        cache: CachePolicy,
        store: str | None,
        prices: Prices,
    ) -> None:
        self.record = record
        self.policy = policy
        self.cache = cache
        self.store_path = Path(store) if store else default_store_path()
        self.engine = engine
        self.prices = prices

    def plan(self) -> Plan:
        with Store(self.store_path) as store:
            return loops.run(plan_file(self.record, self.engine, store, self.cache, self.prices))

    def run(self, *, show_verdicts: bool, verbose: bool) -> JudgeSummary:
        if not show_verdicts:
            return self._run(None, verbose)
        with tempfile.TemporaryDirectory(prefix="plaudit-") as folder:
            out = str(Path(folder) / "verdicts.jsonl")
            summary = self._run(out, verbose)
            verdicts(out)
        summary.out = None
        return summary

    def _run(self, out: str | None, verbose: bool) -> JudgeSummary:
        total = count_hint(self.record.options.source)
        label = f"judge {self.record.judge.kind}"
        watch = display.Exchanges(display.stderr()).watch if verbose else None
        with Store(self.store_path) as store, Progress(label, total_bytes=total) as bar:
            collect_seldom()
            settings = RunSettings(
                store=store, progress=bar, send=self.policy, cache=self.cache, prices=self.prices
            )
            try:
                return loops.run(run_judge(settings, self.record, self.engine, out, watch))
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    "interrupted; give the same command again to go on where it stopped"
                ) from None
