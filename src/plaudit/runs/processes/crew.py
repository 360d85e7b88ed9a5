"""The worker processes of a run: started, given blocks, replaced when they die, ended."""

import asyncio
import logging
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, cast

from msgspec.structs import replace

from plaudit._util.aio import run_workers
from plaudit.engines.base import Engine
from plaudit.errors import ArgumentError, InterruptedRunError
from plaudit.runs.cached import CachePolicy
from plaudit.runs.judging import JudgeSession
from plaudit.runs.processes.messages import Failed, Job, JobBlock, WorkerReport, WorkerSpending
from plaudit.runs.processes.wire import Wire
from plaudit.runs.record import Bill, JudgeRecord
from plaudit.sending.pool import SendPolicy
from plaudit.sending.prices import Prices, cost
from plaudit.types import Sample, Usage

BLOCK = 64
"""Samples of a block: as many as are looked up in the store at once."""
_FIRST = 1
"""Samples of the first block, which finds out what all workers must know."""
_SMALL = 8
"""Samples of a block where larger ones would leave a worker without work: at the beginning, since
the input may be short, and where requests a minute are limited."""
_TRIES = 2
"""Times that a block is given to a worker; a second one that dies of it ends the run."""
_IDLE = -1
"""Stands for the block of a worker that has none."""
_END_S = 10.0
"""Longest wait for a worker that was asked to end."""
_START = 10
"""Requests in flight at the start of a run, unless its policy says otherwise."""

_LOG = logging.getLogger(__name__)
Take = Callable[[WorkerReport], object]


class CrewJob(NamedTuple):
    """What a command asks of worker processes."""

    processes: int
    kind: str
    """The judge as the command names it."""
    engine: Engine
    send: SendPolicy
    """Of all workers together."""
    cache: CachePolicy
    store: str
    """Path of the store."""


def shares(send: SendPolicy, processes: int) -> list[SendPolicy]:
    """Divide a policy among workers, so that together they keep to it.

    Raises:
        ArgumentError: there are more processes than requests in flight or requests a minute.
    """
    limits = (send.concurrency, send.requests_per_minute, send.tokens_per_minute)
    least = min(one for one in limits if one is not None)
    if processes > least:
        raise ArgumentError("processes", f"must be at most {least}, the least limit of requests")

    def part(whole: int, place: int) -> int:
        return whole // processes + (place < whole % processes)

    def share(place: int) -> SendPolicy:
        requests, tokens = send.requests_per_minute, send.tokens_per_minute
        return replace(
            send,
            concurrency=part(send.concurrency, place),
            start=max(1, part(send.start or _START, place)),
            requests_per_minute=None if requests is None else part(requests, place),
            tokens_per_minute=None if tokens is None else part(tokens, place),
        )

    return [share(place) for place in range(processes)]


class Crew:
    """Worker processes, and what they spent.

    Attributes:
        stage: what is done before verdicts come, for a progress display.
    """

    stage = ""

    def __init__(self, job: CrewJob) -> None:
        """Prepare; no process is started.

        Raises:
            ArgumentError: there are too many processes.
        """
        self._job = job
        self._shares = shares(job.send, job.processes)
        self._spent: list[WorkerSpending] = []
        self._died: list[str] = []
        self._blocks = 0
        self._first: asyncio.Future[WorkerReport] | None = None

    @property
    def sent(self) -> int:
        """Requests sent so far."""
        return sum(spent.engine_calls for spent in self._spent)

    def bill(self, session: JudgeSession, prices: Prices) -> Bill:
        """Return what all workers spent, and let the session's notes count what theirs counted.

        What a worker that died had in flight is not known, and not in it.
        """
        counted = sum((Counter(spent.counted) for spent in self._spent), Counter[str]())
        session.task.count(counted)
        usage = sum((spent.usage for spent in self._spent), Usage())
        spent = cost(prices.of(self._job.engine, session.task.identity), usage)
        given_up = (f"the endpoint {note}" for one in self._spent for note in one.given_up)
        return Bill(
            engine_calls=self.sent,
            usage=usage,
            cost_usd=None if spent is None else round(spent, 9),
            notes=[*dict.fromkeys(given_up), *session.notes, *self._died],
        )

    async def judge(self, record: JudgeRecord, samples: Iterator[Sample], take: Take) -> None:
        """Judge samples.

        Args:
            record: of the run.
            samples: taken as fast as they are judged.
            take: gets the report of each block once, in order of arrival.

        Raises:
            EngineUnusableError: no sample can be judged.
            StoreError: the store cannot be read or written.
            InterruptedRunError: workers died again and again.
        """
        self._first = asyncio.get_running_loop().create_future()
        places = iter(range(self._job.processes))
        work = _Shared(record, samples, take)
        await run_workers(lambda: self._keep(next(places), work), self._job.processes)

    async def _keep(self, place: int, work: "_Shared") -> None:
        """Keep one worker at work, and replace it when it dies."""
        mine: dict[int, JobBlock] = {}
        tries = Counter[int]()
        while True:
            process = await _Process.start()
            try:
                await self._feed(process, place, work, mine)
                return
            except (EOFError, OSError):
                tries.update(mine.keys() or [_IDLE])
                self._mourn(await process.end(), mine, max(tries.values()))
            finally:
                await process.end()

    def _mourn(self, status: int, mine: dict[int, JobBlock], tries: int) -> None:
        """Report a worker that died.

        Raises:
            InterruptedRunError: its block killed another one before.
        """
        what = f"signal {-status}" if status < 0 else f"status {status}"
        if tries >= _TRIES:
            raise InterruptedRunError(
                f"worker processes end again and again ({what}); what was judged is kept, so the "
                "same command goes on where this one stopped"
            )
        samples = sum(len(block.samples) for block in mine.values())
        self._died.append(f"a worker process died ({what}): {samples} samples were given again")
        _LOG.warning("a worker process died (%s): %d samples are given again", what, samples)

    async def _feed(
        self, process: "_Process", place: int, work: "_Shared", mine: dict[int, JobBlock]
    ) -> None:
        """Give a worker blocks until there are none, and take its reports."""
        share, spent = self._shares[place], len(self._spent)
        self._spent.append(WorkerSpending())
        assert self._first is not None
        if place and not mine:
            await asyncio.shield(self._first)
        await process.wire.send(self._work(work.record, share))
        for block in mine.values():
            await process.wire.send(block)
        while True:
            while self._has_room(share, mine) and (block := self._next(work)) is not None:
                mine[block.number] = block
                await process.wire.send(block)
                await asyncio.sleep(0)  # The others take theirs in turn.
            if not mine:
                if not self._first.done():
                    self._first.cancel()
                return
            report = await process.wire.receive()
            if isinstance(report, Failed):
                raise report.error
            report = cast("WorkerReport", report)
            self._spent[spent] = report.spent
            del mine[report.number]
            work.take(report)
            if not self._first.done():
                self._first.set_result(report)

    def _has_room(self, share: SendPolicy, mine: dict[int, JobBlock]) -> bool:
        """Whether a worker gets another block: only one, until the first verdict is known."""
        assert self._first is not None
        if not self._first.done():
            return not mine
        return sum(len(block.samples) for block in mine.values()) < 2 * share.concurrency + BLOCK

    def _next(self, work: "_Shared") -> JobBlock | None:
        samples = list(islice(work.samples, self._size))
        if not samples:
            return None
        self._blocks += 1
        return JobBlock(self._blocks, samples)

    @property
    def _size(self) -> int:
        """Samples of the next block."""
        if not self._blocks:
            return _FIRST
        send = self._job.send
        limited = send.requests_per_minute is not None or send.tokens_per_minute is not None
        return _SMALL if limited or self._blocks < _SMALL * self._job.processes else BLOCK

    def _work(self, record: JudgeRecord, share: SendPolicy) -> Job:
        assert self._first is not None
        job, first = self._job, self._first.result() if self._first.done() else None
        known = () if first is None else first.without_logprobs
        together = tuple(dict.fromkeys([*record.without_logprobs, *known]))
        return Job(
            kind=job.kind,
            record=replace(record, without_logprobs=together),
            engine=job.engine,
            send=share,
            cache=job.cache,
            store=job.store,
            found_out=None if first is None else first.found_out,
        )


class _Shared(NamedTuple):
    """What all workers of a run work through."""

    record: JudgeRecord
    samples: Iterator[Sample]
    take: Take


class _Process:
    """One worker process, and the wire to it."""

    def __init__(self, process: asyncio.subprocess.Process, wire: Wire) -> None:
        self._process = process
        self.wire = wire

    @classmethod
    async def start(cls) -> "_Process":
        """Start a worker. Ctrl-C at a terminal reaches the run alone, which ends its workers."""
        ours, theirs = socket.socketpair()
        with theirs:
            command: Sequence[str] = [
                sys.executable, "-m", "plaudit.runs.processes.worker", str(theirs.fileno())
            ]  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(process, await Wire.on(ours))

    async def end(self) -> int:
        """Close the wire, by which the worker ends; return its exit status."""
        self.wire.close()
        try:
            async with asyncio.timeout(_END_S):
                return await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            return await self._process.wait()
