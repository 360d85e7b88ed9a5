"""The benchmark of figures runs, and its committed figures reach what is asked of them."""

import json
import subprocess
import sys

from tests.support.command import REPOSITORY


def test_it_runs_and_ends_with_one_json_object() -> None:
    command = [sys.executable, "benchmarks/bench_figures.py", "--verdicts", "2000"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--subsets", "3"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["verdicts"], found["subsets"], found["figures"]) == (2_000, 3, 40)
    low, high = found["accuracy"]
    assert 0.7 < low < high < 0.9


def test_the_committed_figures_reach_what_is_asked_of_them() -> None:
    found = json.loads((REPOSITORY / "benchmarks/results/bench_figures.json").read_text())
    assert found["verdicts"] == 1_000_000
    assert found["cpu_seconds"] < found["targets"]["seconds"]
    assert found["megabytes"] < found["targets"]["megabytes"]
