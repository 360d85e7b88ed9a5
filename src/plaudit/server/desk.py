"""Rows on their way to a scorer: a bounded queue, deadlines, and equal rows scored once."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from plaudit.errors import EngineUnusableError
from plaudit.rewarding.rows import Row, RowCause, ScoredRow, row_id, unscored_row
from plaudit.rewarding.scorers import Scorer

_LOG = logging.getLogger(__name__)
_encode = msgspec.json.Encoder(order="deterministic").encode

_BREATHE = 16
"""Rows of a request that are scored one after the other before other requests get their turn."""
PAUSE_S = 1.0
"""Seconds until a scorer is asked again whose engine can answer nothing."""


class QueueFullError(Exception):
    """So many rows wait that no more are taken."""


class DeskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits, and how much is scored at once."""

    waiting: int = 20_000
    """Most rows of one reward that are taken and not answered yet."""
    at_once: int = 256
    """Most rows, or groups, of one reward that are scored at once."""
    linger: float = 60.0
    """Seconds for which work goes on that nobody waits for, since a client may ask again."""
    kept: int = 16_384
    """Most answers that are kept: of judges with a store, and where the client was gone."""


class _Job:
    """Rows that are scored together, and those who wait for them."""

    def __init__(self, key: bytes, rows: Sequence[Row]) -> None:
        self.key = key
        self.rows = rows
        self.waiters = 0
        self.started = False
        self.task: asyncio.Task[list[ScoredRow]] | None = None
        self.end: asyncio.TimerHandle | None = None


class Desk:
    """Scores rows for many clients at once.

    A row that has to wait for nothing is scored at once. Of the others equal ones are one job, also
    for several clients, and what a judge with a store answered is kept. A job that nobody waits for
    is dropped before it is begun, and goes on for a while after that. Where an engine can answer
    nothing, jobs wait.

    Attributes:
        rows: rows that are taken and not answered yet.
        running: jobs that are being scored.
        shared: rows that were answered by the work for another request.
        trouble: why the engine can answer nothing; empty: nothing is known against it.
    """

    def __init__(self, scorer: Scorer, limits: DeskLimits | None = None) -> None:
        """Put a queue before a scorer; nothing is asked."""
        self.scorer = scorer
        self.limits = limits or DeskLimits()
        self.rows = self.running = self.shared = 0
        self.trouble = ""
        self._jobs: dict[bytes, _Job] = {}
        self._left: OrderedDict[bytes, list[ScoredRow]] = OrderedDict()
        self._slots = asyncio.Semaphore(self.limits.at_once)

    @property
    def down(self) -> bool:
        """Whether an engine that it needs answers nothing."""
        return bool(self.trouble) or any(judge.runtimes.down for judge in self.scorer.judges)

    @property
    def busy(self) -> bool:
        """Whether rows wait for others to be scored."""
        return len(self._jobs) > self.running

    async def score(self, rows: Sequence[Row], seconds: float) -> list[ScoredRow]:
        """Score rows, each for itself; their answers come in their order.

        Args:
            rows: of one request.
            seconds: until when there must be answers; a row without one then has no value.

        Raises:
            QueueFullError: so many rows wait that no more are taken.
        """
        found: list[ScoredRow | None] = []
        for number, row in enumerate(rows, 1):
            found.append(self.scorer.score_now(row))
            if number % _BREATHE == 0:
                await asyncio.sleep(0)
        rest = [[row] for row, answer in zip(rows, found, strict=True) if answer is None]
        answers = iter(await self._answers(rest, seconds) if rest else [])
        return [next(answers)[0] if answer is None else answer for answer in found]

    async def score_together(self, rows: Sequence[Row], seconds: float) -> list[ScoredRow]:
        """Score rows as one job, such as a group; see `score`."""
        return (await self._answers([rows], seconds))[0]

    async def close(self) -> None:
        """Drop what is under way."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answers(
        self, units: Sequence[Sequence[Row]], seconds: float
    ) -> list[list[ScoredRow]]:
        jobs = self._join(units)
        try:
            tasks = {job.task for job in jobs if isinstance(job, _Job) and job.task is not None}
            if tasks:
                await asyncio.wait(tasks, timeout=seconds)
            return [job if isinstance(job, list) else self._result(job) for job in jobs]
        finally:
            for job in jobs:
                if isinstance(job, _Job):
                    self._leave(job)

    def _join(self, units: Sequence[Sequence[Row]]) -> list["_Job | list[ScoredRow]"]:
        """Return the jobs of a request, or answers that are there; all or none are taken."""
        keys = [sha256(_encode(unit)).digest() for unit in units]
        new = {
            key: len(unit)
            for key, unit in zip(keys, units, strict=True)
            if key not in self._jobs and key not in self._left
        }
        if self.rows + sum(new.values()) > self.limits.waiting:
            raise QueueFullError(f"{self.rows} rows wait already")
        found: dict[bytes, _Job | list[ScoredRow]] = {}
        joined: list[_Job | list[ScoredRow]] = []
        for key, unit in zip(keys, units, strict=True):
            if key not in found:
                found[key] = self._known(key) or self._begin(key, unit)
            if key not in new:
                self.shared += len(unit)
            new.pop(key, None)
            one = found[key]
            if isinstance(one, _Job):
                self._stay(one)
            joined.append(one)
        return joined

    def _known(self, key: bytes) -> list[ScoredRow] | None:
        """Return an answer that is there; one whose client was gone is given once."""
        answer = self._left.pop(key, None)
        if answer is not None and self.scorer.keeps_replies:
            self._left[key] = answer
        return answer

    def _begin(self, key: bytes, rows: Sequence[Row]) -> _Job:
        job = self._jobs.get(key)
        if job is None:
            job = self._jobs[key] = _Job(key, rows)
            self.rows += len(rows)
            job.task = asyncio.get_running_loop().create_task(self._work(job))
            job.task.add_done_callback(lambda task: self._ended(job, task))
        return job

    def _stay(self, job: _Job) -> None:
        job.waiters += 1
        if job.end is not None:
            job.end.cancel()
            job.end = None

    def _leave(self, job: _Job) -> None:
        """Take one who waited away from a job; the last one ends it, soon or at once."""
        job.waiters -= 1
        if job.waiters or job.task is None or job.task.done():
            return
        seconds = self.limits.linger if job.started else 0.0
        job.end = asyncio.get_running_loop().call_later(seconds, job.task.cancel)

    async def _work(self, job: _Job) -> list[ScoredRow]:
        async with self._slots:
            job.started = True
            self.running += 1
            try:
                return await self._scored(job)
            finally:
                self.running -= 1

    async def _scored(self, job: _Job) -> list[ScoredRow]:
        """Score a job, again and again while its engine can answer nothing."""
        while True:
            try:
                answers = await self.scorer.score(job.rows)
            except EngineUnusableError as error:
                await self._wait(error)
            except Exception:
                _LOG.exception("scoring failed")
                problem = "scoring failed; the server's log says how"
                return [unscored_row(row, RowCause.INTERNAL, problem) for row in job.rows]
            else:
                self.trouble = ""
                return answers

    async def _wait(self, error: EngineUnusableError) -> None:
        if not self.trouble:
            _LOG.warning("%s; rows wait for it up to their deadlines", error)
        self.trouble = str(error)
        for judge in self.scorer.judges:  # What was given up is begun anew.
            await judge.aclose()
        await asyncio.sleep(PAUSE_S)

    def _ended(self, job: _Job, task: "asyncio.Task[list[ScoredRow]]") -> None:
        del self._jobs[job.key]
        self.rows -= len(job.rows)
        if job.end is not None:
            job.end.cancel()
        if task.cancelled() or (job.waiters and not self.scorer.keeps_replies):
            return
        if all(row.status != "failed" for row in task.result()):
            self._left[job.key] = task.result()
            while len(self._left) > self.limits.kept:
                self._left.popitem(last=False)

    def _result(self, job: _Job) -> list[ScoredRow]:
        task = job.task
        if task is not None and task.done() and not task.cancelled():
            return task.result()
        cause, reason = RowCause.DEADLINE, "there was no answer in time; ask again"
        if self.down:
            cause, reason = RowCause.ENGINE_DOWN, self.trouble or "the engine does not answer"
        return [unscored_row(row, cause, reason) for row in job.rows]


def same_ids(rows: Sequence[Row]) -> str | None:
    """Return an id that two rows have, or None."""
    seen: set[str] = set()
    for row in rows:
        if "id" in row:
            if (id := row_id(row)) in seen:
                return id
            seen.add(id)
    return None
