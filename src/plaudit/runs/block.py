"""Judging a block of rows: rows in, verdicts out, with whatever session judges them.

`judge_block` takes rows and returns their verdicts. Worker processes, actors and batches call it.
`judge_rows` does the work: it takes samples one by one, however many, and gives verdicts as they
come. A run over a file and the Python API call it.

Both know the engine and the store through the session alone (`Judging`).
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol

from plaudit._util.aio import BREATHE, for_each, run_workers
from plaudit.engines.base import Engine
from plaudit.io.progress import Progress
from plaudit.judges.base import BaseJudge
from plaudit.judges.panel import PanelJudge
from plaudit.runs.cached import CachedClient
from plaudit.runs.judging import Judged, JudgeSession
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


class Judging(Protocol):
    """A judge with an engine and a store, as far as a block of rows needs them.

    A question is a sample with what the store knows about it. Each session has its own form.
    """

    @property
    def task(self) -> BaseJudge | PanelJudge:
        """The judge, which reads the rows."""
        ...

    @property
    def window(self) -> int:
        """Samples worth having under way."""
        ...

    @property
    def stage(self) -> str:
        """What is done before the first verdict, while it is."""
        ...

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        ...

    def questions(self, samples: Iterable[Sample], /) -> Iterator[Any]:
        """Look samples up in the store, some at a time, shortly before they are judged."""
        ...

    async def open(self, question: Any, /) -> None:
        """Do once what all samples wait for, such as opening the engine.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        ...

    def judge_stored(self, question: Any, /) -> Judged | None:
        """Judge a sample whose replies are stored; None: `judge` must."""
        ...

    async def judge(self, question: Any, /) -> Judged:
        """Judge a question, or a sample that was not looked up.

        Raises:
            EngineUnusableError: no sample can be judged.
        """
        ...


async def judge_block(
    session: Judging,
    rows: Iterable[Row],
    *,
    first: int = 0,
    on_reject: OnReject | None = None,
) -> list[Judged]:
    """Judge a block of rows; return the verdicts in the order of their samples.

    This is the unit of work that is given away. A caller makes one session and calls this for each
    of its blocks, one after the other or several at once in one event loop.

    - Each sample gets exactly one verdict. A judgement that could not be made is a verdict with a
      cause, and no exception.
    - The verdicts of a block depend on its rows and the judge's fingerprint alone, and on what the
      engine replies: not on how rows are cut into blocks, on order, or on what else is judged.
    - Replies are taken from the session's store and put into it as they come. So a block that is
      judged again, after a kill too, asks only for what was in flight. Nothing else is written:
      verdicts, output lines and counts are the caller's.
    - Cancelling ends what is in flight; replies that came are in the store, which commits
      them within 0.1 s.

    Args:
        session: what judges them.
        rows: dicts in the form of input rows, or samples. One row may hold several samples.
        first: index of the first sample; the others follow without a gap.
        on_reject: called with the number and the error of each malformed row, which is then left
            out; None: the first one raises.

    Returns:
        Each verdict, and what was asked for it.

    Raises:
        InputError: a row is malformed; nothing was asked.
        EngineUnusableError: no sample can be judged.
        StoreError: the store cannot be read or written.
    """
    samples = list(Samples(session.task, on_reject, first).of(rows))
    found: dict[int, Judged] = {}

    def take(judged: Sequence[Judged]) -> None:
        found.update((one[0].index, one) for one in judged)

    await judge_rows(session, samples, take)
    return [found[sample.index] for sample in samples]


async def judge_rows(
    session: Judging,
    samples: Iterable[Sample] | AsyncIterable[Sample],
    take: Take,
    *,
    progress: Progress | None = None,
    ahead: bool = True,
) -> None:
    """Judge samples, many at a time; see `judge_block` for what holds of each verdict.

    Args:
        session: what judges them.
        samples: in the order of their index; taken only as fast as they are judged.
        take: gets every verdict once. What it raises ends the work, and is raised.
        progress: counts the verdicts, and shows what the session does.
        ahead: whether some samples are read ahead and looked up in the store together, and some
            verdicts taken together, each within a tenth of a second.

    Raises:
        EngineUnusableError: no sample can be judged. What was judged before was taken.
        StoreError: the store cannot be read or written.
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
    gathered = _Gathered(finish, _TAKEN, _WAIT_S)
    try:
        await _judge_ahead(session, samples, gathered)
    finally:
        gathered.flush()


async def _judge_each(
    session: Judging, samples: Iterable[Sample] | AsyncIterable[Sample], take: Take
) -> None:
    async def judge(sample: Sample) -> None:
        take([await session.judge(sample)])

    await for_each(judge, samples, session.window)


class _Gathered:
    """Verdicts that wait for each other a moment, so that they are taken many at a time."""

    def __init__(self, take: Take, most: int, wait_s: float) -> None:
        """Begin with none.

        Args:
            take: gets the verdicts in order of arrival, at least one.
            most: so many are taken at once.
            wait_s: longest time that one waits.
        """
        self._take = take
        self._most = most
        self._wait_s = wait_s
        self._judged: list[Judged] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None

    def add(self, judged: Judged) -> None:
        """Add a verdict.

        Raises:
            Exception: what `take` raised, now or since the last call.
        """
        self._judged.append(judged)
        if len(self._judged) >= self._most or self._failure is not None:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._wait_s, self._flush_late)

    def flush(self) -> None:
        """Have everything taken now; raises what `take` raises."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._failure is not None:
            raise self._failure
        judged, self._judged = self._judged, []
        if judged:
            self._take(judged)

    def _flush_late(self) -> None:
        try:
            self.flush()
        except Exception as error:  # The next one who adds a verdict raises it.
            self._failure = error


async def _judge_ahead(session: Judging, samples: Iterable[Sample], gathered: _Gathered) -> None:
    lookups: Iterator[Any] = session.questions(samples)
    first: Any = next(lookups, None)
    if first is None:
        return
    await session.open(first)
    shared = chain((first,), lookups)
    await run_workers(lambda: _work_through(session, shared, gathered), session.window)


async def _work_through(session: Judging, questions: Iterator[Any], gathered: _Gathered) -> None:
    """Judge questions, one after the other, until there are none; several workers may share them.

    Args:
        session: of which they are.
        questions: taken only when the one before is judged.
        gathered: gets the verdicts.
    """
    for taken, question in enumerate(questions, 1):
        known = session.judge_stored(question)
        gathered.add(await session.judge(question) if known is None else known)
        if taken % BREATHE == 0:
            await asyncio.sleep(0)


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
