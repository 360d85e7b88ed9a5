"""`plaudit judge verify` without a model, and with one for what is left; end to end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import EXAMPLES, Forked, Plaudit, rows_of, write_rows

OPEN = {
    "id": "open",
    "question": "Why does ice float?",
    "answer": "There is more room in it for the same mass of stuff.",
    "reference": "\u6c37\u306f\u6c34\u3088\u308a\u5bc6\u5ea6\u304c\u4f4e\u3044",
    "answer_type": "code",
}
"""What nothing but a model can decide."""
ROWS: list[dict[str, Any]] = [
    {"id": "text", "question": "Which city?", "answer": "Paris.", "reference": "paris"},
    {"id": "number", "question": "How many?", "answer": "7", "reference": ["5", "6"]},
    {"id": "guard", "question": "Which city?", "answer": "", "reference": "Paris"},
    OPEN,
]


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Forked(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", ROWS)


def script(tmp_path: Path, value: str = "correct", confidence: float = 0.9) -> str:
    reply = {"reasoning": "so it is", "verdict": value, "confidence": confidence}
    line = {"match": {}, "replies": [{"text": json.dumps(reply)}]}
    return f"scripted:{write_rows(tmp_path / 'script.jsonl', [line])}"


def test_no_model_is_asked_unless_one_is_named(
    plaudit: Plaudit, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "verify", source, "-o", out, "--json")
    assert done.status == 0, done.stderr
    assert done.summary["decided_by"] == {"guard": 1, "number": 1, "text": 1}
    assert (done.summary["ok"], done.summary["abstained"]) == (3, 1)
    assert done.summary["causes"] == {"undecided": 1}
    assert (done.summary["engine_calls"], done.summary["readout"]) == (0, "none")
    text, number, guard, left = rows_of(out)
    assert [v["fields"]["decided_by"] for v in (text, number, guard)] == ["text", "number", "guard"]
    assert [v["reward"] for v in (text, number, guard)] == [1.0, 0.0, 0.0]
    assert text["fields"]["extracted"] == "Paris"
    assert text["fields"]["reasoning"] and text["confidence"] == 1.0
    assert (left["status"], left["value"], left["reward"]) == ("abstained", None, None)
    assert "engine=" in left["error"]["message"] and "-e URI" in left["error"]["message"]
    assert left["input"] == {name: OPEN[name] for name in OPEN if name != "id"}


def test_a_repeat_gives_the_same_bytes(plaudit: Plaudit, source: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for out in outs:
        assert plaudit("judge", "verify", source, "-o", out).status == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_the_table_names_what_decided(plaudit: Plaudit, source: Path) -> None:
    shown = plaudit("judge", "verify", source).stdout
    for part in ("decided by", "guard", "number", "1 undecided", "name a model", "(no model)"):
        assert part in shown, part
    assert not [line for line in shown.splitlines() if len(line) > 120]


def test_the_examples_need_no_model(plaudit: Plaudit) -> None:
    done = plaudit("judge", "verify", EXAMPLES / "verify.jsonl", "--json")
    assert (done.status, done.summary["engine_calls"], done.summary["cost_usd"]) == (0, 0, 0.0)
    assert sum(done.summary["decided_by"].values()) == done.summary["ok"]
    assert done.summary["agree"] == done.summary["labelled"]


@pytest.mark.parametrize("value", ["correct", "incorrect"])
def test_a_named_model_decides_what_is_left(
    plaudit: Plaudit, source: Path, tmp_path: Path, value: str
) -> None:
    out, engine = tmp_path / "out.jsonl", script(tmp_path, value)
    done = plaudit("judge", "verify", source, "-e", engine, "-o", out, "--json")
    assert done.status == 0, done.stderr
    assert (done.summary["engine_calls"], done.summary["abstained"]) == (1, 0)
    assert done.summary["decided_by"]["model"] == 1
    left = rows_of(out)[-1]
    assert (left["value"], left["fields"]["decided_by"]) == (value, "model")
    again = plaudit("judge", "verify", source, "-e", engine, "-o", out, "--json")
    assert (again.summary["engine_calls"], again.summary["cached"]) == (0, 1)
    assert rows_of(out)[-1] == left


def test_the_gate_holds_for_the_chain(plaudit: Plaudit, source: Path, tmp_path: Path) -> None:
    engine = script(tmp_path, confidence=0.7)
    done = plaudit("judge", "verify", source, "-e", engine, "--gate", "0.8", "--json")
    assert (done.summary["ok"], done.summary["causes"]) == (3, {"below_gate": 1})


def test_a_dry_run_without_a_model_sends_nothing(plaudit: Plaudit, source: Path) -> None:
    done = plaudit("judge", "verify", source, "--dry-run", "--json")
    assert (done.status, done.summary["calls"], done.summary["samples"]) == (0, 0, 4)
    assert "no model" in plaudit("judge", "verify", source, "--dry-run").stdout


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--readout", "json"), "--readout is for a model"),
        (("--mode", "chat"), "--mode is for a model"),
        (("--shots", "3"), "--shots is for a model"),
        (("--pool", "verify"), "--pool is for a model"),
        (("--select", "random"), "--select is for a model"),
        (("--votes", "3"), "--votes is for a model"),
        (("--temperature", "0"), "--temperature is for a model"),
        (("--max-tokens", "9"), "--max-tokens is for a model"),
        (("--seed", "1"), "--seed is for a model"),
        (("--generation", "top_k=1"), "--generation is for a model"),
        (("-e", "none:thing"), "no model"),
        (("-e", "none:?x=1"), "no option 'x'"),
        (("--answer-type", "numbr"), "answer_type is 'numbr'; it can be auto, text"),
        (("--extract", "box"), "extract is 'box'; it can be auto, boxed"),
        (("--date-order", "dmy"), "date_order is 'dmy'"),
        (("--tolerance", "2"), "--tolerance"),
    ],
)
def test_wrong_usage_is_named(plaudit: Plaudit, source: Path, options, why: str) -> None:
    done = plaudit("judge", "verify", source, *options)
    assert (done.status, why in " ".join(done.stderr.split())) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-e", "none:"), "the feedback judge asks a model"),
        (("-e", "none"), "the feedback judge asks a model"),
        (("--answer-type", "number"), "--answer-type is for the verify judge only"),
        (("--extract", "boxed"), "--extract is for the verify judge only"),
        (("--tolerance", "0.1"), "--tolerance is for the verify judge only"),
        (("--date-order", "day"), "--date-order is for the verify judge only"),
    ],
)
def test_other_judges_refuse_what_is_of_verify(plaudit: Plaudit, options, why: str) -> None:
    done = plaudit("judge", "feedback", EXAMPLES / "feedback.jsonl", *options)
    assert (done.status, why in " ".join(done.stderr.split())) == (2, True), done.stderr


def test_options_and_row_fields_say_how_answers_are_compared(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    rows = [
        {"id": "a", "question": "?", "answer": "10.2", "reference": "10"},
        {"id": "b", "question": "?", "answer": "B", "reference": "two", "choices": ["one", "two"]},
        {"id": "c", "question": "?", "answer": "1 2", "reference": "12", "answer_type": "code"},
    ]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    done = plaudit("judge", "verify", source, "--tolerance", "0.05", "-o", out, "--json")
    assert done.status == 0, done.stderr
    near, choice, code = rows_of(out)
    assert (near["value"], near["fields"]["decided_by"]) == ("correct", "number")
    assert (choice["value"], choice["fields"]["decided_by"]) == ("correct", "choice")
    assert choice["input"]["choices"] == ["one", "two"]
    assert (code["value"], code["input"]["answer_type"]) != ("correct", None)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"reference": ""}, "'reference' is empty"),
        ({"reference": []}, "'reference' is an empty list"),
        ({"answer_type": "numbr"}, "'answer_type' is 'numbr'"),
        ({"answer_type": 3}, "'answer_type' must be text"),
        ({"choices": "A"}, "'choices' must be a list"),
        ({"choices": []}, "'choices' is an empty list"),
        ({"choices": ["A", 3]}, "'choices' must hold texts"),
    ],
)
def test_a_malformed_row_is_rejected_by_name(
    plaudit: Plaudit, tmp_path: Path, fields: dict[str, Any], why: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [ROWS[0], ROWS[1] | fields])
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "verify", source, "-o", out, "--json")
    assert (done.status, done.summary["ok"], done.summary["rejected"]) == (1, 1, 1)
    assert why in (tmp_path / "out.rejected.jsonl").read_text()


def test_the_embedded_model_is_no_better_than_a_coin_and_the_summary_says_so(
    plaudit: Plaudit, tmp_path: Path, local_weights: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", ROWS[:1])
    done = plaudit("judge", "verify", source, "-e", "local", "--json")
    assert any("like a coin" in note and "0.57" in note for note in done.summary["notes"])


@pytest.mark.full
def test_a_killed_comparison_is_stored_and_the_run_goes_on(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    pytest.importorskip("math_verify")
    endless = {"question": "Evaluate.", "answer": r"\boxed{\prod_{k=1}^{9999} (x+k)}"}
    rows = [
        endless | {"id": "endless", "reference": "1", "answer_type": "math"},
        {
            "id": "next",
            "question": "Expand.",
            "answer": r"\boxed{x^2-1}",
            "reference": "(x-1)(x+1)",
        },
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for out in outs:
        assert plaudit("judge", "verify", source, "-o", out).status == 0
    killed, after = rows_of(outs[0])
    assert (killed["status"], killed["error"]["cause"]) == ("abstained", "undecided")
    assert "not compared within 2 CPU seconds" in killed["error"]["message"]
    assert (after["value"], after["fields"]["decided_by"]) == ("correct", "math")
    assert outs[0].read_bytes() == outs[1].read_bytes()
