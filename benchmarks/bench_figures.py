"""Figures and intervals of a million stored verdicts, beside the bare decoding of their lines.

    scripts/bench bench_figures [--verdicts 1000000] [--subsets 20] [--rounds 3] [--write]

- figures: verdicts of pairs in both orders, with label, subset and what was judged, are read from
  JSON Lines (`outcomes_of_file`) and measured (`measure_outcomes`): all figures of all subsets.
  Intervals are cluster-robust, since four pairs share a prompt;
- decode: `msgspec.json.decode` of each of the same lines into plain objects, and nothing else.
  `ratio` is its time by that of the figures, both in seconds of the processor.

Each round is a process of its own, so that the peak of its memory is its own; both alternate, and
medians are given, since shared machines are noisy: `seconds` are those of the clock on the wall,
`cpu_seconds` those that the processor worked. The last line is JSON.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from throughput import machine

from plaudit.bench.figures import measure_outcomes
from plaudit.bench.outcomes import outcomes_of_file
from plaudit.errors import Cause
from plaudit.types import Failure, Usage, Verdict

RESULTS = Path(__file__).parent / "results" / "bench_figures.json"
TARGETS = {"seconds": 20, "megabytes": 400}
WORDS = ["the", "answer", "names", "a", "reason", "and", "leaves", "out", "its", "source", "here"]
SHARED = 4
"""Pairs of one prompt."""


def verdicts(count: int, subsets: int, seed: int) -> Iterator[Verdict]:
    """Draw verdicts of a judge that is right on most pairs, and leans to the first place."""
    source = random.Random(seed)

    def text(words: int) -> str:
        return " ".join(source.choices(WORDS, k=words))

    prompt = ""
    for number in range(count):
        if number % SHARED == 0:
            prompt = text(15)
        label = source.choice("AB")
        status = source.choices(("ok", "abstained", "invalid"), (85, 13, 2))[0]
        judged = Verdict(
            index=number,
            id=f"pair-{number}",
            status=status,
            judge="pairwise/0123456789ab",
            usage=Usage(420, 2),
            metadata={"label": label, "subset": f"subset-{number * subsets // count}"},
            input={"prompt": prompt, "response_a": text(30), "response_b": text(30)},
            raw=["first", "second"],
        )
        yield _said(judged, source, label) if status != "invalid" else _unread(judged)


def _said(verdict: Verdict, source: random.Random, label: str) -> Verdict:
    lean = min(max(source.gauss(0.66, 0.2), 0.001), 0.999)
    bias = source.gauss(0.05, 0.1)
    orders = [min(max((lean if label == "A" else 1 - lean) + b, 0.0), 1.0) for b in (bias, -bias)]
    p_a = sum(orders) / 2
    value, confidence = "A" if p_a > 0.5 else "B", max(p_a, 1 - p_a)
    abstained = verdict.status == "abstained"
    shown = [
        {"value": "A" if p > 0.5 else "B", "probabilities": _pair(p), "p_a": p} for p in orders
    ]
    why = Failure(Cause.BELOW_GATE, "confidence 0.55 is under the gate of 0.6")
    return msgspec.structs.replace(
        verdict,
        value=value,
        reward=None if abstained else 2 * p_a - 1,
        confidence=confidence,
        probabilities=_pair(p_a),
        fields={"p_a": p_a, "order_gap": abs(orders[0] - orders[1]), "orders": shown},
        error=why if abstained else None,
    )


def _pair(p_a: float) -> dict[str, float]:
    return {"A": p_a, "B": 1 - p_a, "A=B": 0.0}


def _unread(verdict: Verdict) -> Verdict:
    why = Failure(Cause.UNPARSEABLE, "the reply holds none of the options")
    return msgspec.structs.replace(verdict, error=why)


def write(path: Path, count: int, subsets: int, seed: int) -> None:
    """Write the file that is measured."""
    encode = msgspec.json.encode
    with path.open("wb") as file:
        for verdict in verdicts(count, subsets, seed):
            file.write(encode(verdict) + b"\n")


def measure(path: Path) -> dict[str, Any]:
    """Read and measure."""
    measured = measure_outcomes(outcomes_of_file(path, "pairwise"))
    overall = measured.overall
    return {
        "samples": overall.counts.samples,
        "subsets": len(measured.subsets),
        "figures": sum(len(one.figures) for one in (overall, *measured.subsets)),
        "accuracy": [overall.figures["accuracy"].low, overall.figures["accuracy"].high],
    }


def decode(path: Path) -> dict[str, Any]:
    """Decode each line into plain objects."""
    with path.open("rb") as file:
        return {"samples": sum(1 for line in file if msgspec.json.decode(line))}


WORK = {"figures": measure, "decode": decode}


def in_process(work: str, path: Path) -> dict[str, Any]:
    """Do one round in a process of its own."""
    command = [sys.executable, __file__, "--work", work, "--file", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def work_here(work: str, path: Path) -> None:
    """Do one round in this process, and print what it took."""
    began, busy = time.perf_counter(), time.process_time()
    found = WORK[work](path)
    spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - busy}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024 if sys.platform != "darwin" else 1024**2
    print(json.dumps(found | spent | {"megabytes": peak / unit}))


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Make the file, and measure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "verdicts.jsonl"
        write(path, options.verdicts, options.subsets, options.seed)
        size = path.stat().st_size
        rounds = [{work: in_process(work, path) for work in WORK} for _ in range(options.rounds)]
    for one in rounds:
        print({work: round(found["seconds"], 2) for work, found in one.items()}, file=sys.stderr)
    last = rounds[-1]["figures"]

    def median(work: str, name: str) -> float:
        return round(statistics.median(one[work][name] for one in rounds), 2)

    ratios = [one["decode"]["cpu_seconds"] / one["figures"]["cpu_seconds"] for one in rounds]
    return {
        "verdicts": last["samples"],
        "subsets": last["subsets"],
        "figures": last["figures"],
        "accuracy": last["accuracy"],
        "bytes_a_line": round(size / last["samples"]),
        "seconds": median("figures", "seconds"),
        "cpu_seconds": median("figures", "cpu_seconds"),
        "megabytes": median("figures", "megabytes"),
        "decode_seconds": median("decode", "seconds"),
        "decode_cpu_seconds": median("decode", "cpu_seconds"),
        "ratio": round(statistics.median(ratios), 3),
        "targets": TARGETS,
        "rounds": options.rounds,
        "machine": machine(),
    }


def main() -> None:
    """Measure; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--subsets", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work_here(options.work, options.file)
        return
    found = report(options)
    print(json.dumps(found))
    if options.write:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
