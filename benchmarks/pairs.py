"""Preference pairs a second and peak memory, beside NVIDIA's DPO trajectory builder.

    scripts/bench pairs [--turns 10000] [--large 10000000] [--rounds 5] [--json] [--write]

- plaudit: `plaudit pairs` as a process, from its start to its end: JSON Lines in, JSON Lines out;
- builder: the three steps of the builder in `nvidia-nat-nemo-customizer` alone (it has an
  environment of its own, `.venv-nat`): no start, nothing read, nothing written;
- large: peak memory and seconds for many candidates; each turn's best and worst are paired.

Turns have 8 candidates; prompts and responses have 300 characters (30 in large). Rounds alternate,
and medians are given, since shared machines are noisy. The last line is JSON.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from judge import usual_environment
from throughput import machine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "pairs.json"
TOOLKIT = ROOT / ".venv-nat" / "bin" / "python"
CANDIDATES = 8


def write_candidates(path: Path, turns: int, size: int) -> Path:
    """Write turns of candidates, five turns an example."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=n % 9 + 2)) for n in range(2000)]
    filler = " ".join(draw.choices(words, k=200_000))

    def text() -> str:
        start = draw.randrange(len(filler) - size)
        return filler[start : start + size]

    with path.open("w") as out:
        for turn in range(turns):
            ids = {"example_id": f"e{turn // 5}", "turn_id": f"t{turn % 5}"}
            prompt = text()
            for index in range(CANDIDATES):
                row = ids | {"candidate_index": index, "prompt": prompt, "response": text()}
                out.write(json.dumps(row | {"score": draw.random()}) + "\n")
    return path


def plaudit(source: Path, out: Path, *args: str, memory: bool = False) -> dict[str, Any]:
    """Run `plaudit pairs` as a process; return its pairs and seconds.

    With `memory` also its peak memory, summed over all of its processes; reading it takes time.
    """
    out.unlink(missing_ok=True)
    os.sync()
    command = [sys.executable, "-m", "plaudit", "pairs", str(source), "-o", str(out), "--json"]
    peaks: dict[int, float] = {}
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, *args], env=usual_environment(), stdout=subprocess.PIPE, text=True
    )
    while memory and process.poll() is None:
        peaks |= peaks_of(process.pid)
        time.sleep(0.02)
    text, _ = process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"plaudit pairs ended with status {process.returncode}")
    done = {"pairs": json.loads(text.splitlines()[-1])["pairs"], "seconds": seconds}
    return done | ({"peak_mb": round(sum(peaks.values()), 1)} if memory else {})


def peaks_of(pid: int) -> dict[int, float]:
    """Return the peak memory in MB of a process and of its children so far, by id."""
    found = {}
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            status = Path(f"/proc/{one}/status").read_text()
            for line in status.splitlines():
                if line.startswith("VmHWM"):  # A process that has ended has none.
                    found[one] = int(line.split()[1]) / 1024
    return found


def builder(source: Path) -> dict[str, Any]:
    """Run the builder's three steps; return the same."""
    script = str(ROOT / "benchmarks" / "toolkit_pairs.py")
    command = [str(TOOLKIT), script, str(source)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder: Path, turns: int, rounds: int) -> dict[str, Any]:
    """Measure both on the same candidates, by turns."""
    source = write_candidates(folder / "candidates.jsonl", turns, 300)
    out = folder / "pairs.jsonl"
    peak = plaudit(source, out, memory=True)["peak_mb"]
    taken: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for _ in range(rounds):
        theirs, ours = builder(source), plaudit(source, out)
        assert ours["pairs"] == theirs["pairs"], (ours, theirs)
        taken.append((ours, theirs))
        print(f"plaudit {ours}, builder {theirs}", file=sys.stderr)
    pairs = taken[0][0]["pairs"]
    return {
        "pairs": pairs,
        "ratio": _median(theirs["seconds"] / ours["seconds"] for ours, theirs in taken),
        "memory_ratio": _median(peak / theirs["peak_mb"] for _, theirs in taken),
        "plaudit": round(pairs / _median(ours["seconds"] for ours, _ in taken)),
        "builder": round(pairs / _median(theirs["seconds"] for _, theirs in taken)),
        "plaudit_mb": peak,
        "builder_mb": _median(theirs["peak_mb"] for _, theirs in taken),
    }


def _median(values: Any) -> float:
    return round(statistics.median(values), 3)


def large(folder: Path, candidates: int) -> dict[str, Any]:
    """Measure many candidates, each turn's best and worst paired."""
    source = write_candidates(folder / "large.jsonl", candidates // CANDIDATES, 30)
    done = plaudit(source, folder / "large.pairs.jsonl", "--mode", "best-worst", memory=True)
    megabytes = round(source.stat().st_size / 2**20)
    return {"candidates": candidates, "input_mb": megabytes} | done


def main() -> None:
    """Run what was asked for; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=0, help="candidates; 0 leaves it out")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        report = compare(Path(name), options.turns, options.rounds)
        if options.large:
            report["large"] = large(Path(name), options.large)
    report["machine"] = machine()
    if not options.json:
        print(
            f"{report['plaudit']:,} pairs/s in {report['plaudit_mb']} MB, the builder "
            f"{report['builder']:,} in {report['builder_mb']} MB: {report['ratio']} times the "
            f"pairs, {report['memory_ratio']} of the memory"
        )
    print(json.dumps(report))
    if options.write:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
