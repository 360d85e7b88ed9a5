"""Judged samples a second in one process and in several, against a static nginx and from the store.

    scripts/bench scale [--samples 40000] [--processes 2] [--rounds 3] [--write]

The same command with `--processes 1` and `--processes N`, in turn; then again, from the store. The
output of both must be the same bytes. No process is bound to a core.

- samples_a_second: from the start of the command to its end, so with the start of all processes;
- cpu_us: CPU time a sample of all processes of the command;
- parent_us: of it, that of the process that reads and writes, which is one however many judge;
- free: cores that other work left to the command, out of those of the machine: at most
  `free / busy` of the speed can be reached, where `busy` is the cores that the command keeps busy;
- on_free_cores: the ratio of speed that the CPU times allow where each process has its own core.

- puts_a_second: replies that one process can commit to one store file.

Medians of the rounds are given. nginx takes CPU time of the same cores, and other work too.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from judge import ROOT, usual_environment, write_rows
from throughput import machine, nginx

from plaudit.engines.base import Completion
from plaudit.store.store import Store

RESULTS = ROOT / "benchmarks" / "results" / "scale.json"
MAIN = """
import json, resource, sys
from plaudit.cli import main
path = sys.argv.pop(1)
try:
    main()
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    with open(path, "w") as out:
        json.dump([one.ru_utime + one.ru_stime for one in used], out)
"""


def judge(home: Path, rows: Path, engine: str, processes: int) -> dict[str, Any]:
    """Run the command; return its speed and its CPU times."""
    used, out = home / "used.json", home / "out.jsonl"
    how = ["--readout", "json", "--prior", "none", "--gate", "0", "--json", "-o", str(out)]
    command = [sys.executable, "-c", MAIN, str(used), "judge", "feedback", str(rows), "-e", engine]
    command += [*how, "--processes", str(processes)]
    env = usual_environment() | {"PLAUDIT_HOME": str(home)}
    started, before = time.perf_counter(), psutil.cpu_times()
    text = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, after = time.perf_counter() - started, psutil.cpu_times()
    done, (own, children) = json.loads(text.splitlines()[-1]), json.loads(used.read_text())
    idle = after.idle - before.idle
    samples = done["samples"]
    return {
        "engine_calls": done["engine_calls"],
        "samples_a_second": samples / seconds,
        "cpu_us": (own + children) / samples * 1e6,
        "parent_us": own / samples * 1e6,
        "busy": (own + children) / seconds,
        "free": (own + children + idle) / seconds,
        "digest": hashlib.blake2b(out.read_bytes()).hexdigest(),
    }


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure both numbers of processes in turn, live and from the store."""
    rows = write_rows(folder / "rows.jsonl", options.samples, 1500)
    found: dict[str, list[dict[str, Any]]] = {}
    with nginx(folder / "nginx", "json") as url:
        engine = f"openai:static@{url}"
        for number in range(options.rounds):
            for processes in (1, options.processes):
                home = folder / f"{number}-{processes}"
                home.mkdir()
                for what in ("live", "cached"):
                    one = judge(home, rows, engine, processes)
                    assert bool(one["engine_calls"]) == (what == "live")
                    found.setdefault(f"{what}_{processes}", []).append(one)
                    print(what, processes, {k: one[k] for k in SHOWN}, file=sys.stderr)
                shutil.rmtree(home)
    assert len({one["digest"] for several in found.values() for one in several}) == 1
    return {
        name: {key: round(statistics.median(one[key] for one in several), 3) for key in SHOWN}
        for name, several in found.items()
    }


def puts(folder: Path, count: int = 200_000) -> float:
    """Return the replies of 300 characters that one process commits a second, and no other."""
    reply = Completion(text="x" * 300)
    with Store(folder / "puts.sqlite") as store:
        started = time.perf_counter()
        for number in range(count):
            store.put_reply(hashlib.blake2b(b"%d" % number, digest_size=16).digest(), reply)
        store.flush()
        return round(count / (time.perf_counter() - started), 1)


SHOWN = ("samples_a_second", "cpu_us", "parent_us", "busy", "free")


def compared(found: dict[str, Any], processes: int) -> dict[str, Any]:
    """Return what several processes gain over one."""
    gained: dict[str, Any] = {}
    for what in ("live", "cached"):
        one, several = found[f"{what}_1"], found[f"{what}_{processes}"]
        workers = (several["cpu_us"] - several["parent_us"]) / processes
        slowest = max(workers, several["parent_us"])
        gained[what] = {
            "ratio": round(several["samples_a_second"] / one["samples_a_second"], 3),
            "on_free_cores": round(one["cpu_us"] / slowest, 3),
            "cpu": round(several["cpu_us"] / one["cpu_us"], 3),
        }
    return gained


def main() -> None:
    """Run what was asked for; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory() as name:
        stored = puts(Path(name))
        found = measure(Path(name), options)
    report = {
        "samples": options.samples,
        "processes": options.processes,
        "rounds": options.rounds,
        "gained": compared(found, options.processes),
        "puts_a_second": stored,
        **found,
        "machine": machine() | {"load_at_start": load},
    }
    print(json.dumps(report))
    if options.write:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
