"""Judging a block of rows: rows in, verdicts out, with whatever session judges them.

`judge_block` is what a process, an actor or a batch calls; `judge_rows` takes rows as they come,
however many.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from plaudit._util.aio import for_each, run_workers
from plaudit.engines.base import Engine
from plaudit.io.progress import Progress
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.cached import CachedClient
from plaudit.runs.judging import Gathered, Judged, JudgeSession, work_through
from plaudit.runs.panel import Cascade, Jury
from plaudit.runs.samples import OnReject, Row, Samples
from plaudit.sending.pool import Pool, PoolShare, SendPolicy
from plaudit.types import Sample

AnySession = JudgeSession | Jury | Cascade
"""One judge at work, or several."""

Take = Callable[[Sequence[Judged]], object]
"""Called with verdicts and what was asked for each, some at a time, in order of arrival."""

_TAKEN = 64
"""Verdicts that are taken at once."""
_WAIT_S = 0.1
"""Longest time that a verdict waits for others."""


async def judge_block(
    session: AnySession,
    rows: Iterable[Row],
    *,
    first: int = 0,
    on_reject: OnReject | None = None,
) -> list[Judged]:
    """Judge a block of rows; return the verdicts in the order of their samples.

    Replies come from the session's store and go into it; nothing else is written or shown.

    Args:
        session: what judges them.
        rows: dicts in the form of input rows, or samples.
        first: index of the first sample.
        on_reject: called with the number and the error of each malformed row, which is then left
            out; None: the first one raises.

    Returns:
        Each verdict, and what was asked for it.

    Raises:
        InputError: a row is malformed; nothing was asked.
        EngineUnusableError: no sample can be judged.
    """
    samples = list(Samples(session.task, on_reject, first).of(rows))
    found: dict[int, Judged] = {}

    def take(judged: Sequence[Judged]) -> None:
        found.update((one[0].index, one) for one in judged)

    await judge_rows(session, samples, take)
    return [found[sample.index] for sample in samples]


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
        ahead: whether some samples are read ahead and looked up in the store together, and some
            verdicts taken together, each within a tenth of a second.

    Raises:
        EngineUnusableError: no sample can be judged.
    """
    if progress is not None:
        progress.watch(session)

    def finish(judged: Sequence[Judged]) -> None:
        if progress is not None:
            progress.advance_all([verdict for verdict, _ in judged])
        take(judged)

    if isinstance(samples, AsyncIterable) or not ahead:
        await _judge_each(session, samples, finish)
        return
    gathered = Gathered(finish, _TAKEN, _WAIT_S)
    try:
        await _judge_ahead(session, samples, gathered)
    finally:
        gathered.flush()


async def _judge_each(
    session: AnySession, samples: Iterable[Sample] | AsyncIterable[Sample], take: Take
) -> None:
    async def judge(sample: Sample) -> None:
        take([await session.judge(sample)])

    await for_each(judge, samples, session.window)


async def _judge_ahead(session: AnySession, samples: Iterable[Sample], gathered: Gathered) -> None:
    lookups: Iterator[Any] = session.questions(samples)
    first: Any = next(lookups, None)
    if first is None:
        return
    await session.open(first)
    shared = chain((first,), lookups)
    await run_workers(lambda: work_through(session, shared, gathered), session.window)


def pools_of(engines: Sequence[Engine], policy: SendPolicy) -> list[Pool]:
    """Return a pool for each engine; the same engine has the same pool, slots and limits."""
    pools: dict[int, Pool] = {}
    for engine in engines:
        pools.setdefault(id(engine), Pool(engine, policy))
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
