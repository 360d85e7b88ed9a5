"""Tests against real servers. They are skipped unless the environment names one.

For vLLM (for SGLang the same with SGLANG):

- `PLAUDIT_LIVE_VLLM_COMMAND` starts a server on port `{port}` of 127.0.0.1;
- or `PLAUDIT_LIVE_VLLM` is the base URL of one that runs, which is then left alone;
- `PLAUDIT_LIVE_VLLM_LAUNCH` is a model for `--launch`, `PLAUDIT_LIVE_VLLM_LAUNCH_ARGS` what it
  needs; the command (`vllm`) must be on PATH;
- `PLAUDIT_LIVE_EMBEDDED` is an engine in this process with the same weights, such as `local`.

A server that shows many log-probabilities (`--max-logprobs 256`) can be compared in full.
"""

import os
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plaudit.engines.launch.servers import free_ports
from tests.support.command import Plaudit

SCHEMES = ("vllm", "sglang")
START_SECONDS = 400


class LiveServer:
    """A real server; one that was started here can be killed and started again."""

    def __init__(self, scheme: str, log: Path) -> None:
        self.scheme = scheme
        self.url = setting(scheme)
        self._command = setting(scheme, "COMMAND")
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        if self._command:
            self._port = free_ports(1)[0]
            self.url = f"http://127.0.0.1:{self._port}/v1"
            self.start()

    @property
    def engine(self) -> str:
        return f"{self.scheme}:@{self.url}"

    @property
    def is_ours(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        command = shlex.split(self._command.replace("{port}", str(self._port)))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < deadline, self._log.read_text()[-3000:]
            time.sleep(0.5)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/models", timeout=5) as reply:
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def setting(scheme: str, name: str = "") -> str:
    variable = f"PLAUDIT_LIVE_{scheme.upper()}" + (f"_{name}" if name else "")
    return os.environ.get(variable, "")


@pytest.fixture(scope="session", params=SCHEMES)
def server(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[LiveServer]:
    scheme: str = request.param
    if not (setting(scheme) or setting(scheme, "COMMAND")):
        pytest.skip(f"set PLAUDIT_LIVE_{scheme.upper()} or _COMMAND")
    live = LiveServer(scheme, tmp_path_factory.mktemp("live") / "server.log")
    yield live
    live.kill()


@pytest.fixture(scope="session")
def embedded(local_weights: Path) -> str:
    return os.environ.get("PLAUDIT_LIVE_EMBEDDED", "local")


@pytest.fixture(scope="session")
def plaudit(tmp_path_factory) -> Plaudit:
    return Plaudit(tmp_path_factory.mktemp("live") / "home")
