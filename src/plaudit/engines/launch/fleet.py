"""The servers of one model: started together, watched, ended together."""

import asyncio
import importlib.util
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from plaudit.engines.base import Completion, Request
from plaudit.engines.http.errors import shorten
from plaudit.engines.launch.servers import (
    Command,
    Server,
    divide,
    end_at_once,
    free_ports,
    visible_gpus,
)
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, EngineUnusableError, UsageError

Report = Callable[[str], None]
"""Called now and then with how far the start of the servers is."""

_LOG = logging.getLogger(__name__)

_SCHEMES = ("vllm", "sglang")
_OURS = {
    "vllm": frozenset({"--host", "--port", "--api-key"}),
    "sglang": frozenset({"--host", "--port", "--api-key", "--config"}),
}
_LOOK_SECONDS = 0.25
_REPORT_SECONDS = 10.0
_PORT_TRIES = 4


class LaunchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be started."""

    uri: EngineURI
    count: int
    gpus_per_worker: int | None
    arguments: tuple[str, ...]
    """Further ones of each server, already split."""
    timeout: float
    """Seconds until all must be ready."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        plural = "s" if self.count > 1 else ""
        return f"{self.count} {self.uri.scheme} server{plural}"

    def check(self) -> None:
        """Refuse what cannot be started.

        Raises:
            UsageError: it cannot.
        """
        uri = self.uri
        if uri.scheme not in _SCHEMES:
            raise UsageError(f"--launch starts vllm: and sglang: servers, and no {uri.scheme}:")
        if uri.base_urls:
            raise UsageError(
                "--launch starts its own servers; leave out --launch, or the URL of the engine"
            )
        if not uri.model or uri.model.startswith("-"):
            raise UsageError(f"--launch needs a model to start; write --engine {uri.scheme}:MODEL")
        if self.count < 1 or (self.gpus_per_worker or 1) < 1 or not self.timeout > 0:
            raise UsageError("--launch needs at least one server, one GPU each, and some time")
        for argument in self.arguments:
            flag = argument.partition("=")[0].replace("_", "-")
            if flag in _OURS[uri.scheme]:
                raise UsageError(f"--launch-arg {flag}: this is plaudit's to set; leave it out")
        if sys.platform != "linux":
            raise UsageError("--launch works on Linux only; start the servers and name their URLs")


class Replica(OpenAIEngine):
    """One server of a fleet."""

    def __init__(self, uri: EngineURI, server: Server, fleet: "Fleet") -> None:
        super().__init__(uri, own_key=server.command.key)
        self.server = server
        self._fleet = fleet

    def __reduce__(self) -> Any:
        raise TypeError("a replica belongs to its server; pickle the LaunchedEngine")

    async def complete(self, request: Request) -> Completion:
        """Complete a request; see `OpenAIEngine`. No server left running ends the run at once."""
        try:
            return await super().complete(request)
        except CallError:
            self._fleet.check()
            raise


class Fleet:
    """The servers of an engine, with their folder and key."""

    def __init__(self, plan: LaunchPlan) -> None:
        self._plan = plan
        self._key = secrets.token_hex(32)
        self._program = _program(plan.uri.scheme)
        self._gpus: list[tuple[str, ...]] = []
        self._folder = Path(tempfile.mkdtemp(prefix=f"plaudit-{plan.uri.scheme}-"))
        self._keep_folder = False
        self._tries = 0
        self.servers: list[Server] = []
        self.replicas: tuple[Replica, ...] = ()

    @property
    def first(self) -> Replica:
        """The first that runs."""
        running = (replica for replica in self.replicas if replica.server.status is None)
        return next(running, self.replicas[0])

    async def start(self, report: Report) -> None:
        """Start all, and wait until they are ready."""
        plan = self._plan
        gpus = await asyncio.to_thread(visible_gpus)
        self._gpus = divide(gpus, plan.count, plan.gpus_per_worker)
        for number, port in enumerate(free_ports(plan.count)):
            self.servers.append(self._start(number, port))
        try:
            await self._wait_until_ready(report)
        finally:
            for server in self.servers:
                await server.stop_asking()
        self._config.unlink(missing_ok=True)
        self.replicas = tuple(self._replica(server) for server in self.servers)
        for replica in self.replicas:
            await replica.open()

    def _replica(self, server: Server) -> Replica:
        uri = msgspec.structs.replace(self._plan.uri, base_urls=(f"{server.root}/v1",))
        return Replica(uri, server, self)

    @property
    def _config(self) -> Path:
        return self._folder / "key.yaml"

    def _start(self, number: int, port: int) -> Server:
        plan, gpus = self._plan, self._gpus[number]
        environment = dict(os.environ)
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        arguments = [*self._program]
        if plan.uri.scheme == "vllm":
            environment["VLLM_API_KEY"] = self._key
            arguments += [plan.uri.model]
        else:
            _write_private(self._config, json.dumps({"api-key": self._key}))
            arguments += ["--config", str(self._config), "--model-path", plan.uri.model]
        arguments += ["--host", "127.0.0.1", "--port", str(port)]
        if plan.gpus_per_worker is not None:
            split = "--tensor-parallel-size" if plan.uri.scheme == "vllm" else "--tp-size"
            arguments += [split, str(plan.gpus_per_worker)]
        revision = dict(plan.uri.options).get("revision")
        if revision:
            arguments += ["--revision", revision]
        server = Server(
            Command(
                scheme=plan.uri.scheme,
                arguments=(*arguments, *plan.arguments),
                environment=environment,
                port=port,
                key=self._key,
                log=self._folder / f"server-{number + 1}.log",
            )
        )
        where = f" on GPU {','.join(gpus)}" if gpus else ""
        log = server.command.log
        _LOG.info("%s starts at %s%s; its log is %s", self._name(number), server.root, where, log)
        return server

    def _name(self, number: int) -> str:
        return f"{self._plan.uri.scheme} server {number + 1} of {self._plan.count}"

    async def _wait_until_ready(self, report: Report) -> None:
        started = time.monotonic()
        reported = (-1, 0.0)
        waiting = dict.fromkeys(range(len(self.servers)), "it has not answered yet")
        while waiting:
            passed = time.monotonic() - started
            if reported[0] != len(waiting) or passed > reported[1] + _REPORT_SECONDS:
                reported = (len(waiting), passed)
                report(self._progress(list(waiting), passed))
            for number in waiting:
                await self._check_start(number)
            found = await asyncio.gather(*(self.servers[n].health() for n in waiting))
            waiting = {
                n: health.why
                for n, health in zip(waiting, found, strict=True)
                if not (health.ready and self.servers[n].status is None)
            }
            if waiting and time.monotonic() - started > self._plan.timeout:
                raise self._not_ready(waiting)
            if waiting:
                await asyncio.sleep(_LOOK_SECONDS)
        report(self._progress([], time.monotonic() - started))

    def _progress(self, waiting: list[int], seconds: float) -> str:
        if not waiting:
            return f"{self._plan.name} ready after {seconds:.0f} s"
        last = self.servers[waiting[0]].log_lines(1) or ["no line of log yet"]
        ready = self._plan.count - len(waiting)
        return f"waiting for {self._plan.name}: {ready} ready, {seconds:.0f} s; {shorten(last[0])}"

    async def _check_start(self, number: int) -> None:
        """Start a server again whose port was taken from it; give up where it just ended."""
        server = self.servers[number]
        if server.status is None:
            return
        if server.found_its_port_taken and self._tries < _PORT_TRIES:
            self._tries += 1
            await server.stop_asking()
            self.servers[number] = self._start(number, free_ports(1)[0])
            return
        raise EngineUnusableError(
            f"{self._name(number)} ended while it started, with exit status {server.status}"
            + self._quote(server)
        )

    def _not_ready(self, waiting: dict[int, str]) -> EngineUnusableError:
        number, why = next(iter(waiting.items()))
        return EngineUnusableError(
            f"{self._name(number)} was not ready within {self._plan.timeout:g} s (give it more "
            f"with --launch-timeout): {why}{self._quote(self.servers[number])}"
        )

    def _quote(self, server: Server) -> str:
        """Return the last lines of a log, which is kept from now on."""
        self._keep_folder = True
        lines = "".join(f"\n  {line}" for line in server.log_lines())
        return f"; the last lines of {server.command.log}:{lines or ' it is empty'}"

    def check(self) -> None:
        """Log, once each, which servers have ended.

        Raises:
            EngineUnusableError: none runs any more.
        """
        gone = [(n, server) for n, server in enumerate(self.servers) if server.status is not None]
        for number, server in gone:
            if not server.reported:
                server.reported = True
                problem = f"{self._name(number)} ended with exit status {server.status}"
                _LOG.warning("%s%s", problem, self._quote(server))
        if gone and len(gone) == len(self.servers):
            number, server = gone[-1]
            raise EngineUnusableError(
                f"{self._name(number)}, the last that ran, ended with exit status {server.status}"
                + self._quote(server)
            )

    async def end(self) -> None:
        """End all, and remove the folder unless something in it was named to the user."""
        try:
            for server in self.servers:
                server.release()
            for replica in self.replicas:
                await replica.close()
            ended = await asyncio.gather(*(server.ended() for server in self.servers))
            for number, done in enumerate(ended):
                if not done:
                    _LOG.warning("%s has not ended yet; it will", self._name(number))
        finally:
            self.tidy()

    def tidy(self) -> None:
        """Remove the folder, or the key from what is kept of it."""
        self._config.unlink(missing_ok=True)
        if not self._keep_folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        for server in self.servers:
            with suppress(OSError):
                server.scrub_log()


async def start_fleet(plan: LaunchPlan, report: Report | None) -> Fleet:
    """Start servers, and wait until all are ready; if that fails, none is left.

    Raises:
        UsageError: the server's command is not installed, or there are too few GPUs.
        EngineUnusableError: a server ended, or was not ready in time.
    """
    fleet = Fleet(plan)
    try:
        await fleet.start(report or _LOG.info)
    except BaseException:
        await _end_quickly(fleet)
        raise
    return fleet


async def _end_quickly(fleet: Fleet) -> None:
    """End a fleet although this task may be cancelled already, or once more."""
    try:
        await fleet.end()
    except asyncio.CancelledError:
        end_at_once(fleet.servers)
        raise


def _program(scheme: str) -> list[str]:
    """Return the command that starts a server, without its arguments.

    Raises:
        UsageError: it is not installed.
    """
    if scheme == "vllm":
        found = shutil.which("vllm")
        if found:
            return [found, "serve"]
        raise _missing("vllm", "there is no command `vllm` on PATH")
    python = sys.executable
    if importlib.util.find_spec("sglang") is None:
        python = shutil.which("python") or ""
        if not python or not _has_sglang(python):
            raise _missing("sglang", "neither this Python nor that on PATH has a package `sglang`")
    return [python, "-m", "sglang.launch_server"]


def _has_sglang(python: str) -> bool:
    look = "import importlib.util as i, sys; sys.exit(i.find_spec('sglang') is None)"
    return subprocess.run([python, "-c", look], check=False, capture_output=True).returncode == 0


def _missing(scheme: str, problem: str) -> UsageError:
    return UsageError(
        f"{scheme} is not installed: {problem}. Install it, or start the server yourself and name "
        f"it: --engine {scheme}:MODEL@http://host:port/v1"
    )


def _write_private(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
