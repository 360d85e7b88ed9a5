"""What Ray costs a row: CPU seconds of a run on Ray, beside the same run in one process.

    scripts/bench ray_overhead [--rows 100000] [--actors 2] [--save]

The judge is `verify` on `none:`, which asks no model, and rows are tiny; so what is measured is
reading, cutting, Ray, and writing parts. CPU seconds are those of the command and of all processes
below it, Ray's own among them.

- start: the run of one block, which is mostly the start of Ray;
- local: CPU seconds of `plaudit judge verify` without Ray;
- overhead: what the run on Ray took more than its start and than the local run. Where that is
  nothing or less, the run on Ray did the rows in fewer CPU seconds than the local one;
- rows a CPU second: rows over all CPU seconds of the run on Ray but those of its start;
- limiter: microseconds of a call of the book of leases, with 64 actors and both rates limited;
- bytes of a part and of its note a row, and of a store a reply of 300 characters.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as arrow
import pyarrow.parquet as parquet

from plaudit.engines.base import Completion
from plaudit.sending.leases import Ask, LeaseBook
from plaudit.store.store import Store
from plaudit.types import Usage

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "ray_overhead.json"
LOOK_S = 0.1


def run(folder: Path, source: Path, out: str, *options: str) -> dict[str, Any]:
    """Run a judge; return its seconds and CPU seconds."""
    command = [sys.executable, "-m", "plaudit", "judge", "verify", str(source), "-e", "none:"]
    command += ["-o", str(folder / out), "--store", str(folder / f"{out}.db"), "--json", *options]
    began, spent = time.perf_counter(), dict[int, float]()
    with (folder / "stdout").open("w+") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            note_cpu(psutil.Process(process.pid), spent)
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - began
        stdout.seek(0)
        done = json.loads(stdout.read().splitlines()[-1])
    return {"rows": done["samples"], "seconds": seconds, "cpu_seconds": sum(spent.values())}


def note_cpu(process: psutil.Process, spent: dict[int, float]) -> None:
    """Note the CPU seconds so far of a process and of all below it."""
    with suppress(psutil.NoSuchProcess):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system


def write_rows(path: Path, count: int) -> None:
    rows = [
        {"id": str(n), "question": "2+2?", "answer": str(n % 9), "reference": "4"}
        for n in range(count)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), path, row_group_size=100_000)


def limiter_us() -> float:
    """Return the microseconds of a call of the limiter's book, with 64 actors that want more."""
    book, held, rounds = LeaseBook(6400, 600_000, 10**9), dict.fromkeys(range(64), 0), 50
    began = time.perf_counter()
    for _ in range(rounds):
        for actor, slots in held.items():
            ask = Ask(
                holder=str(actor),
                held={"url": slots},
                using={"url": slots},
                wanted={"url": 200},
                requests=50.0,
                tokens=20_000.0,
            )
            held[actor] = book.ask(ask).slots["url"]
    return 1e6 * (time.perf_counter() - began) / rounds / len(held)


def store_bytes(folder: Path) -> float:
    """Return the bytes of a store a reply of 300 characters."""
    count, path = 20_000, folder / "replies.db"
    with Store(path) as store:
        for n in range(count):
            text = f"{n} {random.Random(n).randbytes(150).hex()}"[:300]
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            store.put_reply(key, Completion(text=text, usage=Usage(400, 60)))
    return size(path.parent.glob(f"{path.name}*")) / count


def size(files: Iterable[Path]) -> int:
    """Return the bytes of files."""
    return sum(file.stat().st_size for file in files)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--save", action="store_true", help="write the result to commit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = folder / "few.parquet", folder / "many.parquet"
        write_rows(few, 100)
        write_rows(many, given.rows)
        on = ("--ray", "local", "--actors", str(given.actors))
        start = run(folder, few, "start", *on)
        local = run(folder, many, "local.parquet")
        cluster = run(folder, many, "parts", *on)
        again = run(folder, many, "parts", *on)
        parts = size((folder / "parts").glob("*.parquet"))
        notes = size((folder / "parts" / ".parts").iterdir())
        replies = store_bytes(folder)
    work = cluster["cpu_seconds"] - start["cpu_seconds"]
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "actors": given.actors,
        "start": start,
        "local": local,
        "ray": cluster,
        "again": again,
        "rows_a_cpu_second": round(given.rows / work),
        "overhead_us_a_row": round(1e6 * (work - local["cpu_seconds"]) / given.rows, 1),
        "limiter_us_a_call": round(limiter_us(), 1),
        "part_bytes_a_row": round(parts / given.rows, 1),
        "note_bytes_a_block": round(2_000 * notes / given.rows),
        "store_bytes_a_reply": round(replies),
    }
    text = json.dumps(found, indent=2)
    if given.save:
        RESULTS.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
