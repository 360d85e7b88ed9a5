"""Commands on Ray, run against a server that counts what it is asked."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pyarrow as arrow
import pyarrow.parquet as parquet

from tests.support.server import FakeOpenAI

SLOTS = 12
UNCOMMITTED = 100
"""Replies of the last tenth of a second, which a store may not have committed; busy disks lag."""


def answer(body: Any) -> str:
    label = "pos_praise" if row_of(body) % 3 else "neg_correction"
    return json.dumps({"rationale": "r", "label": label, "confidence": 0.9})


def row_of(body: Any) -> int:
    """The row that a request is about."""
    return int(str(body["messages"][-1]["content"]).split("row#")[1].split(" ")[0])


class Command:
    """`plaudit judge` on rows, in a folder of its own."""

    words = ("judge", "feedback")
    options = ("--readout", "json")

    def __init__(self, folder: Path, server: FakeOpenAI) -> None:
        self.folder, self.server = folder, server
        self.engine = f"openai:fake-model@{server.url}"
        self.source = folder / "rows.parquet"

    def rows(self, count: int, bad: tuple[int, ...] = ()) -> None:
        rows = [
            {"id": f"r{n}", "query": f"row#{n} ?", "answer": "a", "follow_up": "thanks"}
            for n in range(count)
        ]
        for n in bad:
            rows[n]["follow_up"] = " "
        parquet.write_table(arrow.Table.from_pylist(rows), self.source)

    def start(self, out: str, *options: str) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "plaudit", *self.words, str(self.source), "-o", out,
            "-e", self.engine, *self.options,
            "--concurrency", str(SLOTS), "--json", *options,
        ]  # fmt: skip
        env = os.environ | {"OPENAI_API_KEY": "k", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
        return subprocess.Popen(
            command, cwd=self.folder, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def on_ray(self, *options: str, address: str = "local") -> subprocess.Popen[str]:
        on = ("--ray", address, "--actors", "2", "--block-rows", "100", "--store", "ray.db")
        return self.start("out", *on, *options)

    def asked(self) -> Counter[int]:
        """How often each row was asked about."""
        return Counter(map(row_of, self.server.bodies))

    def repeated(self) -> int:
        asked = self.asked()
        return asked.total() - len(asked)

    def verdicts(self) -> list[dict[str, Any]]:
        parts = sorted((self.folder / "out").glob("part-*.parquet"))
        return [row for part in parts for row in parquet.read_table(part).to_pylist()]


def summary_of(process: subprocess.Popen[str], status: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, err
    return json.loads(out)


def processes_of(driver: int, name: str) -> list[psutil.Process]:
    found = psutil.Process(driver).children(recursive=True)
    return [one for one in found if name in " ".join(one.cmdline())]
