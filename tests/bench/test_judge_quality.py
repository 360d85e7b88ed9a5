"""The benchmark of judges: its arms, run by a script that answers, and the table in the docs."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from plaudit import JudgeConfig
from plaudit.bench.outcomes import RowOutcome
from plaudit.types import Verdict
from tests.support.command import REPOSITORY, write_rows

BENCHMARKS = REPOSITORY / "benchmarks"
FIRST = {"first": -0.2, "second": -2.0, "equal": -3.0}
FAIR = {"first": -0.5, "second": -1.2, "equal": -2.9}
"""Leans to the first place too, though less."""
OPEN = "A block of it weighs less than as much liquid water does."
"""An answer that neither types nor guards nor the head decide."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("judge_quality")


def publish(data: Path) -> Path:
    """Twelve pairs, of which a judge that says "first" gets one half right."""
    (data / "biasbench").mkdir(parents=True)
    entries = [
        {
            "bias": "length", "instruction": f"Say {n}.", "response1": f"It is {n}.",
            "response2": f"It is not {n}.", "label": 1,
        }
        for n in range(12)
    ]  # fmt: skip
    (data / "biasbench" / "biasbench.json").write_text(json.dumps({"length": entries}))
    (data / "evouna").mkdir()
    questions = [
        {
            "question": f"Why does ice float on lake {n}?", "answer_one": answer,
            "golden_answer": "Ice is less dense than liquid water.",
            "judge_one": right, "improper": False,
        }
        for n in range(6)
        for answer, right in (("ice is less dense than liquid water", True), (OPEN, False))
    ]  # fmt: skip
    (data / "evouna" / "NQ.json").write_text(json.dumps(questions))
    return data


def replies(path: Path) -> Path:
    return write_rows(
        path,
        [
            {"match": {"contains": "Say 1."}, "replies": [{"text": "?", "logprobs": {"x": -0.1}}]},
            {"match": {"contains": "Say 2."}, "replies": [{"text": "first", "logprobs": FAIR}]},
            {"match": {"contains": "A block of it"}, "replies": [{"logprobs": {"wrong": -0.1}}]},
            {"match": {}, "replies": [{"text": "first", "logprobs": FIRST}]},
        ],
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("quality")
    done = subprocess.run(
        [
            sys.executable, BENCHMARKS / "judge_quality.py", "--data", publish(folder / "data"),
            "--engine", f"scripted:{replies(folder / 'script.jsonl')}", "--json",
            "--store", folder / "new" / "store.sqlite",
            "--sets", "EvalBiasBench", "PandaLM", "EVOUNA NQ",
        ],
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "PandaLM: left out: " in done.stderr
    return json.loads(done.stdout)


def figure(report: dict[str, Any], labelled: str, arm: str, name: str) -> float | None:
    found = report["sets"][labelled]["arms"][arm]["figures"][name]
    return None if found is None else found[0]


def test_a_judge_that_says_first_is_right_by_half(report: dict[str, Any]) -> None:
    """One of 12 pairs cannot be read; the others all go to the first place."""
    greedy = report["sets"]["EvalBiasBench"]["arms"]["greedy"]
    assert [greedy[name] for name in ("samples", "ok", "invalid")] == [12, 11, 1]
    assert figure(report, "EvalBiasBench", "greedy", "forced_accuracy") in (
        pytest.approx(5 / 11, abs=1e-4), pytest.approx(6 / 11, abs=1e-4)
    )  # fmt: skip
    assert figure(report, "EvalBiasBench", "greedy", "consistency") == 0
    assert figure(report, "EvalBiasBench", "greedy", "ece") is None
    assert figure(report, "EvalBiasBench", "distribution", "consistency") == 0
    assert figure(report, "EvalBiasBench", "distribution", "ece") is not None


def test_both_orders_show_that_it_says_nothing(report: dict[str, Any]) -> None:
    both = report["sets"]["EvalBiasBench"]["arms"]["both orders"]
    assert [both[name] for name in ("samples", "abstained", "invalid")] == [12, 11, 1]
    assert figure(report, "EvalBiasBench", "both orders", "forced_accuracy") == 0.5
    assert figure(report, "EvalBiasBench", "both orders", "coverage") == 0
    assert figure(report, "EvalBiasBench", "both orders", "consistency") == 0
    once = figure(report, "EvalBiasBench", "distribution", "tokens")
    assert figure(report, "EvalBiasBench", "both orders", "tokens") == pytest.approx(
        2 * once, rel=0.1
    )
    assert both["more_than_the_arm_before"]["coverage"][0] == pytest.approx(-11 / 12, abs=1e-4)


def test_what_is_left_open_without_a_model_is_measured_apart(report: dict[str, Any]) -> None:
    whole = report["sets"]["EVOUNA NQ"]["arms"]
    asked = report["sets"]["EVOUNA NQ, asked"]["arms"]
    assert (whole["greedy"]["samples"], asked["greedy"]["samples"]) == (12, 6)
    assert figure(report, "EVOUNA NQ", "distribution", "forced_accuracy") == 1.0
    assert figure(report, "EVOUNA NQ", "distribution", "auroc") == 1.0
    assert figure(report, "EVOUNA NQ, asked", "distribution", "auroc") is None  # one class
    assert "both orders" not in whole
    assert report["sets"]["EVOUNA NQ"]["always_the_same"] == 0.5
    assert report["sets"]["EVOUNA NQ, asked"]["always_the_same"] == 1.0
    assert list(whole["greedy"]["by_group"]) == ["one"]


def test_an_arm_that_cannot_run_is_said_to_be_left_out(
    report: dict[str, Any], script: ModuleType
) -> None:
    for arm in script.arms():
        found = report["sets"]["EvalBiasBench"]
        reason = script.missing(arm)
        assert (arm.name in found["skipped"]) == (reason is not None), arm.name
        assert (arm.name in found["arms"]) == (reason is None), arm.name
    unknown = script.Arm("new", {"telepathy": True})
    assert script.missing(unknown) == "judges have no option 'telepathy'"
    assert {"swap", "prior", "readout"} <= set(JudgeConfig.__struct_fields__)


def test_the_table_shows_every_arm(report: dict[str, Any], script: ModuleType) -> None:
    shown = script.markdown(report)
    for name, found in report["sets"].items():
        assert f"### {name}\n" in shown
        for arm in (*found["arms"], *found["skipped"]):
            assert f"| {arm} |" in shown
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {len(script.COLUMNS) + 2}


def test_the_docs_show_the_figures_that_are_committed(script: ModuleType) -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    assert page.count(script.BEGIN) == page.count(script.END) == 1
    if script.RESULTS.exists():
        committed = json.loads(script.RESULTS.read_text())
        assert script.into_page(page, script.markdown(committed)) == page


def test_rows_are_drawn_by_the_seed_in_their_order(script: ModuleType) -> None:
    rows = [{"id": n} for n in range(50)]
    some = script.draw(rows, 10, 0)
    assert len(some) == 10
    assert [row["id"] for row in some] == sorted(row["id"] for row in some)
    assert script.draw(rows, 10, 0) == some != script.draw(rows, 10, 1)
    assert script.draw(rows, None, 0) == script.draw(rows, 99, 0) == rows


@pytest.mark.parametrize(
    ("p", "turned", "same"),
    [(0.9, 0.2, True), (0.9, 0.6, False), (0.2, 0.9, True), (0.5, 0.5, True), (0.5, 0.6, False),
     (0.4, 0.5, False), (None, 0.5, None), (0.5, None, None)],
)  # fmt: skip
def test_the_winner_is_the_same_when_the_pair_is_turned_over(
    script: ModuleType, p: float | None, turned: float | None, same: bool | None
) -> None:
    assert script.same_winner(RowOutcome(id="a", score=p), RowOutcome(id="a", score=turned)) is same


def test_no_half_is_mapped_by_what_was_fitted_on_itself(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples of a cluster stay in one half."""
    fitted: list[set[float]] = []

    class Fitted:
        def __init__(self, raw: list[float]) -> None:
            self.raw = set(raw)
            fitted.append(self.raw)

        def apply(self, raw: float) -> float:
            assert raw not in self.raw
            return raw / 2

    monkeypatch.setattr(script, "fit", lambda raw, right, seed: Fitted(raw))
    seen = [RowOutcome(id=f"s-{n}", agrees=n % 3 == 0, cluster=f"c-{n // 2}") for n in range(20)]
    verdicts = [
        Verdict(index=n, id=f"s-{n}", status="ok", fields={"raw_confidence": n / 20})
        for n in range(20)
    ]
    unread = msgspec.structs.replace(seen[0], id="s-20", agrees=None, cluster="c-99")
    mapped = script.calibrated(
        [*seen, unread], [*verdicts, Verdict(index=20, id="s-20", status="failed")], 0
    )
    assert [one.confidence for one in mapped] == [n / 40 for n in range(20)] + [None]
    assert set.union(*fitted) == {n / 20 for n in range(20)}
    for half in fitted:
        assert {round(raw * 20) ^ 1 for raw in half} == {round(raw * 20) for raw in half}
