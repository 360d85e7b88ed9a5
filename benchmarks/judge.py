"""Judged samples a second from the process's start to its output written, and peak memory.

    scripts/bench judge [--embedded 40] [--static 20000] [--memory 1000000] [--json FILE]

- embedded: the feedback judge on the embedded model, with the shared prompt prefix kept in cache
  and without (`local?prefix=off`), on the same rows in the same run.
- static: a server of our own that answers every request with the same bytes, in both readouts, with
  100 requests in flight and the store on; then the same command again, answered from the store.
- memory: peak resident memory for 10,000 rows and for many more, answered by a script.

Figures of one run on one machine are ratios between its own lines; do not compare them across runs.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PRAISE = json.dumps({"rationale": "r", "label": "pos_praise", "confidence": 0.9})


def judge(home: Path, *args: str, prefix: Sequence[str] = ()) -> dict[str, Any]:
    """Run `plaudit judge feedback` as a process; return its summary, seconds and peak memory."""
    command = [*prefix, sys.executable, "-m", "plaudit", "judge", "feedback", *args, "--json"]
    command += ["-o", str(home / "out.jsonl")]
    env = usual_environment() | {"PLAUDIT_HOME": str(home)}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    done = json.loads(text.splitlines()[-1])
    return {
        "samples": done["samples"],
        "ok": done["ok"],
        "engine_calls": done["engine_calls"],
        "seconds": round(seconds, 2),
        "samples_a_second": round(done["samples"] / seconds, 1),
        "cpu_us_a_sample": round((usage.ru_utime + usage.ru_stime) / done["samples"] * 1e6, 1),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def usual_environment() -> dict[str, str]:
    """Return the environment, in which Python keeps what it has compiled, as it usually does."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def write_rows(path: Path, count: int, size: int = 1200) -> Path:
    """Write distinct feedback rows of about `size` characters."""
    filler = "lorem ipsum dolor sit amet " * (size // 54)
    with path.open("w") as out:
        for n in range(count):
            row = {"query": f"{n} {filler}", "answer": f"{n} {filler}", "follow_up": f"ok {n}"}
            out.write(json.dumps(row) + "\n")
    return path


@contextlib.contextmanager
def static_server(kind: str) -> Iterator[str]:
    """Serve static replies from a process of its own; yield the base URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = ROOT / "benchmarks" / "static_server.py"
    command = [sys.executable, str(script), str(port), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def embedded(folder: Path, count: int) -> dict[str, Any]:
    """Measure the embedded engine with and without the shared prefix kept in cache."""
    source = str(write_rows(folder / "embedded.jsonl", count, 200))
    found = {}
    for name, engine in (("prefix_kept", "local"), ("prefix_off", "local?prefix=off")):
        home = folder / name
        home.mkdir()
        found[name] = judge(home, source, "--engine", engine)
    kept, off = found["prefix_kept"], found["prefix_off"]
    found["ratio"] = round(kept["samples_a_second"] / off["samples_a_second"], 2)
    return found


def static(folder: Path, count: int) -> dict[str, Any]:
    """Measure a static server in both readouts, and the same again from the store."""
    source = str(write_rows(folder / "static.jsonl", count))
    found: dict[str, Any] = {}
    for kind in ("json", "logprob"):
        home = folder / f"static-{kind}"
        home.mkdir()
        with static_server(kind) as url:
            args = (source, "--engine", f"openai:static@{url}?logprobs=20", "--readout", kind)
            found[kind] = judge(home, *args, "--prior", "none", "--gate", "0")
            found[f"{kind}_from_store"] = judge(home, *args, "--prior", "none", "--gate", "0")
    return found


def memory(folder: Path, count: int) -> dict[str, Any]:
    """Measure peak memory for 10,000 rows and for `count`."""
    script = folder / "script.jsonl"
    script.write_text(json.dumps({"match": {}, "replies": [{"text": PRAISE}]}) + "\n")
    found: dict[str, Any] = {}
    for rows in (10_000, count):
        home = folder / f"memory-{rows}"
        home.mkdir()
        source = str(write_rows(home / "rows.jsonl", rows, 300))
        found[str(rows)] = judge(home, source, "--engine", f"scripted:{script}")
    small, large = found["10000"], found[str(count)]
    found["growth_mb"] = round(large["peak_mb"] - small["peak_mb"], 1)
    return found


def main() -> None:
    """Run what was asked for, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedded", type=int, default=40, help="rows; 0 leaves it out")
    parser.add_argument("--static", type=int, default=20_000, help="rows; 0 leaves it out")
    parser.add_argument("--memory", type=int, default=0, help="rows; 0 leaves it out")
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for measure, rows in (
            (embedded, options.embedded),
            (static, options.static),
            (memory, options.memory),
        ):
            if rows:
                found[measure.__name__] = measure(folder, rows)
                print(measure.__name__, json.dumps(found[measure.__name__]), file=sys.stderr)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["benchmark_itself_mb"] = round(own, 1)
    text = json.dumps(found, indent=1)
    print(text)
    if options.json:
        Path(options.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
