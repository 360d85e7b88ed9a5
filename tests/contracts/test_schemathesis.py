"""The reward server against schemathesis, which reads `/openapi.json`: no request makes it fail.

`scripts/contracts schemathesis` installs it.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import write_rows
from tests.support.judged import compared
from tests.support.served import served
from tests.support.serving import RULES

pytest.importorskip("schemathesis")

SPEC = """
[serve.sums]
rewards = "rules.toml"
[serve.better]
judge = "pairwise"
engine = "scripted:{script}"
readout = "json"
"""
CHOICE = "positive_data_acceptance"
"""A body of the right form may hold rows that are none."""


@pytest.mark.full
@pytest.mark.parametrize("processes", ["1", "2"])
def test_no_request_makes_it_fail(tmp_path: Path, processes: str) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    reply = {"match": {}, "replies": [{"text": compared("A++")}]}
    script = write_rows(tmp_path / "script.jsonl", [reply])
    (tmp_path / "spec.toml").write_text(SPEC.format(script=script))
    choice = ("--when-unscored", "-1", "--processes", processes)
    with served(tmp_path, "spec.toml", *choice) as server:
        found = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
                *("--checks", "all", "--exclude-checks", CHOICE, "--seed", "1", "--no-color"),
                *("--max-examples", "30"),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=280,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        count = re.search(r"(\d+) generated, \1 passed", found.stdout)
        assert count and int(count[1]) > 500, found.stdout
        assert server.stop() == 0
