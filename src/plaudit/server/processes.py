"""Sync functions of the user's own, each call in a process that can be killed.

A thread cannot be ended from outside, so one function that hangs would hold its thread for ever. A
process that hangs is killed when the call's time is up, and another one is started for the next.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import msgspec

from plaudit.rollouts.rewards.base import unscored
from plaudit.rollouts.rewards.functions import timed_out
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.server.worker import LENGTH, ORDER, READY, Task

_MODULE = "plaudit.server.worker"
_END_S = 5.0


class FunctionProcesses:
    """Up to so many processes that call one function, started when they are needed."""

    def __init__(self, task: Task, count: int) -> None:
        """Name a function; nothing is started.

        Args:
            task: the function, and its arguments.
            count: calls at a time.
        """
        self._task = task
        self._free: list[Process] = []
        self._slots = asyncio.Semaphore(count)
        self._running: set[Process] = set()

    async def call(self, trace: Trace, seconds: float) -> Score:
        """Call the function with a trace; cancelling kills its process.

        Args:
            trace: what it is called with.
            seconds: that the call may take, without waiting for a process and its start.
        """
        async with self._slots:
            process = self._free.pop() if self._free else await self._start()
            try:
                await _ready(process)
                async with asyncio.timeout(seconds):
                    score = await _ask(process, trace)
            except TimeoutError:
                await self._kill(process)
                return timed_out(seconds)
            except (asyncio.IncompleteReadError, OSError):
                status = await self._end(process)
                return unscored(
                    Unscored.RAISED, f"the function's process ended with status {status}"
                )
            except BaseException:
                await asyncio.shield(self._kill(process))
                raise
            self._free.append(process)
            return score

    async def close(self) -> None:
        """Kill all processes; a later call starts another."""
        self._free.clear()
        for process in list(self._running):
            await self._kill(process)

    async def _start(self) -> Process:
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, msgspec.json.encode(self._task).decode(),
            stdin=PIPE, stdout=PIPE, env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # An interrupt of the terminal is not for it.
        )  # fmt: skip
        self._running.add(process)
        return process

    async def _end(self, process: Process) -> int:
        """Return the status of a process that closed its output; soon it ends by itself."""
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)
        return await self._kill(process)

    async def _kill(self, process: Process) -> int:
        self._running.discard(process)
        if process.returncode is None:
            process.kill()
        return await process.wait()


async def _ready(process: Process) -> None:
    """Wait until a process has loaded the function, and is done with the call before."""
    assert process.stdout is not None
    await process.stdout.readexactly(len(READY))


async def _ask(process: Process, trace: Trace) -> Score:
    """Send a trace to a process and read the score."""
    assert process.stdin is not None and process.stdout is not None
    body = msgspec.msgpack.encode(trace)
    process.stdin.write(len(body).to_bytes(LENGTH, ORDER) + body)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(LENGTH), ORDER)
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Score)
