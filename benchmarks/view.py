"""Speed of `plaudit view` on a large file, each figure beside its target.

    scripts/bench view [--rows 1000000] [--folder DIR] [--write]

A file of verdicts is made first, of some 2 kB a row, and removed at the end unless `--folder` keeps
it. Then `plaudit view` runs as a process of its own, with an empty cache folder, and is asked over
HTTP as a browser asks it:

- index: the file's MB over the seconds from the start of the process to the first table. The file
  was written just before, so it comes from the memory of the system;
- first page: a second process, with the index kept: the first table, from the request on;
- next page, one verdict: the median of 20 each, at places all over the file;
- filter: the median of 8 filters of columns, none asked before;
- text: the first answer of a search whose text 1 row in 5,000 has, and of one that no row has;
- memory: what is resident in the second process at its most, after all of that; parts of the index
  that are mapped from its files count too. `private` is without them, and `indexing` is the most of
  the first process.

The last line is JSON; `--write` writes it to benchmarks/results/view.json.
"""

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psutil
from throughput import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "view.json"
WORDS = ("river", "carries", "sand", "water", "town", "spring", "bridge", "market", "early", "slow")
VALUES = ("neg_correction", "neg_confusion", "neutral", "pos_progress", "pos_praise")
TARGETS = {
    "index_mb_s": 50.0,
    "first_page_ms": 300.0,
    "next_page_ms": 50.0,
    "one_verdict_ms": 50.0,
    "filter_ms": 1000.0,
    "text_ms": 1000.0,
    "memory_mb": 300.0,
}
MORE_IS_BETTER = ("index_mb_s",)


def make_rows(path: Path, count: int) -> None:
    """Write verdicts as `plaudit judge` writes them, of made-up texts."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=110)) for _ in range(500)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            value, reward = draw.choice(VALUES), round(draw.uniform(-1, 1), 6)
            ok = draw.random() < 0.8
            row: dict[str, Any] = {
                "index": number,
                "id": f"sample-{number}",
                "status": "ok" if ok else "abstained",
                "value": value,
                "reward": reward if ok else None,
                "confidence": round(draw.random(), 6),
                "probabilities": {one: round(draw.random(), 6) for one in VALUES},
                "fields": {"expected_reward": reward, "raw_confidence": round(draw.random(), 6)},
                "usage": {"input_tokens": 1100, "output_tokens": 1},
                "judge": "feedback/0123456789ab",
                "error": None if ok else {"cause": "below_gate", "message": "below", "attempts": 1},
                "metadata": {"label": draw.choice(VALUES)},
                "input": {
                    "query": draw.choice(texts),
                    "answer": draw.choice(texts),
                    "follow_up": "quince" if number % 5_000 == 4_999 else draw.choice(WORDS),
                },
            }
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


class Viewer:
    """A process of `plaudit view`, asked over one connection."""

    def __init__(self, path: Path, home: Path) -> None:
        self.started = time.perf_counter()
        command = [sys.executable, "-m", "plaudit", "view", path.name, "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--annotator", "ada"],
            env=os.environ | {"PLAUDIT_CACHE": str(home / "cache"), "PLAUDIT_HOME": str(home)},
            cwd=path.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        url = re.search(r"http://\S+", self.process.stdout.readline())
        assert url is not None
        parts = urlsplit(url[0])
        self.path = parts.path
        self.origin, self.query = f"http://{parts.netloc}", parts.query
        self.connection = HTTPConnection(parts.netloc, timeout=600)
        self.connection.request("GET", f"{parts.path}?{parts.query}")
        reply = self.connection.getresponse()
        reply.read()
        cookie = reply.headers["Set-Cookie"].partition(";")[0]
        self.headers = {"Cookie": cookie}

    def get(self, path: str) -> str:
        """Return a page of the file."""
        self.connection.request("GET", self.path + path, headers=self.headers)
        reply = self.connection.getresponse()
        text = reply.read().decode()
        assert reply.status == 200, text
        return text

    def address(self, path: str) -> str:
        """Return a URL with which a browser may come first."""
        return f"{self.origin}{path}?{self.query}"

    def close(self) -> None:
        """End the process."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def timed(self, path: str) -> float:
        """Return the milliseconds that a page takes."""
        start = time.perf_counter()
        self.get(path)
        return 1e3 * (time.perf_counter() - start)

    def memory(self) -> dict[str, float]:
        """Return MB that are resident, and of them those that no file holds."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = dict(re.findall(r"^(VmHWM|RssAnon):\s+(\d+) kB$", text, re.MULTILINE))
        return {
            "memory_mb": int(found["VmHWM"]) * 1024 / 1e6,
            "private_mb": int(found["RssAnon"]) * 1024 / 1e6,
        }


@contextmanager
def viewing(path: Path, home: Path) -> Iterator[Viewer]:
    """Run a viewer."""
    viewer = Viewer(path, home)
    try:
        yield viewer
    finally:
        viewer.close()


def measure(path: Path, rows: int, home: Path) -> dict[str, float]:
    """Return the figures of a file."""
    with viewing(path, home) as viewer:
        while "The file is read once" in viewer.get(""):
            time.sleep(0.05)
        index_s = time.perf_counter() - viewer.started
        indexing = viewer.memory()["memory_mb"]
    draw = random.Random(1)
    places = [draw.randrange(rows - 60) for _ in range(20)]
    filters = [
        "status=ok", "value=neutral", "reward=0.2..0.3", "agrees=no", "confidence=0.9..&status=ok",
        "value=pos_praise&reward=..-0.5", "cause=below_gate", "label=neutral&agrees=yes",
    ]  # fmt: skip
    with viewing(path, home) as viewer:
        first = viewer.timed("")
        found = {
            "index_mb_s": path.stat().st_size / 1e6 / index_s,
            "index_s": index_s,
            "indexing_memory_mb": indexing,
            "first_page_ms": first,
            "next_page_ms": statistics.median(viewer.timed(f"?after={at}") for at in places),
            "one_verdict_ms": statistics.median(viewer.timed(f"/{at}") for at in places),
            "filter_ms": statistics.median(viewer.timed(f"?{one}") for one in filters),
            "slowest_filter_ms": max(viewer.timed(f"?{one}&sort=reward") for one in filters),
            "text_ms": max(viewer.timed(f"?text={quote(one)}") for one in ("quince", "nowhere")),
        }
        return found | viewer.memory()


def table(found: dict[str, float]) -> str:
    """Return the figures beside their targets."""
    lines = ["| figure | measured | target |", "|---|---|---|"]
    for name, target in TARGETS.items():
        sign = "at least" if name in MORE_IS_BETTER else "under"
        lines.append(f"| {name} | {found[name]:.1f} | {sign} {target:g} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = (options.folder or Path(temporary)) / f"verdicts-{options.rows}.jsonl"
        if not path.exists():
            make_rows(path, options.rows)
        found = measure(path, options.rows, Path(temporary))
        about = {"rows": options.rows, "mb": path.stat().st_size / 1e6, "cores": psutil.cpu_count()}
    print(table(found))
    figures = {name: round(value, 2) for name, value in (about | found).items()}
    result = json.dumps({"machine": machine(), "figures": figures, "targets": TARGETS}, indent=2)
    if options.write:
        RESULTS.write_text(result + "\n", encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
