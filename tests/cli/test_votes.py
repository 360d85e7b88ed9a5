"""Votes and criteria end to end with scripted replies."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge
from tests.support.command import Here, Plaudit, rows_of, write_rows

TEXTS = {"intent": "i", "checklist": "c", "strengths": "s", "weaknesses": "w"}
CRITERIA = [
    {"name": "truth", "description": "Is it so?", "weight": 3},
    {"name": "tone", "scale": [0, 4]},
]


def verify_row(n: int) -> dict[str, Any]:
    """A row that no type decides, and that the head is not asked about."""
    row = {"id": f"v{n}", "question": "Who?", "answer": f"It was she, {n}", "reference": "Mary"}
    return row | {"answer_type": "date"}


def says(verdict: str) -> dict[str, str]:
    return {"text": json.dumps({"reasoning": "r", "verdict": verdict, "confidence": 0.9})}


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


@pytest.fixture
def votes(tmp_path: Path) -> str:
    """Eighty samples, on each of which a seeded judge is right four times in five."""
    draws = random.Random(11)
    lines = [
        {
            "match": {"sample_id": f"v{n}"},
            "replies": [
                says("correct" if draws.random() < 0.8 else "incorrect") for _ in range(40)
            ],
        }
        for n in range(80)
    ]
    return f"scripted:{write_rows(tmp_path / 'script.jsonl', lines)}"


def test_votes_stop_at_the_promised_error_and_cost_nothing_the_second_time(
    plaudit: Plaudit, votes: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [verify_row(n) for n in range(80)])
    out = tmp_path / "out.jsonl"
    command = ("judge", "verify", source, "-e", votes, "--votes", "40", "--json", "-o", out)
    first = plaudit(*command)
    assert first.status == 0, first.stderr
    before, verdicts = out.read_bytes(), rows_of(out)
    counted = [v["fields"]["votes"] for v in verdicts]
    assert first.summary["engine_calls"] == sum(counted)
    assert first.summary["mean_votes"] == pytest.approx(sum(counted) / 80, abs=0.001)
    decided = [v for v in verdicts if v["status"] == "ok"]
    wrong = sum(v["value"] == "incorrect" for v in decided)
    assert len(decided) >= 70
    assert wrong <= 0.05 * 80
    for verdict in verdicts:
        assert max(verdict["fields"]["shares"].values()) == verdict["confidence"]
        if verdict["status"] != "ok":
            assert (verdict["reward"], verdict["error"]["cause"]) == (None, "undecided_votes")
    again = plaudit(*command)
    assert (again.summary["engine_calls"], again.summary["cached"]) == (0, 80)
    assert again.summary["mean_votes"] == first.summary["mean_votes"]
    assert out.read_bytes() == before
    more = plaudit(*command[:5], "--vote-error", "0.01", "--votes", "40", "--json")
    assert 0 < more.summary["engine_calls"] < first.summary["engine_calls"], "draws are shared"


def test_what_is_printed_and_planned(plaudit: Plaudit, votes: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [verify_row(n) for n in range(5)])
    command = ("judge", "verify", source, "-e", votes, "--votes", "40")
    planned = plaudit(*command, "--dry-run", "--json").summary
    assert (planned["calls"], planned["votes"], planned["least_votes"]) == (35, 40, 7)
    assert "7 votes a sample" in plaudit(*command, "--dry-run").stdout
    assert "votes a sample" in plaudit(*command).stdout
    alone = plaudit(*command[:5], "--json").summary
    assert "mean_votes" not in alone
    every = plaudit(*command[:5], "--votes", "3", "--all-votes", "--json").summary
    assert every["mean_votes"] == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--votes", "20", "--temperature", "0"], "all votes would be alike"),
        (["--votes", "3"], "can never decide"),
        (["--all-votes"], "goes with --votes"),
        (["--criteria", "CRITERIA"], "takes no criteria"),
    ],
)
def test_wrong_usage(plaudit: Plaudit, votes: str, tmp_path: Path, options, says: str) -> None:
    criteria = tmp_path / "criteria.json"
    criteria.write_text(json.dumps(CRITERIA))
    source = write_rows(tmp_path / "in.jsonl", [verify_row(0)])
    options = [str(criteria) if option == "CRITERIA" else option for option in options]
    done = plaudit("judge", "verify", source, "-e", votes, *options)
    assert done.status == 2
    assert says in done.stderr


def test_criteria_in_both_readouts(plaudit: Plaudit, tmp_path: Path) -> None:
    criteria = tmp_path / "criteria.json"
    criteria.write_text(json.dumps(CRITERIA))
    source = write_rows(
        tmp_path / "in.jsonl", [{"id": "p", "prompt": "q", "response": "r", "reference": "x"}]
    )
    stated = json.dumps(TEXTS | {"scores": {"truth": 9, "tone": 2}})
    lines = [
        {"match": {"turn": "main"}, "replies": [{"text": stated}]},
        {"match": {"turn": "criterion truth"}, "replies": [{"logprobs": {" nine": -0.01}}]},
        {"match": {"turn": "criterion tone"}, "replies": [{"logprobs": {" two": -0.01}}]},
    ]
    script = f"scripted:{write_rows(tmp_path / 'script.jsonl', lines)}"
    for readout, calls in (("json", 1), ("logprob", 2)):
        out = tmp_path / f"{readout}.jsonl"
        done = plaudit(
            "judge", "pointwise", source, "-e", script, "--criteria", criteria,
            "--readout", readout, "-o", out, "--json",
        )  # fmt: skip
        assert (done.status, done.summary["engine_calls"]) == (0, calls), done.stderr
        (verdict,) = rows_of(out)
        assert verdict["fields"]["criteria"] == {"truth": 9, "tone": 2}
        assert verdict["fields"]["expected_score"] == pytest.approx((3 * 9 + 5.5) / 4)
        assert verdict["value"] == 8
        assert verdict["input"]["reference"] == "x"
    shown = plaudit("prompt", "pointwise", source, "-e", script, "--criteria", criteria)
    assert "Is it so?" in shown.stdout
    criteria.write_text('[{"name": "truth", "scale": [3, 3]}]')
    done = plaudit("judge", "pointwise", source, "-e", script, "--criteria", criteria)
    assert done.status == 2
    assert "entry 1 (truth)" in done.stderr
    assert "has one value" in done.stderr


def test_votes_and_criteria_in_python_for_a_judge_and_for_a_call(tmp_path: Path) -> None:
    stated = json.dumps(TEXTS | {"scores": {"truth": 9, "tone": 2}})
    other = json.dumps(TEXTS | {"score": 4})
    lines = [
        {"match": {"contains": "Is it so?"}, "replies": [{"text": stated}]},
        {"match": {}, "replies": [{"text": other}]},
    ]
    script = f"scripted:{write_rows(tmp_path / 'script.jsonl', lines)}"
    row = {"prompt": "q", "response": "r"}
    judge = Judge("pointwise", engine=script, cache=tmp_path / "s.sqlite", criteria=CRITERIA)
    try:
        verdict = judge.judge(row)
        assert verdict.fields["criteria"] == {"truth": 9, "tone": 2}
        assert "votes" not in verdict.fields
        voted = judge.judge(row, votes=15, vote_error=0.1)
        assert (voted.fields["votes"], voted.fields["criteria"]) == (9, {"truth": 9, "tone": 2})
        plain = judge.judge(row, criteria=None, votes=3, all_votes=True)
        assert (plain.value, plain.fields["votes"]) == (4, 3)
        assert "criteria" not in plain.fields
    finally:
        judge.close()
