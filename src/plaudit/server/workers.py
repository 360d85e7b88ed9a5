"""Several processes that share a port: they are started, watched, replaced and stopped.

Each worker has a listening socket of its own at the same address, and the kernel spreads
connections over them. Another one is for the other workers. All belong to the supervisor, so
connections that wait for a worker that died are answered by the next one. Workers end with the
supervisor, also when it is killed.
"""

import contextlib
import errno
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from plaudit.errors import PlauditError, UsageError

_LOG = logging.getLogger("plaudit.server")
_STOPS = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_STOPS, signal.SIGCHLD, signal.SIGALRM)
BACKLOG = 8192
_YOUNG_S, _MOST_YOUNG_DEATHS = 5.0, 5
"""Workers that end within so many seconds, so often in a row, end the server."""
_SPARE_S = 10.0
"""Seconds after the drain within which a worker must have ended; then it is killed."""


class Worker(NamedTuple):
    """One of several processes, as it sees itself."""

    number: int
    """From 0."""
    workers: int
    """How many there are."""
    folder: str
    """Where workers keep what concerns the others."""
    outer: socket.socket
    """Listens at the server's address."""
    inner: socket.socket
    """Listens for the other workers."""
    supervisor: int
    """A file descriptor that can be read once the supervisor is gone."""

    def path(self, number: int) -> str:
        """Return the path of a worker's socket for the others."""
        return _inner_path(self.folder, number)

    def kept(self, number: int) -> str:
        """Return the path of the counters that a worker reported last."""
        return os.path.join(self.folder, f"{number}.metrics")


def bind(host: str, port: int, count: int) -> list[socket.socket]:
    """Return listening sockets at one address, one a worker; port 0 takes a free one.

    Where the kernel does not spread connections over sockets (not Linux), all are the same one.

    Raises:
        UsageError: the address cannot be listened at.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        first = _bound(family, address, shared=False)
        if count == 1 or sys.platform != "linux":
            return [first] * count
        address = (address[0], first.getsockname()[1], *address[2:])
        first.close()  # It showed that nobody else listens there.
        return [_bound(family, address, shared=True) for _ in range(count)]
    except OSError as error:
        raise cannot_listen(host, port, error) from None


def cannot_listen(host: str, port: int, error: OSError) -> UsageError:
    """Return the error for an address that cannot be listened at."""
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} is in use at {host}; give another one with --port, or --port 0 for a "
            "free one"
        )
    shown = f"[{host}]" if ":" in host else host
    return UsageError(f"cannot listen at http://{shown}:{port}: {error}")


def _bound(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _inner_path(folder: str, number: int) -> str:
    return os.path.join(folder, f"{number}.sock")


def _inner(folder: str, number: int) -> socket.socket:
    """Return a socket at which others reach a worker, also before it has started."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(_inner_path(folder, number))
    made.listen(BACKLOG)
    return made


def supervise(
    sockets: Sequence[socket.socket], work: Callable[[Worker], object], *, drain: float
) -> None:
    """Run workers until SIGTERM or SIGINT; one that ends before is replaced.

    Raises:
        PlauditError: a worker ended again and again as soon as it was started.

    Args:
        sockets: one for each worker; see `bind`.
        work: what a worker does, in a process of its own; it ends with SIGTERM.
        drain: most seconds that a worker has for requests under way when it is stopped.
    """
    with _signals_wait(), _folder() as folder, _lifeline() as (reading, writing):
        workers = _Workers(work)
        for number, one in enumerate(sockets):
            inner = _inner(folder, number)
            worker = Worker(number, len(sockets), folder, one, inner, reading)
            workers.start(worker, writing)
        try:
            while signal.sigwait(_WATCHED) not in _STOPS:
                workers.replace(writing)
        finally:
            workers.stop(drain + _SPARE_S)


@contextlib.contextmanager
def _signals_wait() -> Generator[None]:
    """Keep signals until they are waited for, so that none comes between two steps."""
    before = signal.signal(signal.SIGCHLD, _take)  # A signal that is ignored may be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        yield
    finally:
        while signal.sigpending() & set(_WATCHED):  # A second SIGTERM does not change the status.
            signal.sigwait(_WATCHED)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        signal.signal(signal.SIGCHLD, before)


def _take(number: int, frame: object) -> None:
    del number, frame


@contextlib.contextmanager
def _folder() -> Generator[str]:
    folder = tempfile.mkdtemp(prefix="plaudit-serve-")  # Only this user may enter it.
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _lifeline() -> Generator[tuple[int, int]]:
    """A pipe of which only the supervisor has the writing end."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


class _Running(NamedTuple):
    """A worker's process."""

    worker: Worker
    since: float
    young_deaths: int
    """How many before it died young, one after the other."""


class _Workers:
    """The processes of a supervisor."""

    def __init__(self, work: Callable[[Worker], object]) -> None:
        self._work = work
        self._running: dict[int, _Running] = {}

    def start(self, worker: Worker, writing: int, young_deaths: int = 0) -> None:
        """Fork a worker; it waits a second for each young death before it begins."""
        pid = os.fork()
        if pid:
            self._running[pid] = _Running(worker, time.monotonic() + young_deaths, young_deaths)
            return
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _end_with(self._work, worker, young_deaths)

    def replace(self, writing: int) -> None:
        """Start another worker for each one that has ended.

        Raises:
            PlauditError: it ended again and again as soon as it was started.
        """
        for pid, status in _ended():
            one = self._running.pop(pid, None)
            if one is None:
                continue
            died_young = time.monotonic() - one.since < _YOUNG_S
            code = os.waitstatus_to_exitcode(status)
            facts = {"worker": one.worker.number, "pid": pid, "status": code}
            young_deaths = one.young_deaths + 1 if died_young else 0
            if young_deaths == _MOST_YOUNG_DEATHS:
                raise PlauditError(
                    f"worker {one.worker.number} ended {young_deaths} times right after its start, "
                    f"at last with status {code}; the server ends"
                )
            _LOG.error("a worker ended; another one takes its place", extra={"facts": facts})
            self.start(one.worker, writing, young_deaths)

    def stop(self, seconds: float) -> None:
        """End all workers; those that do not end in time are killed."""
        self._send(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while self._running:
            if signal.sigwait((signal.SIGCHLD, signal.SIGALRM)) == signal.SIGALRM:
                self._send(signal.SIGKILL)
            for pid, _ in _ended():
                self._running.pop(pid, None)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _send(self, number: int) -> None:
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _ended() -> Generator[tuple[int, int]]:
    """Yield the processes that have ended, with their statuses."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            yield found


def _end_with(work: Callable[[Worker], object], worker: Worker, pause: int) -> None:
    """Do the work of a worker, and end this process: what the supervisor holds is not its own."""
    status = 1
    try:
        time.sleep(pause)
        work(worker)
        status = 0
    except BaseException as error:
        status = getattr(error, "exit_status", 1)
        if not isinstance(error, KeyboardInterrupt):
            traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
