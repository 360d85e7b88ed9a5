"""A stand-in of a provider with a batch API, running in a process of its own."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

from tests.support.command import EXAMPLES, Done, Plaudit
from tests.support.waiting import wait_until

KEY = "secret-key-of-the-tests"
_VARIABLES = ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "TOGETHER")
KEYS = {f"{name}_API_KEY": KEY for name in _VARIABLES}
SCHEMES = ("openai", "anthropic", "gemini", "mistral", "together")
QUICK = ("--batch", "--batch-poll", "0.05", "--batch-settle", "0")
FEEDBACK = EXAMPLES / "feedback.jsonl"
_PATHS = {"anthropic": "", "gemini": "/v1beta/openai"}
_SERVER = Path(__file__).with_name("standin_batches.py")


class BatchProvider:
    """Starts the stand-in; `plan` changes how it behaves, at any time."""

    def __init__(self, scheme: str, folder: Path) -> None:
        self.scheme, self.folder = scheme, folder
        folder.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        command = [sys.executable, str(_SERVER), self.scheme, str(self.folder)]
        self._process = subprocess.Popen(command)
        wait_until((self.folder / "port").exists)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def reset(self) -> None:
        """Forget all files, batches and counts."""
        for path in self.folder.iterdir():
            if path.name != "port":
                path.unlink()
        urlopen(Request(f"http://127.0.0.1:{self._port}/reset", b"")).close()

    @property
    def _port(self) -> str:
        return (self.folder / "port").read_text()

    @property
    def uri(self) -> str:
        return f"{self.scheme}:m@http://127.0.0.1:{self._port}{_PATHS.get(self.scheme, '/v1')}"

    def plan(self, **behaviour: Any) -> None:
        new = self.folder / "plan.new"
        new.write_text(json.dumps(behaviour))
        new.rename(self.folder / "plan.json")

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def paid(self, how: str = "batch") -> Counter[str]:
        """How often each prompt was answered."""
        return Counter(line["prompt"] for line in self.lines("paid") if line["how"] == how)

    def steps(self) -> list[str]:
        """The step that each request was, in order."""
        return [line["step"] for line in self.lines("requests")]

    @property
    def created(self) -> list[int]:
        """Rows of each batch that was created."""
        return [line["rows"] for line in self.lines("created")]


def arguments(provider: BatchProvider, *more: str, rows: int = 6) -> tuple[str | Path, ...]:
    """Arguments of a command that judges rows in batches."""
    return (
        "judge", "feedback", FEEDBACK, "-e", provider.uri, "--readout", "json",
        "--limit", str(rows), "--json", *QUICK, *more,
    )  # fmt: skip


def feedback(run: Plaudit, provider: BatchProvider, *more: str, rows: int = 6) -> Done:
    """Judge rows in batches."""
    return run(*arguments(provider, *more, rows=rows))
