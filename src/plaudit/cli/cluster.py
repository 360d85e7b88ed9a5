"""Commands that run on Ray."""

from collections.abc import Callable, Sequence

from plaudit.cli.running import RunOptions, interruptible
from plaudit.engines.base import Engine
from plaudit.integrations.ray.run import ClusterJob, ClusterOptions, judge_on_ray
from plaudit.io.progress import Progress
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
