"""Judging a block of rows: samples in, verdicts out, with whatever session judges them."""

from collections.abc import AsyncIterable, Callable, Iterable
from itertools import chain, islice
from typing import Any

from plaudit._util.aio import for_each
from plaudit.io.progress import Progress
from plaudit.runs.judging import Asked, JudgeSession
from plaudit.runs.panel import Cascade, Jury
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

    def at_hand(lookup: Any) -> bool:
        known = session.at_hand(lookup)
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
    await for_each(judge, chain(first, lookups), session.window, at_hand)
