"""The benchmark of masks runs, and its committed figures reach what is asked of them."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_it_runs_and_ends_with_one_json_object() -> None:
    command = [sys.executable, "benchmarks/masks.py", "--chats", "20", "--ids", "100000"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert found["ids"] <= 100_000
    assert found["tokens"] > 10_000
    assert all(found[name] > 0 for name in ("ratio", "ratio_fast", "chats", "alone", "mask"))


def test_the_committed_figures_reach_what_is_asked_of_them() -> None:
    text = (ROOT / "benchmarks" / "results" / "masks.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["ratio"] >= 0.9
    assert found["mask"] >= 20e6
