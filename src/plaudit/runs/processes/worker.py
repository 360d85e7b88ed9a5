"""A worker process: `python -m plaudit.runs.processes.worker FD` judges what comes over a socket.

It ends when the other end of the socket is closed, and so also when the run's process dies.
"""

import asyncio
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import cast

from plaudit._util import loops
from plaudit._util.collector import collect_seldom
from plaudit.engines.base import engine_info
from plaudit.errors import PlauditError
from plaudit.io.progress import Progress
from plaudit.judges.load import task_type
from plaudit.runs.block import judge_rows
from plaudit.runs.judging import Judged, JudgeSession
from plaudit.runs.processes.messages import Failed, Job, JobBlock, WorkerReport, WorkerSpending
from plaudit.runs.processes.wire import Wire
from plaudit.runs.record import RunSettings
from plaudit.runs.runner import Lines, bind_record, session_of, stored_verdicts
from plaudit.runs.summary import JudgeTally
from plaudit.sending.prices import Prices
from plaudit.store.store import Store
from plaudit.types import Usage

_NO_PRICES = Prices()
"""The run knows what tokens cost."""


async def serve(end: socket.socket) -> None:
    """Judge blocks until the other end is closed."""
    wire = await Wire.on(end)
    try:
        work = cast("Job", await wire.receive())
        with Store(work.store) as store:
            await _work_for(wire, work, store)
    except (EOFError, OSError):
        return
    except PlauditError as error:
        await wire.send(Failed(error))
    finally:
        wire.close()


async def _work_for(wire: Wire, work: Job, store: Store) -> None:
    worker = await ProcessWorker.of(work, store)
    tasks: set[asyncio.Task[None]] = set()
    try:
        while True:
            task = asyncio.ensure_future(
                _answer(wire, worker, cast("JobBlock", await wire.receive()))
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await worker.close()


async def _answer(wire: Wire, worker: "ProcessWorker", block: JobBlock) -> None:
    try:
        answer: WorkerReport | Failed = await worker.judge(block)
    except PlauditError as error:
        answer = Failed(error)
    except Exception:  # The run raises it, whatever it is; not all exceptions can be pickled.
        answer = Failed(RuntimeError(f"a worker process failed:\n{traceback.format_exc()}"))
    with suppress(OSError):  # The run has ended meanwhile.
        await wire.send(answer)


class ProcessWorker:
    """A session that judges blocks, several at once, for a run in another process."""

    def __init__(self, session: JudgeSession, work: Job, store: Store) -> None:
        """Take a session; see `of`."""
        self._session = session
        self._store = store
        self._lines = Lines(work.record.options)
        self._keeps_replies = session.keeps_replies

    @classmethod
    async def of(cls, work: Job, store: Store) -> "ProcessWorker":
        """Make the session of a run.

        Raises:
            PlauditError: judge or engine cannot be used.
        """
        task_type(work.kind)
        settings = RunSettings(
            store=store,
            progress=Progress("", enabled=False),
            send=work.send,
            cache=work.cache,
            prices=_NO_PRICES,
        )
        record = work.record
        task = await bind_record(record, work.engine, record.without_logprobs)
        session = session_of(settings, task, work.engine)
        assert isinstance(session, JudgeSession)
        if work.found_out is not None:
            session.take_over(work.found_out)
        return cls(session, work, store)

    async def judge(self, block: JobBlock) -> WorkerReport:
        """Judge a block. Its replies are committed before its verdicts are reported.

        Raises:
            EngineUnusableError: no sample can be judged.
            StoreError: the store cannot be read or written.
        """
        judged: list[Judged] = []
        await judge_rows(self._session, block.samples, judged.extend)
        if any(not asked.from_store for _, asked in judged):
            await asyncio.to_thread(self._store.flush)
        tally, session = JudgeTally(), self._session
        tally.add(judged)
        return WorkerReport(
            number=block.number,
            lines=self._lines.of(judged),
            stored=stored_verdicts(judged, raw=not self._keeps_replies),
            counts=tally.counts(),
            usage=sum((verdict.usage for verdict, _ in judged), Usage()),
            spent=self._spent(),
            without_logprobs=session.without_logprobs,
            found_out=session.found_out,
        )

    def _spent(self) -> WorkerSpending:
        session = self._session
        bill = session.bill(_NO_PRICES)
        given_up = engine_info(session.client.pool.engine).notes
        return WorkerSpending(bill.engine_calls, bill.usage, session.task.counted, tuple(given_up))

    async def close(self) -> None:
        """Free what the engine took."""
        await self._session.close()


def main() -> None:
    """Work on the socket whose descriptor is the argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The run ends its workers.
    collect_seldom()
    loops.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
