"""The command line as a user runs it: a real process, or what is quicker than that."""

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
from rich.console import Console

from plaudit.cli import main
from tests.support.forks import forks

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "VLLM_API_KEY", "TOGETHER_API_KEY")
TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR")


@dataclass(frozen=True)
class Done:
    status: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        return msgspec.json.decode(self.stdout.splitlines()[-1])


class Plaudit:
    """Runs `plaudit` with a store of its own."""

    def __init__(
        self, home: Path, env: Mapping[str, str] | None = None, folder: Path = REPOSITORY
    ) -> None:
        self.home = home
        self.folder = folder
        clean = {k: v for k, v in os.environ.items() if k not in (*KEYS, *TERMINAL)}
        self.env = (
            clean | {"PLAUDIT_HOME": str(home), "COLUMNS": "120", "TERM": "xterm"} | dict(env or {})
        )

    def command(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "plaudit", *map(str, args)]

    def start(self, *args: str | Path, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*args),
            env=self.env,
            text=True,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def __call__(self, *args: str | Path, timeout: float = 280, **options: Any) -> Done:
        return self._run(self.command(*args), timeout, **options)

    def _run(self, command: list[str], timeout: float, **options: Any) -> Done:
        done = subprocess.run(
            command,
            env=self.env,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=timeout,
            check=False,
            **options,
        )
        return Done(done.returncode, done.stdout, done.stderr)


class Forked(Plaudit):
    """Runs `plaudit` as a fork, which spares most of a start; `start` spares none."""

    def fork(self, *args: str | Path) -> list[str]:
        return [*forks().command("plaudit"), *map(str, args)]

    def __call__(self, *args: str | Path, timeout: float = 280, **options: Any) -> Done:
        if options.keys() - {"input"}:
            return super().__call__(*args, timeout=timeout, **options)
        return self._run(self.fork(*args), timeout, **options)


class Here(Forked):
    """Runs `plaudit` in the process of the tests, which spares a start; `start` spares none."""

    def __call__(self, *args: str | Path, timeout: float = 280, **options: Any) -> Done:
        if options:
            return super().__call__(*args, timeout=timeout, **options)
        with self._as_a_process(*args) as (out, err):
            try:
                main()
            except SystemExit as end:
                status = end.code or 0
        assert isinstance(status, int)
        return Done(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    @contextmanager
    def _as_a_process(self, *args: str | Path) -> Iterator[tuple[io.TextIOWrapper, ...]]:
        """Have its arguments, environment, folder and streams here, and its settings no longer."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with (
            _logging_and_signals_kept(),
            patch.object(sys, "argv", ["plaudit", *map(str, args)]),
            patch.dict(os.environ, self.env, clear=True),
            patch.object(Console, "_environ", os.environ),  # its width is that of COLUMNS
            chdir(self.folder),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            yield out, err


@contextmanager
def _logging_and_signals_kept() -> Iterator[None]:
    root, handled = logging.getLogger(), signal.getsignal(signal.SIGTERM)
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers = handlers
        root.setLevel(level)
        signal.signal(signal.SIGTERM, handled)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path
