"""Scoring traces on a cluster: what the driver does."""

import hashlib
import os
import time

import msgspec

from plaudit._util.packages import load_package
from plaudit.engines.uri import EngineURI
from plaudit.integrations.ray.blocks import cut
from plaudit.integrations.ray.parts import PartsFolder
from plaudit.integrations.ray.run import ClusterOptions, ClusterRun, check_run
from plaudit.integrations.ray.scoring import COLUMNS, ScoreWork
from plaudit.io.progress import Progress
from plaudit.rollouts.rewards.composite import Composite
from plaudit.rollouts.rewards.scoring import ScoreJob
from plaudit.rollouts.rewards.tally import BlockCounts, ScoreSummary, ScoreTally
from plaudit.sending.pool import SendPolicy


class ScoreOnRay(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks for."""

    job: ScoreJob
    spec: str | None
    """Path of the specification; None or `default`: the one that ships."""
    engine: str | None
    """URI of the engine that is asked; None: no model is asked."""
    send: SendPolicy
    cache: bool | str
    """False, or the path of the store on each node."""
    options: ClusterOptions


def score_on_ray(asked: ScoreOnRay, rewards: Composite, progress: Progress) -> ScoreSummary:
    """Score traces on the actors of a cluster. The same again goes on where this one stopped.

    Args:
        asked: input, output and where it runs.
        rewards: the specification, as the driver reads it; the caller closes it.
        progress: shows how far it is.

    Raises:
        UsageError: input, output or options do not go together, or no cluster answers.
        MissingDependencyError: the extra `ray` is not installed.
        EngineUnusableError: a judge is asked, and its engine can answer nothing.
        InputError: there are no traces.
        StoreError: a part cannot be written.
    """
    job, on, started = asked.job, asked.options, time.monotonic()
    out = check_run(on, job.source, job.out, job.limit, asked.send.concurrency)
    load_package("ray", "ray")
    blocks = cut(job.source, on.block_rows)
    fingerprint = _fingerprint(asked, rewards.fingerprint)
    run = ClusterRun(on, PartsFolder(out, fingerprint), blocks, progress)
    named = asked.spec is not None and asked.spec != "default"
    work = ScoreWork(
        spec=os.path.abspath(asked.spec) if asked.spec is not None and named else None,
        rewards=rewards.fingerprint,
        engine=asked.engine,
        send=asked.send,
        cache=asked.cache,
        strict=job.strict,
        out=out,
        fingerprint=fingerprint,
    )
    run.work(work, lambda report: None)
    parts, tally = run.finish(job.source), ScoreTally(rewards)
    for part in parts:
        tally.take_block(msgspec.json.decode(part.counts, type=BlockCounts))
    summary = tally.summary()
    summary.rejected, summary.rejects = run.rejects(parts)
    summary.out = on.merge or job.out
    summary.seconds = round(time.monotonic() - started, 3)
    return summary


def _fingerprint(asked: ScoreOnRay, rewards: str) -> str:
    """Return what identifies the scores and columns of a run, whatever the endpoints are."""
    engine = None
    if asked.engine is not None:
        engine = str(msgspec.structs.replace(EngineURI.parse(asked.engine), base_urls=()))
    shown = ["score", rewards, engine, COLUMNS, asked.job.strict]
    return hashlib.blake2b(msgspec.json.encode(shown), digest_size=16).hexdigest()
