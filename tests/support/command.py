"""The command line as a user runs it: a real process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "VLLM_API_KEY", "TOGETHER_API_KEY")


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

    def __init__(self, home: Path, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        clean = {k: v for k, v in os.environ.items() if k not in KEYS}
        self.env = clean | {"PLAUDIT_HOME": str(home), "COLUMNS": "120"} | dict(env or {})

    def command(self, *args: str | Path) -> list[str]:
        return [sys.executable, "-m", "plaudit", *map(str, args)]

    def start(self, *args: str | Path, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*args),
            env=self.env,
            text=True,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def __call__(self, *args: str | Path, timeout: float = 280, **options: Any) -> Done:
        done = subprocess.run(
            self.command(*args),
            env=self.env,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            timeout=timeout,
            check=False,
            **options,
        )
        return Done(done.returncode, done.stdout, done.stderr)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return path
