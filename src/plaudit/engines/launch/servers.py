"""Model servers as processes of ours: their log, health and end, and the GPUs they share."""

import asyncio
import atexit
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from plaudit.engines.http.transport import Transport
from plaudit.engines.launch import watchdog
from plaudit.errors import CallError, UsageError

GRACE_SECONDS = 10.0
"""How long a server has to end by itself before it is killed."""
LOG_LINES = 20
"""How many lines of a server's log an error shows."""

_PROBE_SECONDS = 5.0
_GPUS_SECONDS = 30
_LOOK_SECONDS = 0.05
_TAIL_BYTES = 64 * 1024
_LINE_LENGTH = 400
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ADDRESS_TAKEN = re.compile(
    r"address already in use|errno 98\b|EADDRINUSE|port \S+ is (?:already in use|not available)",
    re.IGNORECASE,
)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on just now, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a server. The key is in `environment` or in a file, never in `arguments`."""

    scheme: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    key: str
    log: Path


class Health(NamedTuple):
    """How a server is."""

    ready: bool
    why: str
    """What is missing, in words."""


class Server:
    """A server that this process started, held by a watchdog that ends it whatever happens.

    In a forked child it is the parent's: it can be asked there, and never ended.
    """

    def __init__(self, command: Command) -> None:
        """Start it. It runs in a session of its own, so Ctrl-C in a terminal does not reach it.

        Raises:
            OSError: no process or log file can be made.
        """
        self.command = command
        self.root = f"http://127.0.0.1:{command.port}"
        self.reported = False
        """Whether its end was logged."""
        self._stranger = self._transport("")
        self._friend = self._transport(command.key)
        self._status: int | None = None
        with open(command.log, "wb", opener=_private) as log:
            self._watchdog: subprocess.Popen[bytes] | None = subprocess.Popen(
                [sys.executable, "-I", watchdog.__file__, str(GRACE_SECONDS), *command.arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(command.environment),
                start_new_session=True,
            )
        _servers.add(self)

    def __repr__(self) -> str:
        return f"Server({self.command.scheme!r} at {self.root!r})"

    def _transport(self, key: str) -> Transport:
        return Transport(self.command.scheme, self.root, "its key", own_key=key)

    @property
    def status(self) -> int | None:
        """Its exit status, None while it or anything that it started runs."""
        if self._watchdog is not None and self._status is None:
            self._status = self._watchdog.poll()
        return self._status

    async def health(self) -> Health:
        """Ask whether it is ready, and whether it is this very server that answers on its port."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                return await self._health()
        except TimeoutError:
            return Health(False, "it does not answer")
        except CallError as error:
            return Health(False, str(error))

    async def _health(self) -> Health:
        # First without the key: what takes that is not ours, and must not see the key.
        status, _ = await self._stranger.get(self._stranger.url("/v1/models"))
        if status not in (401, 403):
            return Health(False, f"its port answers {status} to a request without its key")
        for path in ("/health", "/v1/models"):
            status, _ = await self._friend.get(self._friend.url(path))
            if status != 200:
                return Health(False, f"{path} answers {status}")
        return Health(True, "ready")

    async def stop_asking(self) -> None:
        """Close the connections that `health` made."""
        await self._stranger.close()
        await self._friend.close()

    @property
    def found_its_port_taken(self) -> bool:
        """Whether it ended because somebody else listens on its port."""
        return self.status is not None and any(map(_ADDRESS_TAKEN.search, self.log_lines(200)))

    def log_lines(self, count: int = LOG_LINES) -> list[str]:
        """Return the last lines of its log, printable and without the key."""
        with open(self.command.log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        text = _COLOURS.sub("", text)
        lines = [self._friend.redact(line)[:_LINE_LENGTH] for line in text.splitlines()]
        return [line for line in lines if line][-count:]

    def release(self) -> None:
        """Have the watchdog end the server; does not wait."""
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()

    async def ended(self) -> bool:
        """Wait until it and all that it started are gone; False: it takes too long."""
        deadline = time.monotonic() + GRACE_SECONDS + _PROBE_SECONDS
        while self._watchdog is not None and self.status is None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    def wait(self, seconds: float) -> None:
        """Wait for its end without an event loop."""
        if self._watchdog is not None:
            with suppress(subprocess.TimeoutExpired):
                self._watchdog.wait(seconds)

    def scrub_log(self) -> None:
        """Take the key out of the log of a server that ended; some servers print it."""
        content = self.command.log.read_bytes()
        key = self.command.key.encode()
        if key in content:
            self.command.log.write_bytes(content.replace(key, b"[key]"))

    def forget_after_fork(self) -> None:
        """Let go of the watchdog, which stays the parent's; called in the child."""
        self.release()
        if self._watchdog is not None:
            self._watchdog.returncode = 0  # else it is looked for when it is collected
            self._watchdog = None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


_servers: "weakref.WeakSet[Server]" = weakref.WeakSet()


def end_at_once(servers: Iterable[Server]) -> None:
    """End servers without an event loop, and wait for them."""
    servers = list(servers)
    for server in servers:
        server.release()
    for server in servers:
        server.wait(GRACE_SECONDS + _PROBE_SECONDS)


def _end_at_exit() -> None:
    end_at_once(_servers)


def _forget_after_fork() -> None:
    for server in list(_servers):
        server.forget_after_fork()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_end_at_exit)


# GPUs


def visible_gpus() -> list[str]:
    """Return the GPUs that may be used, as CUDA_VISIBLE_DEVICES names them.

    Those that this variable names; where it is not set, those that `nvidia-smi` lists, if any.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        names = (name.strip() for name in named.split(","))
        return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        done = subprocess.run(
            [command, "--list-gpus"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GPUS_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    listed = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(listed))]


def divide(gpus: list[str], servers: int, each: int | None) -> list[tuple[str, ...]]:
    """Return the GPUs of each server.

    Args:
        gpus: those that there are.
        servers: how many servers share them.
        each: how many a server gets; None: one where there are any, else none.

    Raises:
        UsageError: there are too few.
    """
    if not gpus and each is None:
        return [()] * servers
    each = each or 1
    needed = servers * each
    if len(gpus) < needed:
        raise UsageError(
            f"{servers} x {each} = {needed} GPUs are needed and {len(gpus)} visible; lower "
            "--launch or --gpus-per-worker, or check CUDA_VISIBLE_DEVICES"
        )
    return [tuple(gpus[start : start + each]) for start in range(0, needed, each)]
