"""No command puts its output in the place of what it reads."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.errors import UsageError
from tests.support.command import EXAMPLES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("feedback.jsonl", "candidates.jsonl", "verify.jsonl"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    rows = '{"match": {}, "replies": [{"text": "x"}]}'
    (tmp_path / "script.jsonl").write_text(rows)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/stage-00.jsonl").write_bytes((EXAMPLES / "candidates.jsonl").read_bytes())
    for name in ("feedback", "candidates"):
        (tmp_path / f"{name}.rejected.jsonl").write_bytes((tmp_path / f"{name}.jsonl").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "judge feedback feedback.jsonl -o feedback.jsonl -e scripted:script.jsonl",
        "judge feedback feedback.jsonl -o ./script.jsonl -e scripted:script.jsonl",
        "judge feedback feedback.rejected.jsonl -o feedback.jsonl -e scripted:script.jsonl",
        "judge feedback feedback.jsonl --pool candidates.jsonl -o candidates.jsonl"
        " -e scripted:script.jsonl",
        "pairs candidates.jsonl -o candidates.jsonl",
        "pairs candidates.rejected.jsonl -o candidates.jsonl",
        "curriculum stages/stage-00.jsonl -o stages",
        "score verify.jsonl -o verify.jsonl",
        "score verify.jsonl --rewards stages/stage-00.jsonl -o stages/stage-00.jsonl",
        "rollout verify.jsonl -o verify.jsonl -e scripted:script.jsonl",
        "calibrate feedback.jsonl -o feedback.jsonl",
        "calibrate feedback.jsonl --labels verify.jsonl -o verify.jsonl",
        "rubric learn verify.jsonl -o verify.jsonl",
        "jury-weights verify.jsonl -o verify.jsonl",
    ],
)
def test_defect_34_no_command_replaces_what_it_reads(folder: Path, command: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    done = CliRunner().invoke(app, command.split())
    assert isinstance(done.exception, UsageError), done.output
    assert "read" in str(done.exception)
    assert {path: path.read_bytes() for path in folder.rglob("*.jsonl")} == before


def test_defect_34_an_export_is_not_replaced_by_one_of_itself(folder: Path) -> None:
    assert (
        CliRunner().invoke(app, ["pairs", "candidates.jsonl", "-o", "pairs.jsonl"]).exit_code == 0
    )
    made = CliRunner().invoke(app, ["export", "trl-dpo", "pairs.jsonl", "-o", "dpo"])
    assert made.exit_code == 0, made.output
    before = (folder / "dpo/train.jsonl").read_bytes()
    again = CliRunner().invoke(app, ["export", "trl-dpo", "dpo/train.jsonl", "-o", "dpo"])
    assert isinstance(again.exception, UsageError)
    assert (folder / "dpo/train.jsonl").read_bytes() == before


def test_defect_54_a_calibration_never_takes_the_place_of_a_device(folder: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", "feedback.jsonl", "-o", "/dev/null"])
    assert "is no regular file" in str(done.exception)
    assert not Path("/dev/null").is_file()
