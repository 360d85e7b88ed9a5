"""`plaudit` as a fork of one process that has imported it: as the real one, without its start.

The server of forks has no threads and no model; a fork loads what it needs. A command reaches it by
the client in `Forks.folder`, which goes first in `PATH`. Each fork has the caller's streams,
folder, environment, arguments and ignored signals. It gets the signals that its client gets, and
is killed where its client is. It has no start of its own: of the variables of Python it heeds
`PYTHONPATH` alone. Where a start or a death is tested, run `python -m plaudit`.
"""

import atexit
import functools
import gc
import marshal
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

CLIENT = Path(__file__).with_name("fork_client.py")
JOBS = {"plaudit": "plaudit.cli:main", "interpreter": "scripts.docs:interpreter"}
"""What a fork runs."""
IMPORTED = (
    "scripts.docs",
    *(f"plaudit.cli.{name}" for name in ("judge", "runs", "rollout", "score", "bench", "labels")),
    *(f"plaudit.cli.{name}" for name in ("audit", "corpus", "pairs", "export", "serve", "store")),
    *(f"plaudit.cli.{name}" for name in ("curriculum", "models", "prompt", "report")),
    "plaudit.engines.scripted",
    "plaudit.judge",
    "plaudit.judges.answers.decision",
    "plaudit.judges.answers.head.features",
    "plaudit.judges.answers.head.model",
    "plaudit.judges.answers.types.symbolic",
    "plaudit.engines.http.transport",
    "plaudit.engines.llama.engine",
    "plaudit.engines.openai.engine",
    "plaudit.server.app",
    "concurrent.futures.thread",
    "numpy",
    "rich._emoji_codes",
    "typer._adapters",
    "uvloop",
    "zoneinfo",
)


class Forks:
    """The server of forks, as its users see it; belongs to one process.

    Attributes:
        folder: holds the client, an executable named `plaudit`.
    """

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="plaudit-forks-")
        self.folder = Path(self._temporary.name)
        self._address = str(self.folder / "socket")
        mine, theirs = socket.socketpair()
        with socket.socket(socket.AF_UNIX) as listener, theirs:
            listener.bind(self._address)
            listener.listen(64)
            self._lifeline = mine
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forks", *_numbers(listener, theirs)],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                pass_fds=[listener.fileno(), theirs.fileno()],
                start_new_session=True,
            )
        client = self.folder / "plaudit"
        client.write_text(f'#!/bin/sh\nexec {" ".join(self.command("plaudit"))} "$@"\n')
        client.chmod(0o755)

    def command(self, job: str) -> list[str]:
        """Return the start of a command line that runs a job of `JOBS` in a fork."""
        return [sys.executable, "-IS", str(CLIENT), self._address, job]

    def close(self) -> None:
        """End the server, and what it still runs."""
        self._lifeline.close()
        self._server.wait()
        self._temporary.cleanup()


def _numbers(*sockets: socket.socket) -> list[str]:
    return [str(each.fileno()) for each in sockets]


@functools.cache
def forks() -> Forks:
    """Return the server of this process; it is started on first use."""
    server = Forks()
    atexit.register(server.close)
    return server


# ------------------------------------------------------------------ in the server


class _Server:
    """Forks for each client, and sends it the status of its fork."""

    def __init__(self, listener: socket.socket, lifeline: socket.socket) -> None:
        self._listener = listener
        self._lifeline = lifeline
        self._clients: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._ended, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for watched in (listener, lifeline, self._ended):
            self._selector.register(watched, selectors.EVENT_READ)

    def serve(self) -> tuple[str, list[str]] | None:
        """Return None at the end of the server; in each fork, the job and its arguments."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._lifeline:
                    return self._end()
                if key.fileobj is self._ended:
                    self._reap()
                elif key.fileobj is self._listener:
                    if (job := self._take()) is not None:
                        return job
                elif key.data in self._clients:
                    self._pass_on(key.data)

    def _take(self) -> tuple[str, list[str]] | None:
        client, _ = self._listener.accept()
        size, streams, _, _ = socket.recv_fds(client, 8, 4)
        handed = b""
        while len(handed) < int.from_bytes(size, "big"):
            handed += client.recv(1 << 20)
        pid = os.fork()
        if pid == 0:
            client.close()
            self._forget()
            return _as_the_caller(streams, *marshal.loads(handed))
        for stream in streams:
            os.close(stream)
        self._clients[pid] = client
        self._selector.register(client, selectors.EVENT_READ, pid)
        return None

    def _forget(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for own in (self._listener, self._lifeline, self._ended, self._wake):
            own.close()
        for client in self._clients.values():
            client.close()

    def _pass_on(self, pid: int) -> None:
        signals = self._clients[pid].recv(64)
        if not signals:  # The client was killed.
            self._selector.unregister(self._clients[pid])
        for number in signals or [signal.SIGKILL]:
            os.kill(pid, number)

    def _reap(self) -> None:
        self._ended.recv(4096)
        while self._clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self._clients.pop(pid)
            with suppress(KeyError, BrokenPipeError):  # Where the client was killed.
                self._selector.unregister(client)
                client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
            client.close()

    def _end(self) -> None:
        for pid in self._clients:
            os.kill(pid, signal.SIGKILL)


def _as_the_caller(
    streams: list[int], job: str, arguments: list[str], env: dict[bytes, bytes], ignored: list[int]
) -> tuple[str, list[str]]:
    os.setpgid(0, 0)
    for number, stream in enumerate(streams[:3]):
        os.dup2(stream, number)
    os.fchdir(streams[3])
    for stream in streams:
        os.close(stream)
    before = _import_paths()
    os.environ.clear()
    os.environ.update({os.fsdecode(k): os.fsdecode(v) for k, v in env.items()})
    sys.path[:] = [*_import_paths(), *(path for path in sys.path if path not in before)]
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    sys.stdin = sys.__stdin__ = _stream(sys.stdin, "r")
    sys.stdout = sys.__stdout__ = _stream(sys.stdout, "w")
    sys.stderr = sys.__stderr__ = _stream(sys.stderr, "w")
    return job, arguments


def _import_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _stream(before: Any, mode: str) -> Any:
    """Return the text stream that Python would have made at its start."""
    number = before.fileno()
    stream = open(  # noqa: SIM115
        number, mode, encoding=before.encoding, errors=before.errors, closefd=False
    )
    if mode == "w":
        stream.reconfigure(line_buffering=number == 2 or stream.isatty())
    return stream


def _import_all() -> None:
    """Import what commands need, with warnings as errors, and start no thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in IMPORTED:
            import_module(name)
    assert threading.active_count() == 1, "a thread would be lost in forks"
    assert "xllamacpp" not in sys.modules, "each fork loads the library of models itself"
    sys.path.pop(0)  # The repository.
    gc.collect()
    gc.freeze()


def main(listener: int, lifeline: int) -> None:
    """Serve until the lifeline is closed; in a fork, run its job and end as `plaudit` does."""
    _import_all()
    server = _Server(socket.socket(fileno=listener), socket.socket(fileno=lifeline))
    found = server.serve()
    if found is not None:
        _run(*found)


def _run(job: str, arguments: list[str]) -> NoReturn:
    module, _, name = JOBS[job].partition(":")
    function: Callable[[], Any] = getattr(import_module(module), name)
    sys.modules["__main__"] = ModuleType("__main__")  # As in a script: usage shows its name alone.
    sys.argv = [job, *arguments]
    if job == "interpreter":
        warnings.simplefilter("error")
    sys.exit(function())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
