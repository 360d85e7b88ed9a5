"""`plaudit calibrate` and `plaudit judge --calibration`, end to end with scripted replies."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from plaudit import Calibration, Judge, UsageError, fit_calibration, load_calibration
from plaudit.cli.app import app
from tests.support.command import Done, Here, rows_of, write_rows

SIZE = 900
LABELS = ("pos_praise", "neg_correction")


def sample(draw: random.Random, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row, and the reply of a judge that is right in 70 % and far too sure."""
    chance = draw.betavariate(2.1, 0.9)
    label, other = draw.sample(LABELS, 2)
    said = label if draw.random() < chance else other
    text = {"rationale": "r", "label": said, "confidence": round(chance**0.3, 3)}
    row = {"id": f"r{index}", "query": f"q{index}", "answer": "a", "follow_up": "f", "label": label}
    reply = {"match": {"sample_id": row["id"]}, "replies": [{"text": json.dumps(text)}]}
    return row, reply


class Judged:
    """A judged file with its calibration."""

    def __init__(self, folder: Path) -> None:
        draw = random.Random(7)
        rows, replies = zip(*(sample(draw, n) for n in range(SIZE)), strict=True)
        self.rows = list(rows)
        self.folder = folder
        self.plaudit = Here(folder / "home")
        self.source = write_rows(folder / "rows.jsonl", self.rows)
        self.engine = f"scripted:{write_rows(folder / 'script.jsonl', list(replies))}"
        self.verdicts, self.cal = folder / "verdicts.jsonl", folder / "cal.json"
        assert self.judge("-o", self.verdicts).status == 0
        self.done = self.calibrate(self.verdicts, "-o", self.cal, "--plot", folder / "plot.svg")

    def judge(self, *args: str | Path) -> Done:
        return self.plaudit("judge", "feedback", self.source, "-e", self.engine, "--json", *args)

    def calibrate(self, *args: str | Path) -> Done:
        return self.plaudit("calibrate", *args)

    @property
    def calibration(self) -> Calibration:
        return load_calibration(self.cal)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return Judged(tmp_path_factory.mktemp("calibrate"))


def test_the_command_writes_a_calibration_and_says_what_it_is_worth(judged: Judged) -> None:
    assert judged.done.status == 0, judged.done.stderr
    found = judged.calibration
    assert found.judge == rows_of(judged.verdicts)[0]["judge"]
    assert found.gate is not None
    for text in ("ECE", "Brier score", "log loss", "AUROC", f"gate {found.gate:.3f} keeps"):
        assert text in judged.done.stdout
    assert (judged.folder / "plot.svg").read_text().startswith("<?xml")


def test_calibration_and_gate_are_applied_without_a_call(judged: Judged) -> None:
    out, found = judged.folder / "after.jsonl", judged.calibration
    done = judged.judge("--calibration", judged.cal, "-o", out)
    assert done.status == 0, done.stderr
    assert done.summary["engine_calls"] == 0
    before, after = rows_of(judged.verdicts), rows_of(out)
    for old, new in zip(before, after, strict=True):
        raw = new["fields"]["raw_confidence"]
        assert raw == old["fields"]["raw_confidence"]
        assert new["confidence"] == found.apply(raw)
        assert (new["status"] == "ok") == (found.apply(raw) >= (found.gate or 0))
        assert (new["judge"], new["value"]) == (old["judge"], old["value"])
    kept = [n for n, new in enumerate(after) if new["status"] == "ok"]
    right = sum(after[n]["value"] == judged.rows[n]["label"] for n in kept)
    assert 0.4 * SIZE < len(kept) < 0.95 * SIZE
    assert right / len(kept) > 0.8


def test_calibrated_verdicts_give_the_same_calibration(judged: Judged) -> None:
    out = judged.folder / "gated.jsonl"
    judged.judge("--calibration", judged.cal, "-o", out)
    assert fit_calibration(out) == judged.calibration


def test_a_given_gate_wins(judged: Judged) -> None:
    done = judged.judge("--calibration", judged.cal, "--gate", "0")
    assert (done.summary["ok"], done.summary["engine_calls"]) == (SIZE, 0)


def test_a_calibration_of_another_judge_is_refused_with_both_names(judged: Judged) -> None:
    done = judged.judge("--calibration", judged.cal, "--temperature", "1")
    assert done.status == 2
    assert judged.calibration.judge in done.stderr
    assert done.stderr.count("feedback/") == 2


def test_labels_of_a_file_give_the_same_and_json_is_the_file(judged: Judged) -> None:
    labels = write_rows(
        judged.folder / "labels.jsonl",
        [{"id": row["id"], "label": row["label"]} for row in reversed(judged.rows)],
    )
    out = judged.folder / "again.json"
    done = here(judged.verdicts, "--labels", labels, "-o", out, "--json")
    assert done.exit_code == 0, done.output
    assert out.read_bytes() == judged.cal.read_bytes()
    assert msgspec.json.decode(done.stdout, type=Calibration) == judged.calibration


def test_python_does_the_same(judged: Judged) -> None:
    labels = {row["id"]: row["label"] for row in judged.rows}
    with pytest.raises(UsageError, match="calibration"):
        Judge("feedback", calibration=3)
    judge = Judge("feedback", engine=judged.engine, cache=False, calibration=str(judged.cal))
    verdicts = judge.judge_batch(judged.rows)
    assert [v.confidence for v in verdicts[:3]] == [
        judged.calibration.apply(v.fields["raw_confidence"]) for v in verdicts[:3]
    ]
    assert fit_calibration(verdicts, labels) == judged.calibration
    assert fit_calibration(judged.verdicts, labels, target=0.99).gate is None


def here(*args: str | Path) -> Result:
    """Run `plaudit calibrate` in this process, which spares the start of another."""
    return CliRunner().invoke(app, ["calibrate", *map(str, args)])


def test_no_gate_is_said_and_the_map_alone_is_applied(judged: Judged) -> None:
    cal = judged.folder / "high.json"
    done = here(judged.verdicts, "-o", cal, "--target", "0.99")
    assert done.exit_code == 0
    assert "no gate can promise an agreement of 99%" in done.stdout
    assert load_calibration(cal).gate is None
    summary = judged.judge("--calibration", cal).summary
    assert summary["engine_calls"] == 0
    assert summary["ok"] > SIZE / 2  # by the judge's own gate of 0.6


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["-o", "-"], "a calibration is a file"),
        (["-o", "{tmp}/cal.json", "--plot", "plot.pdf"], "plot.pdf: a diagram is written as .png"),
        (["-o", "{tmp}/none/cal.json"], "does not exist"),
        (["-o", "{tmp}/cal.json", "--plot", "{tmp}/none/plot.svg"], "does not exist"),
        (["-o", "{tmp}/cal.json", "--target", "1"], "--target must be more than 0 and less than 1"),
        (["-o", "{tmp}/cal.json", "--labels", "{tmp}/none.jsonl"], "no such file"),
    ],
)
def test_wrong_usage_is_told_and_writes_nothing(
    judged: Judged, tmp_path: Path, args: list[str], why: str
) -> None:
    done = here(judged.verdicts, *(arg.format(tmp=tmp_path) for arg in args))
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)
    assert list(tmp_path.iterdir()) == []
