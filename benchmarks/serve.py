"""Requests a second of the reward server, beside a bare aiohttp and msgspec echo; its latencies.

    scripts/bench serve [--requests 20000] [--rounds 5] [--memory 1000000] [--json] [--write]

Both servers are one process, and get the same bodies: one row of 4 KB, no two of them equal.

- measures: two rewards of `plaudit serve` that read the row alone, `format` and `length`;
- graded: `examples/rewards.toml`, whose `correctness` compares the answer by rules;
- stored: a pointwise judge that answered these rows before, and has their replies in its store;
- echo: decodes the body and sends it back (`echo_server.py`).

Rounds alternate, with 64 requests in flight, and medians are given, since shared machines are
noisy. `ratio` is the rate of plaudit by that of the echo, `cpu_ratio` the echo's CPU time a request
by that of plaudit.

Latencies are given for the echo too, since a busy machine holds up both:

- open: the 99th percentile where requests come at random times, at half the measured rate; a
  request's time begins when it is due, whatever came of those before it;
- crowd: the 99th percentile with 500 requests in flight, by 500 / rate;
- memory: resident memory of the server while it answers so many requests;
- processes: the rate of `--processes 2` by that of one process. The client keeps one core busy, so
  two processes gain by what is left of the others.

The last line is JSON.
"""

import argparse
import contextlib
import itertools
import json
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import uvloop
from http_load import Load, closed_loop, open_loop, request
from judge import ROOT, usual_environment
from throughput import machine

RESULTS = ROOT / "benchmarks" / "results" / "serve.json"
IN_FLIGHT, CROWD = 64, 500
GROUP = 8
"""Rows in a row that answer one question, as trainers draw them."""
STORED = 5000
"""Rows whose replies are stored."""
SPEC = """
[serve.measures]
rewards = "{folder}/measures.toml"

[serve.graded]
rewards = "{examples}/rewards.toml"

[serve.stored]
judge = "pointwise"
engine = "scripted:{script}"
readout = "json"
"""
MEASURES = """
[rewards.format]
calls = "optional"
[rewards.length]
weight = 0.1
"""
REPLY = {
    "intent": "A number.", "checklist": ["is right"], "strengths": ["right"],
    "weaknesses": ["short"], "score": 9,
}  # fmt: skip
KINDS = ("measures", "graded", "stored")


class Server(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    @property
    def cpu(self) -> float:
        """CPU seconds so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


@contextlib.contextmanager
def running(*command: str, **environment: str) -> Iterator[Server]:
    """Run a server; it says its address on standard error, or is given its port."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env=usual_environment() | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = re.search(r":(\d+)$", line.strip())
        if not (port or line == "ready\n"):
            raise SystemExit(f"{command}: {line}{process.stderr.read()}")
        yield Server(process, int(port[1]) if port else int(command[-1]))
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def plaudit(folder: Path, *options: str) -> Iterator[Server]:
    """Serve all rewards."""
    script = folder / "script.jsonl"
    script.write_text(json.dumps({"match": {}, "replies": [{"text": json.dumps(REPLY)}]}) + "\n")
    spec = folder / "spec.toml"
    (folder / "measures.toml").write_text(MEASURES)
    spec.write_text(SPEC.format(folder=folder, examples=ROOT / "examples", script=script))
    command = ("-m", "plaudit", "serve", str(spec), "--port", "0", "--quiet", *options)
    with running(*command, PLAUDIT_HOME=str(folder)) as server:
        yield server


@contextlib.contextmanager
def echo() -> Iterator[Server]:
    """Serve the echo."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with running(str(ROOT / "benchmarks" / "echo_server.py"), str(port)) as server:
        yield server


def bodies(name: str, first: int = 0) -> Iterator[bytes]:
    """Yield requests, endless; those of `stored` come again after a while."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=n % 9 + 2)) for n in range(500)]
    text = " ".join(draw.choices(words, k=1000))
    numbers = itertools.count(first)
    for n in itertools.cycle(range(STORED)) if name == "stored" else numbers:
        row = {
            "prompt": f"{n // GROUP} {text[:1000]} What is 12 + 30?",
            "completion": f"<think>{text[:2880]}</think>The answer is {42 + n % 2}.",
            "answer": "42",
            "id": f"row {n}",
        }
        yield request(f"/v1/score/{name}", json.dumps(row).encode())


class Measured(NamedTuple):
    """A load, and the server's CPU time a request."""

    load: Load
    cpu_us: float


def measure(server: Server, name: str, requests: int, in_flight: int = IN_FLIGHT) -> Measured:
    """Measure as many requests as the server answers."""
    taken = iter(list(itertools.islice(bodies(name), requests)))
    before = server.cpu
    load = uvloop.run(closed_loop(server.port, taken, requests, in_flight))
    return Measured(_answered(load), (server.cpu - before) / requests * 1e6)


def _answered(load: Load) -> Load:
    if load.statuses.keys() != {"200"}:
        raise SystemExit(f"not all requests were answered: {load.statuses}")
    return load


def compare(ours: Server, theirs: Server, name: str, requests: int, rounds: int) -> dict[str, Any]:
    """Measure one of our rewards and the echo by turns."""
    taken: list[tuple[Measured, Measured]] = []
    measure(ours, name, STORED)  # Warm, and for `stored` once around.
    for _ in range(rounds):
        taken.append((measure(ours, name, requests), measure(theirs, "echo", requests)))
        note(name, *(f"{one.load.rate:.0f}/s {one.cpu_us:.0f} us" for one in taken[-1]))
    return {
        "ratio": _median(own.load.rate / other.load.rate for own, other in taken),
        "cpu_ratio": _median(other.cpu_us / own.cpu_us for own, other in taken),
        "requests_a_second": round(_median(own.load.rate for own, _ in taken)),
        "echo_requests_a_second": round(_median(other.load.rate for _, other in taken)),
        "cpu_us": _median(own.cpu_us for own, _ in taken),
        "echo_cpu_us": _median(other.cpu_us for _, other in taken),
    }


def latencies(server: Server, name: str, requests: int, rate: float) -> dict[str, Any]:
    """Measure an open loop at half a server's rate, and a crowd."""
    taken = iter(list(itertools.islice(bodies(name), requests)))
    calm = _answered(uvloop.run(open_loop(server.port, taken, requests, rate / 2)))
    crowd = measure(server, name, requests, CROWD).load
    return {
        "open_rate": round(calm.rate),
        "open_p50_ms": _ms(calm.quantile(0.5)),
        "open_p99_ms": _ms(calm.quantile(0.99)),
        "crowd_p99_ms": _ms(crowd.quantile(0.99)),
        "crowd_p99_by_500_over_rate": round(crowd.quantile(0.99) / (CROWD / crowd.rate), 3),
    }


def processes(one: Server, folder: Path, requests: int, rounds: int) -> dict[str, Any]:
    """Measure one process and two by turns."""
    rates: list[tuple[float, float]] = []
    with plaudit(folder, "--processes", "2") as two:
        measure(two, "graded", STORED)
        for _ in range(rounds):
            found = [measure(server, "graded", requests).load.rate for server in (one, two)]
            rates.append((found[0], found[1]))
            note("processes", *(f"{rate:.0f}/s" for rate in found))
    return {
        "cores": psutil.cpu_count(),
        "one": round(_median(rate for rate, _ in rates)),
        "two": round(_median(rate for _, rate in rates)),
        "two_by_one": _median(two / one for one, two in rates),
    }


def memory(server: Server, requests: int) -> dict[str, Any]:
    """Watch the server's memory over many requests, a tenth at a time."""
    taken, sizes = bodies("measures"), [server.megabytes]
    for _ in range(10):
        part = requests // 10
        _answered(uvloop.run(closed_loop(server.port, taken, part, IN_FLIGHT)))
        sizes.append(server.megabytes)
        note("memory", f"{sizes[-1]:.1f} MB")
    return {
        "requests": requests,
        "mb_by_tenth": [round(size, 1) for size in sizes],
        "growth_after_first_tenth_mb": round(sizes[-1] - sizes[1], 1),
    }


def _median(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def note(*words: object) -> None:
    """Say how far it is."""
    print(*words, file=sys.stderr, flush=True)


def main() -> None:
    """Run what was asked for; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5, help="0 leaves rates and latencies out")
    parser.add_argument("--memory", type=int, default=0, help="requests; 0 leaves it out")
    parser.add_argument(
        "--write", action="store_true", help=f"write what was measured into {RESULTS.name}"
    )
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, plaudit(Path(name)) as ours, echo() as theirs:
        if options.rounds:
            report |= rates(ours, theirs, Path(name), options.requests, options.rounds)
        if options.memory:
            report["memory"] = memory(ours, options.memory)
    if not options.json:
        show(report)
    print(json.dumps(report))
    if options.write:
        before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(before | report, indent=2) + "\n")


def rates(ours: Server, theirs: Server, folder: Path, requests: int, rounds: int) -> dict[str, Any]:
    """Measure rates and latencies of each reward, and of two processes."""
    report: dict[str, Any] = {"row_bytes": len(next(bodies("measures"))), "rounds": rounds}
    for kind in KINDS:
        found = compare(ours, theirs, kind, requests, rounds)
        found |= latencies(ours, kind, requests, found["requests_a_second"])
        same = latencies(theirs, "echo", requests, found["echo_requests_a_second"])
        report[kind] = found | {f"echo_{name}": value for name, value in same.items()}
    report["processes"] = processes(ours, folder, requests, rounds)
    return report | {"requests": requests, "machine": machine()}


def show(report: dict[str, Any]) -> None:
    """Print the figures in a few lines."""
    for kind in (kind for kind in KINDS if kind in report):
        one = report[kind]
        print(
            f"{kind}: {one['requests_a_second']:,} requests/s, {one['ratio']} of the echo's "
            f"({one['cpu_ratio']} by CPU time); p99 {one['open_p99_ms']} ms at half of that, the "
            f"echo's {one['echo_open_p99_ms']}; with {CROWD} in flight p99 "
            f"{one['crowd_p99_by_500_over_rate']} x {CROWD} / rate, the echo's "
            f"{one['echo_crowd_p99_by_500_over_rate']}"
        )
    if "processes" in report:
        one = report["processes"]
        print(f"two processes: {one['two_by_one']} of one's rate, on {one['cores']} cores")
    if "memory" in report:
        one = report["memory"]
        print(f"memory over {one['requests']:,} requests: {one['mb_by_tenth']} MB")


if __name__ == "__main__":
    main()
