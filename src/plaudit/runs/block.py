"""Judging a block of rows: samples in, verdicts out, with whatever session judges them."""

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from itertools import chain, islice
from typing import Any

from plaudit._util.aio import for_each
from plaudit.engines.base import Engine
from plaudit.io.progress import Progress
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.cached import CachedClient
from plaudit.runs.judging import Asked, JudgeSession
from plaudit.runs.panel import Cascade, Jury
from plaudit.sending.pool import Pool, PoolShare, SendPolicy
from plaudit.types import Sample, Verdict

AnySession = JudgeSession | Jury | Cascade
"""One judge at work, or several."""

Take = Callable[[Verdict, Asked], object]
"""Called with each verdict and what was asked for it, in order of arrival."""


async def judge_rows(
    session: AnySession,
    samples: Iterable[Sample] | AsyncIterable[Sample],
    take: Take,
    *,
    progress: Progress | None = None,
    ahead: bool = True,
) -> None:
    """Judge samples, many at a time.

    Args:
        session: what judges them.
        samples: in the order of their index; taken only as fast as they are judged.
        take: gets the verdicts.
        progress: counts the verdicts, and shows what the session does.
        ahead: whether some samples are read ahead and looked up in the store together.

    Raises:
        EngineUnusableError: no sample can be judged.
    """
    if progress is not None:
        progress.watch(session)

    def finish(verdict: Verdict, asked: Asked) -> None:
        if progress is not None:
            progress.advance(verdict.status, verdict.usage)
        take(verdict, asked)

    def judge_stored(lookup: Any) -> bool:
        known = session.judge_stored(lookup)
        if known is not None:
            finish(*known)
        return known is not None

    async def judge(lookup: Any) -> None:
        finish(*await session.judge(lookup))

    if isinstance(samples, AsyncIterable) or not ahead:
        await for_each(judge, samples, session.window)
        return
    lookups = session.questions(samples)
    first = list(islice(lookups, 1))
    if first:  # Before the window opens: all of it would wait, and be late for the output.
        await session.prepare()
    await for_each(judge, chain(first, lookups), session.window, judge_stored)


def pools_of(
    engines: Sequence[Engine],
    policy: SendPolicy,
    make: Callable[[Engine, SendPolicy], Pool] = Pool,
) -> list[Pool]:
    """Return a pool for each engine; the same engine has the same pool, slots and limits."""
    pools: dict[int, Pool] = {}
    for engine in engines:
        pools.setdefault(id(engine), make(engine, policy))
    return [pools[id(engine)] for engine in engines]


def panel_judging(
    task: PanelJudge,
    pools: Sequence[Pool],
    make_client: Callable[[PoolShare, BaseJudge], CachedClient],
) -> Jury | Cascade:
    """Put a panel to work; nothing is contacted.

    Args:
        task: the panel.
        pools: one a member, some of them the same.
        make_client: joins a member's share of a pool, its task and the store.
    """
    sessions = [
        JudgeSession(one, make_client(PoolShare(pool), one))
        for one, pool in zip(task.tasks, pools, strict=True)
    ]
    return Jury(task, sessions) if task.form == "jury" else Cascade(task, sessions)
