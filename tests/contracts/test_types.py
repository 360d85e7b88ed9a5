"""What a type checker sees of the built wheel: `scripts/contracts types`."""

import subprocess
import sys
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = """\
from plaudit import Judge, Verdict, load_engine
from plaudit.preferences import PairOptions, make_pairs
from plaudit.rollouts import Trace, rollout

with Judge("feedback", engine=load_engine("local")) as judge:
    verdict: Verdict = judge({"messages": []})
    rewards: list[float | None] = [one.reward for one in judge.judge_batch([{}])]
traces: list[Trace] = list(rollout("local", [{"question": "What is 2 + 2?"}]))
margins: list[float | None] = [pair.margin for pair in make_pairs([], PairOptions())]
reveal_type(judge)
"""


@pytest.fixture(scope="module", autouse=True)
def mypy() -> None:
    if find_spec("mypy") is None or not files("plaudit") or "src" in str(find_spec("plaudit")):
        pytest.skip("needs mypy and the wheel: scripts/contracts types")


def check(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "user.py").write_text(script)
    command = [sys.executable, "-m", "mypy", "--strict", "user.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_mypy_strict_sees_the_public_names(tmp_path: Path) -> None:
    checked = check(SCRIPT, tmp_path)
    assert checked.returncode == 0, checked.stdout
    assert 'Revealed type is "plaudit.judge.Judge"' in checked.stdout


def test_mypy_finds_what_is_wrong(tmp_path: Path) -> None:
    checked = check(SCRIPT.replace("judge_batch", "judge_all"), tmp_path)
    assert checked.returncode == 1
    assert '"Judge" has no attribute "judge_all"' in checked.stdout
