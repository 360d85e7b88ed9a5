"""A stand-in of a provider with a batch API, running in a process of its own."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Self

from tests.support.waiting import wait_until

KEY = "secret-key-of-the-tests"
_VARIABLES = ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "TOGETHER")
KEYS = {f"{name}_API_KEY": KEY for name in _VARIABLES}
SCHEMES = ("openai", "anthropic", "gemini", "mistral", "together")
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

    @property
    def uri(self) -> str:
        port = (self.folder / "port").read_text()
        return f"{self.scheme}:m@http://127.0.0.1:{port}{_PATHS.get(self.scheme, '/v1')}"

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

    @property
    def created(self) -> list[int]:
        """Rows of each batch that was created."""
        return [line["rows"] for line in self.lines("created")]
