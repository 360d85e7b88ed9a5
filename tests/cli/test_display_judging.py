"""What a person sees of a run: why a sample has no reward, on a terminal of any width."""

import json
import sys
from pathlib import Path

import pytest

from plaudit.cli.display import unknown_cost
from tests.support.command import Here, rows_of, write_rows

LABEL = "neg_constraint_restate"


def row(name: str) -> dict[str, str]:
    follow_up = f"In kilometres please, as I said before, {name}"
    return {"id": name, "query": "How far is it?", "answer": "Ten miles.", "follow_up": follow_up}


def reply(confidence: float) -> list[dict[str, str]]:
    return [{"text": json.dumps({"rationale": "r", "label": LABEL, "confidence": confidence})}]


SCRIPT = [
    {"match": {"sample_id": "unsure"}, "replies": reply(0.5999)},
    {"match": {"contains": "refused"}, "replies": [{"error": "bad_request"}]},
    {"match": {"contains": "hidden"}, "replies": [{"error": "options_not_visible"}]},
    {"match": {"contains": "unclear"}, "replies": [{"text": f"I would not say {reply(1)[0]}"}]},
    {"match": {}, "replies": reply(0.9)},
]
NAMES = ("unsure", "refused", "hidden", "unclear", "refused too", "sure")


def judge(tmp_path: Path, columns: int, *args: str | Path) -> str:
    rows = write_rows(tmp_path / "in.jsonl", [row(name) for name in NAMES])
    engine = f"scripted:{write_rows(tmp_path / 'script.jsonl', SCRIPT)}"
    plaudit = Here(tmp_path / "home", {"COLUMNS": str(columns)})
    done = plaudit("judge", "feedback", rows, "-e", engine, "--readout", "json", *args)
    assert done.status == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("columns", [80, 72, 120])
def test_defect_17_the_table_says_why_not_at_any_width(tmp_path: Path, columns: int) -> None:
    lines = judge(tmp_path, columns).splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if "abstained   invalid" in line)]
    heading = next(line for line in table if "judged" in line)
    assert heading.rstrip().endswith("why not")
    for cause in ("below_gate", "bad_request", "ambiguous", "options_not_visible"):
        assert any(line.rstrip().endswith(f" {cause}") for line in table), cause
    assert any(LABEL[:7] in line and "-1.00" in line for line in table)
    assert max(map(len, table)) <= columns


def test_defect_17_a_run_shows_what_went_wrong_and_where_to_see_more(tmp_path: Path) -> None:
    store = tmp_path / "a store.sqlite"
    shown = judge(tmp_path, 100, "-o", tmp_path / "out.jsonl", "--store", store)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    first = lines.index("not ok: 1 ambiguous, 2 bad_request, 1 below_gate, 1 options_not_visible")
    assert lines[first + 1] == "bad_request: scripted bad_request"
    assert lines[first + 2].startswith("ambiguous: the reply holds text beside its JSON object")
    assert lines[first + 4] == f"all of them: plaudit show feedback-0001 --failed --store '{store}'"
    again = Here(tmp_path / "home")("show", "feedback-0001", "--failed", "--store", store)
    assert again.stdout.count("cause: ") == 4


def test_a_run_without_failures_shows_no_examples(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "in.jsonl", [row("unsure"), row("sure")])
    engine = f"scripted:{write_rows(tmp_path / 'script.jsonl', SCRIPT)}"
    command = ("judge", "feedback", rows, "-e", engine, "--readout", "json", "--json")
    done = Here(tmp_path / "home")(*command)
    assert (done.status, done.summary["causes"]) == (0, {"below_gate": 1})
    assert "examples" not in done.summary


@pytest.mark.parametrize(
    ("confidence", "gate", "said"),
    [
        (0.4, 0.6, "confidence 0.400 is under the gate of 0.6"),
        (0.5999, 0.6, "confidence 0.5999 is under the gate of 0.6"),
        (0.59999999, 0.6, "confidence 0.59999999 is under the gate of 0.6"),
        (0.6123456, 0.6123457, "confidence 0.612 is under the gate of 0.612346"),
        (0.3, 0.30000000000000004, "confidence 0.3 is under the gate of 0.30000000000000004"),
    ],
)
def test_defect_17_the_sentence_about_the_gate_is_true(
    tmp_path: Path, confidence: float, gate: float, said: str
) -> None:
    rows = write_rows(tmp_path / "in.jsonl", [row("unsure")])
    script = write_rows(tmp_path / "script.jsonl", [{"match": {}, "replies": reply(confidence)}])
    command = ("judge", "feedback", rows, "-e", f"scripted:{script}", "--readout", "json")
    out = tmp_path / "out.jsonl"
    Here(tmp_path / "home")(*command, "--gate", repr(gate), "-o", out)
    (verdict,) = rows_of(out)
    assert verdict["error"]["message"] == said


def test_defect_17_the_price_list_is_advised_only_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert "pip install 'plaudit[prices]'" in unknown_cost()
    monkeypatch.delitem(sys.modules, "genai_prices")
    (tmp_path / "genai_prices.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert "--prices FILE" in unknown_cost()
    assert "pip" not in unknown_cost()


def test_a_narrow_table_wraps_the_cause_and_never_cuts_it(tmp_path: Path) -> None:
    lines = judge(tmp_path, 60).splitlines()
    table = lines[: next(n for n, line in enumerate(lines) if "abstained   invalid" in line)]
    start = next(line for line in table if "why not" in line).index("why not")
    causes = "".join(line[start:].strip() for line in table)
    assert "options_not_visible" in causes
    assert not any("…" in line[start:] for line in table)
