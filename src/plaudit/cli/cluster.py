"""Commands that run on Ray."""

from collections.abc import Callable, Sequence

from plaudit.cli.running import RunOptions, interruptible
from plaudit.engines.base import Engine
from plaudit.integrations.ray.judge_run import ClusterJob, judge_on_ray
from plaudit.integrations.ray.run import ClusterOptions
from plaudit.integrations.ray.score_run import ScoreOnRay, score_on_ray
from plaudit.io.progress import Progress
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.tally import ScoreSummary
from plaudit.runs.record import JudgeRecord
from plaudit.runs.summary import JudgeSummary


def on_ray(
    kind: str,
    record: JudgeRecord,
    engine: Engine | Sequence[Engine],
    options: ClusterOptions,
    launched_gpus: int | None,
    run: RunOptions,
) -> Callable[[str | None], JudgeSummary]:
    """Return what judges on a cluster, as `run_to_end` calls it.

    Args:
        kind: the judge as the command names it.
        record: what the command asks for.
        engine: the engine; for a panel, one a member.
        options: where it runs.
        launched_gpus: GPUs of the servers that each actor starts; None: it starts none.
        run: how requests are sent, and what is kept.
    """
    job = ClusterJob(
        kind=kind,
        record=record,
        engine=engine,
        launched_gpus=launched_gpus,
        options=options,
        send=run.send,
        cache=run.cache,
        store=str(run.store.absolute()),
        prices=run.prices,
    )

    def judge(out: str | None) -> JudgeSummary:
        with Progress(f"judge {record.judge.kind}") as progress:
            return interruptible(lambda: judge_on_ray(job, progress))

    return judge


def score_on_cluster(asked: ScoreOnRay, rewards: Composite) -> ScoreSummary:
    """Score traces on a cluster; `rewards` is the specification as this process reads it."""
    with Progress("score") as progress:
        return interruptible(lambda: score_on_ray(asked, rewards, progress))
