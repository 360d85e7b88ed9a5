"""`plaudit score` and `plaudit compare`: what stored rollouts are worth."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from plaudit.bench.comparison import ResultsComparison, compare_results, is_results
from plaudit.cli import display, display_bench, display_rollouts
from plaudit.cli.cluster import score_on_cluster
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
from plaudit.cli.running import resumable, store_path
from plaudit.engines.load import load_engine
from plaudit.errors import InputError, UsageError
from plaudit.integrations.ray.run import ClusterOptions
from plaudit.integrations.ray.score_run import ScoreOnRay
from plaudit.io.places import check_not_read
from plaudit.io.progress import DownloadProgress, Progress
from plaudit.io.sources import count_hint
from plaudit.rollouts.evaluation import compare as compare_runs
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.correctness import Grader
from plaudit.rollouts.rewards.probe import probe
from plaudit.rollouts.rewards.scoring import ScoreJob, score_file
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.sending.pool import SendPolicy

T = TypeVar("T")


ScoredArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TRACES",
        help='What `plaudit rollout` wrote, or plain chats, `{"messages": [...]}` a row with '
        "`reference` where there is one; or - . Left out with --probe.",
    ),
]
RewardsOption = Annotated[
    str | None,
    option(
        "--rewards",
        "-r",
        panel="Rewards",
        metavar="SPEC",
        help="Which rewards, and how they are combined (TOML or JSON); `default`, or without it, "
        "those that ship.",
    ),
]
GraderOption = Annotated[
    str | None,
    option(
        "--engine",
        "-e",
        panel="Engine",
        metavar="URI",
        help="Ask this model about answers that `correctness` leaves undecided; without it no "
        f"model is asked. {WRITER_HELP}",
    ),
]
ProbeOption = Annotated[
    bool,
    option("--probe", panel="Rewards", help="Score known cheats, and say what each would earn."),
]


@with_fields
def score(
    traces: ScoredArgument = None,
    *,
    rewards: RewardsOption = None,
    engine: GraderOption = None,
    run_probe: ProbeOption = False,
    reads: Annotated[Values, Fields(ScoreJob)],
    send: Annotated[Values, Fields(SendPolicy, "timeout", "concurrency")],
    no_cache: NoCacheOption = False,
    store: StoreOption = None,
    cluster: Annotated[Values, Fields(ClusterOptions)],
    as_json: JsonOption = False,
) -> None:
    """Score stored rollouts again; nothing is rolled out, and no tool is called.

    What cannot be scored is null with its cause, never a number, and is counted. The judge's
    replies are kept, so scoring again with other weights costs no call.

    Exit status: 0 done; 1 done, but rows were rejected, or a judge or a function failed; 2 wrong
    usage or no usable input; 3 the engine cannot be used; 130 interrupted. With --probe 1 says
    that the specification can be cheated.
    """
    if run_probe == (traces is not None):
        raise UsageError("give TRACES to be scored, or --probe to try the specification")
    if run_probe and reads != {"out": None, "limit": None, "strict": False}:
        raise UsageError("--probe scores rollouts of its own: leave out -o, --limit and --strict")
    on = ClusterOptions(**cluster)
    if run_probe and on.ray is not None:
        raise UsageError("--probe does not go with --ray")
    out = reads["out"]
    check_not_read(out or "-", [traces, rewards, engine])
    policy = SendPolicy(**send)
    grader = Grader(
        engine=None if engine is None else load_engine(engine, DownloadProgress()),
        cache=not no_cache and (store or True),
        send=policy,
    )
    spec = load_rewards(rewards, grader)
    if traces is None:
        report = _run(_closed(spec, probe(spec)))
        display_rollouts.probe(report, as_json)
        raise typer.Exit(report.exit_status)
    job = ScoreJob(source=traces, window=2 * send["concurrency"], **reads)
    if on.ray is None:
        with Progress("score", total_bytes=count_hint(traces)) as bar:
            summary = _run(_closed(spec, score_file(job, spec, bar)))
    else:
        cache = not no_cache and str(store_path(store).absolute())
        asked = ScoreOnRay(
            job=job, spec=rewards, engine=engine, send=policy, cache=cache, options=on
        )
        summary = score_on_cluster(asked, spec)
    display_rollouts.scores(summary, as_json, to_stderr=out == "-")
    raise typer.Exit(summary.exit_status)


async def _closed(rewards: Composite, work: Coroutine[Any, Any, T]) -> T:
    """Await work and free what the rewards took."""
    try:
        return await work
    finally:
        await rewards.close()


def _run(work: Coroutine[Any, Any, T]) -> T:
    return resumable(
        work,
        "interrupted; the judge's replies so far are kept, so the same command asks only for the "
        "others",
    )


ComparedArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="What `plaudit rollout -o` or `score -o` wrote; or results, the folder or file of "
        "`plaudit bench -o` or `audit -o`.",
    ),
]


def compare(
    first: ComparedArgument,
    second: ComparedArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two runs over the same questions or samples, paired one by one.

    What counts is the second run less the first. An interval that does not hold 0 shows a
    difference that is more than chance, at 95 %. Results without judgements on the same samples
    stand side by side.
    """
    kinds = is_results(first), is_results(second)
    if kinds == (True, False) or kinds == (False, True):
        missing = next((given for given in (first, second) if not Path(given).exists()), None)
        if missing is not None:
            raise InputError(f"{missing}: no such file or folder")
        raise UsageError(f"{first} and {second}: one is results of a judge, the other is not")
    found = compare_results(first, second) if kinds[0] else compare_runs(first, second)
    if as_json:
        display.json_line(found)
    elif isinstance(found, ResultsComparison):
        display_bench.comparison(found)
    else:
        display_rollouts.comparison(found)
