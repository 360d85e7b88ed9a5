"""The process that compares formulas: one a process of ours, started when it is first needed.

It can be killed in the middle of a comparison, by itself when its CPU time is up, and from outside
when the wall clock is. Calls come from any thread, and one after the other. A forked child starts a
process of its own. The process ends when its standard input does, however its parent ends.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from multiprocessing.connection import Connection

import msgspec

from plaudit._util.forks import around_forks, finished_before_a_fork
from plaudit.judges.answers.types.symbolic.outcome import Budget, Outcome, Pair, WorkerError

_START_SECONDS = 60.0
_MOST_FAILURES = 3
"""Starts in a row that fail until no other is tried."""
_SLOW_SHARE = 0.1
"""Share of its budget from which on a comparison counts as slow."""
_MOST_BYTES = 1 << 16
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT")
"""What an interpreter may need of the environment; no key and no secret."""
_MODULE = "plaudit.judges.answers.types.symbolic.worker"


class MathsProcess:
    """One process that compares formulas within a budget, started anew after each kill."""

    def __init__(self, budget: Budget | None = None) -> None:
        """Set the budget of each comparison; nothing is started."""
        self.budget = budget or Budget()
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._failures = 0
        _processes.add(self)

    def compare(self, pair: Pair) -> Outcome:
        """Compare, and wait for the outcome; blocks the thread that calls.

        Raises:
            WorkerError: the process did not start, or somebody else ended it.
        """
        with self._lock:
            running = self._running or self._start()
            try:
                outcome = running.ask(pair, self.budget)
            except BaseException:
                self._stop()
                raise
            if running.ended:
                self._stop()
            return outcome

    @property
    def pid(self) -> int | None:
        """Id of the running process; None while there is none."""
        return None if self._running is None else self._running.pid

    def close(self) -> None:
        """End the process; a later comparison starts another."""
        with self._lock:
            self._stop()

    def _start(self) -> "_Running":
        if self._failures >= _MOST_FAILURES:
            raise WorkerError("the process that compares formulas did not start, several times")
        self._failures += 1
        with finished_before_a_fork():
            self._running = _Running(self.budget)
        try:
            self._running.wait_until_ready()
        except BaseException:
            self._stop()
            raise
        self._failures = 0
        return self._running

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.kill()

    def forget_after_fork(self) -> None:
        """Leave the parent's process to the parent, in a forked child."""
        self._lock = threading.Lock()
        running, self._running = self._running, None
        if running is not None:
            running.forget()


class _Running:
    """A process that was started, and the two pipes to it."""

    def __init__(self, budget: Budget) -> None:
        given = msgspec.json.encode(budget).decode()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", _MODULE, given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # an interrupt of the terminal is not for it
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to = Connection(os.dup(self._process.stdin.fileno()), readable=False)
        self._from = Connection(os.dup(self._process.stdout.fileno()), writable=False)
        self._process.stdin.close()
        self._process.stdout.close()
        self.pid = self._process.pid
        self.ended = False

    def wait_until_ready(self) -> None:
        try:
            if self._from.poll(_START_SECONDS):
                self._from.recv_bytes(_MOST_BYTES)
                return
        except (EOFError, OSError):
            pass
        raise WorkerError("the process that compares formulas did not start")

    def ask(self, pair: Pair, budget: Budget) -> Outcome:
        """Send a pair and wait for what becomes of it."""
        start = time.monotonic()
        try:
            self._to.send_bytes(msgspec.msgpack.encode(pair))
            if not self._from.poll(budget.wall_seconds):
                self.ended = True
                return Outcome("open", f"not compared within {budget.wall_seconds:g} s", slow=True)
            outcome = msgspec.msgpack.decode(self._from.recv_bytes(_MOST_BYTES), type=Outcome)
        except (EOFError, OSError):
            return self._why_ended(budget)
        slow = outcome.slow or time.monotonic() - start > budget.cpu_seconds * _SLOW_SHARE
        return msgspec.structs.replace(outcome, slow=slow)

    def _why_ended(self, budget: Budget) -> Outcome:
        self.ended = True
        status = self._process.wait()
        if status == -signal.SIGPROF:
            reason = f"not compared within {budget.cpu_seconds:g} CPU seconds"
            return Outcome("open", reason, slow=True)
        raise WorkerError(f"the process that compares formulas ended with status {status}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._close()

    def forget(self) -> None:
        self._close()
        self._process.returncode = 0  # not a child of this process, so nobody waits for it here

    def _close(self) -> None:
        for pipe in (self._to, self._from):
            pipe.close()


def _environment() -> dict[str, str]:
    """Return an environment in which the same packages are found, and hashes do not vary."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
    return kept | {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}


def _nothing() -> None:
    pass


def _forget_all() -> None:
    for process in list(_processes):
        process.forget_after_fork()


_processes: weakref.WeakSet[MathsProcess] = weakref.WeakSet()
around_forks(_nothing, _nothing, _forget_all)

shared = MathsProcess()
"""The one that this process uses."""

atexit.register(shared.close)
