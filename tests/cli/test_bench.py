"""`plaudit bench` and `plaudit compare` on results, end to end."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from plaudit.bench.results import BenchResults, read_results
from tests.support.benching import (
    BAD,
    GOOD,
    always,
    by_label,
    line,
    reaction,
    right,
    scorer,
    script,
    write_llmbar,
    wrong,
)
from tests.support.command import EXAMPLES, Done, Here, Plaudit, rows_of, write_rows
from tests.support.judged import compared, labelled
from tests.support.rewarding import FakeReward, by_length
from tests.support.waiting import wait_for_replies


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home", {"COLUMNS": "80"})


@pytest.fixture
def llmbar(tmp_path: Path) -> Path:
    return write_llmbar(tmp_path / "llmbar")


@pytest.fixture
def judge(tmp_path: Path, llmbar: Path) -> str:
    return by_label(llmbar, tmp_path / "right.jsonl", right)


def arm(done: Done, number: int = 0) -> dict[str, Any]:
    return done.summary["arms"][number]


def counts(done: Done, number: int = 0) -> dict[str, Any]:
    found = arm(done, number)["overall"]["counts"]
    return {name: value for name, value in found.items() if value and name != "causes"}


def results(folder: Path) -> BenchResults:
    found = read_results(folder)
    assert isinstance(found, BenchResults)
    return found


# Judges


def test_pairs_are_judged_in_both_orders(
    plaudit: Plaudit, llmbar: Path, judge: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = plaudit("bench", "llmbar", llmbar, "-e", judge, "-o", out, "--json")
    assert done.status == 0, done.stderr
    assert counts(done) == {"samples": 24, "right": 24}
    found = arm(done)
    assert found["score"]["value"] == 1.0
    assert found["overall"]["figures"]["consistency"]["value"] == 1.0
    assert found["overall"]["figures"]["first_share"]["value"] == 0.5
    assert [s["name"] for s in found["subsets"]] == ["adversarial_manual", "natural"]
    assert found["spending"]["engine_calls"] == 48
    labels = [row["label"] for row in rows_of(out / "outcomes-1.jsonl")]
    assert labels.count("A") == labels.count("B") == 12  # the published label is always A


def test_a_repeated_command_asks_nothing(plaudit: Plaudit, llmbar: Path, judge: str) -> None:
    command = ("bench", "llmbar", llmbar, "-e", judge, "--json")
    first, again = plaudit(*command), plaudit(*command)
    assert (arm(again)["spending"]["engine_calls"], arm(again)["spending"]["cached"]) == (0, 24)
    assert arm(again)["score"] == arm(first)["score"]
    assert arm(again)["overall"] == arm(first)["overall"]
    runs = [json.loads(one) for one in plaudit("runs", "--json").stdout.splitlines()]
    assert {one["run"] for one in runs} >= {arm(first)["run"], arm(again)["run"]}
    shown = plaudit("show", arm(first)["run"], "--limit", "1")
    assert shown.status == 0
    assert GOOD in shown.stdout


def test_pairs_are_judged_by_scoring_each_response(
    plaudit: Plaudit, llmbar: Path, tmp_path: Path
) -> None:
    command = ("bench", "llmbar", llmbar, "--kind", "pointwise", "--json", "-e")
    done = plaudit(*command, scorer(tmp_path / "scores.jsonl"))
    assert (done.status, counts(done)) == (0, {"samples": 24, "right": 24})
    assert arm(done)["judge"]["kind"] == "pointwise"
    assert arm(done)["spending"]["samples"] == 24
    tied = plaudit(*command, scorer(tmp_path / "ties.jsonl", 5, 5))
    assert counts(tied) == {"samples": 24, "ties": 24}
    assert arm(tied)["overall"]["figures"]["forced_accuracy"]["value"] == 0.5


def test_a_response_that_cannot_be_scored_makes_no_number(
    plaudit: Plaudit, llmbar: Path, tmp_path: Path
) -> None:
    bad = line({"error": "timeout"}, contains=f"{BAD} 3")
    scorer(tmp_path / "all.jsonl")
    uri = script(tmp_path / "some.jsonl", bad, *rows_of(tmp_path / "all.jsonl"))
    done = plaudit("bench", "llmbar", llmbar, "--kind", "pointwise", "-e", uri, "--json")
    assert (done.status, counts(done)) == (1, {"samples": 24, "right": 22, "failed": 2})


def test_reward_models_are_measured(plaudit: Plaudit, llmbar: Path) -> None:
    with FakeReward(by_length) as server:
        done = plaudit("bench", "llmbar", llmbar, "-e", f"vllm-rm:m@{server.url}", "--json")
    assert done.status == 0, done.stderr
    assert counts(done)["samples"] == 24
    assert arm(done)["judge"]["readout"] == "score"


def test_answers_are_checked_without_an_engine(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = [
        {"question": "2+2?", "answer": str(n % 3 + 3), "reference": "4", "label": n % 3 == 1}
        for n in range(30)
    ]
    source = write_rows(tmp_path / "answers.jsonl", rows)
    done = plaudit("bench", "own", source, "--kind", "verify", "--json")
    assert (done.status, counts(done)) == (0, {"samples": 30, "right": 30})
    assert arm(done)["judge"]["engine"] == "none:"
    assert plaudit("bench", "own", source, "--kind", "verify").stdout.count("calls") == 0


def test_feedback_of_ones_own_by_group(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = rows_of(EXAMPLES / "feedback.jsonl")
    lines = [line(reaction(row["label"]), sample_id=row["id"]) for row in rows]
    uri = script(tmp_path / "script.jsonl", *lines)
    source = write_rows(
        tmp_path / "own.jsonl", [row | {"part": "ab"[n % 2]} for n, row in enumerate(rows)]
    )
    done = plaudit(
        "bench", "own", source, "--kind", "feedback", "--group", "part", "-e", uri, "--json"
    )
    assert done.status == 0, done.stderr
    assert [s["name"] for s in arm(done)["subsets"]] == ["a", "b"]
    assert counts(done)["samples"] == len(rows)
    assert arm(done)["score"]["value"] == 1.0


def test_a_leaning_that_was_withheld_is_not_right(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = rows_of(EXAMPLES / "feedback.jsonl")
    lines = [
        line(labelled(row["label"], 0.5 if n % 4 else 0.9), sample_id=row["id"])
        for n, row in enumerate(rows)
    ]
    uri = script(tmp_path / "script.jsonl", *lines)
    command = ("bench", "own", EXAMPLES / "feedback.jsonl", "--kind", "feedback", "-e", uri)
    found = arm(plaudit(*command, "--gate", "0.8", "--json"))
    causes = found["overall"]["counts"]["causes"]
    assert causes["below_gate"] and causes["topic_shift"]
    assert found["overall"]["figures"]["forced_accuracy"]["value"] == 1
    assert found["score"]["value"] == pytest.approx(1 - causes["below_gate"] / len(rows))


def test_a_jury_is_measured(plaudit: Plaudit, llmbar: Path, judge: str, tmp_path: Path) -> None:
    other = by_label(llmbar, tmp_path / "wrong.jsonl", wrong)
    members = [{"name": n, "engine": e} for n, e in zip("abc", (judge, judge, other), strict=True)]
    spec = tmp_path / "jury.json"
    spec.write_text(json.dumps({"members": members}), encoding="utf-8")
    done = plaudit("bench", "llmbar", llmbar, "--jury", spec, "--json")
    assert done.status == 0, done.stderr
    assert counts(done) == {"samples": 24, "right": 24}
    assert (arm(done)["judge"]["name"], arm(done)["judge"]["options"]["panel"]) == ("jury", "jury")


# Rows


def test_a_limit_is_drawn_from_all_subsets(plaudit: Plaudit, llmbar: Path, judge: str) -> None:
    done = plaudit("bench", "llmbar", llmbar, "-e", judge, "--limit", "12", "--json")
    sizes = {s["name"]: s["counts"]["samples"] for s in arm(done)["subsets"]}
    assert sizes == {"adversarial_manual": 5, "natural": 7}
    assert (done.summary["set"]["rows"], done.summary["set"]["limit"]) == (12, 12)


def test_rows_without_a_label_are_counted(plaudit: Plaudit, tmp_path: Path) -> None:
    row = {"question": "2+2?", "answer": "4", "reference": "4"}
    source = write_rows(
        tmp_path / "in.jsonl", [row | {"label": "true"}, row, row | {"label": None}]
    )
    done = plaudit("bench", "own", source, "--kind", "verify", "--json")
    assert done.summary["set"]["left_out"] == {"no label": 2}
    assert counts(done) == {"samples": 1, "right": 1}


def test_rows_that_no_judge_can_read_are_rejected(plaudit: Plaudit, tmp_path: Path) -> None:
    row = {"question": "2+2?", "answer": "4", "reference": "4", "label": "correct"}
    source = write_rows(tmp_path / "in.jsonl", [row, row | {"answer": 7}])
    done = plaudit("bench", "own", source, "--kind", "verify")
    assert done.status == 1
    assert "left out: 1 rejected, the first in-2: 'answer' must be text" in done.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("evouna", "NATURAL"), "use llmbar"),
        (("llmbar", "nowhere"), "no such file"),
        (("evouna", "LLMBAR"), "holds no file of EVOUNA, which is in the repository"),
        (("llmbar", "LLMBAR", "-e", "none:"), "asks a model"),
        (("llmbar", "LLMBAR", "--shots", "1,x"), "--shots '1,x'"),
        (("llmbar", "LLMBAR", "--shots", "1,1"), "given twice"),
        (("own", "LLMBAR"), "--kind must say"),
        (("own", "FEEDBACK", "--kind", "verify"), "label"),
        (("llmbar", "LLMBAR", "-o", "LLMBAR"), "without results"),
    ],
)
def test_wrong_usage_is_named(
    plaudit: Plaudit, llmbar: Path, command: tuple[str, ...], said: str
) -> None:
    natural = str(llmbar / "natural.json")
    places = {
        "LLMBAR": str(llmbar),
        "NATURAL": natural,
        "FEEDBACK": str(EXAMPLES / "feedback.jsonl"),
    }
    done = plaudit("bench", *(places.get(word, word) for word in command))
    assert (done.status, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())


# Judges without a verdict


def test_a_judge_that_abstains_everywhere_has_no_score(
    plaudit: Plaudit, llmbar: Path, tmp_path: Path
) -> None:
    first = always(compared("A++"), tmp_path / "first.jsonl")
    done = plaudit("bench", "llmbar", llmbar, "-e", first)
    assert done.status == 1
    assert "no score: " in done.stdout
    assert "24 order_conflict" in done.stdout
    assert "the first place won 48 of 48" in " ".join(done.stdout.split())
    assert "published score  " not in done.stdout


def test_an_engine_that_cannot_be_used(plaudit: Plaudit, llmbar: Path, tmp_path: Path) -> None:
    dead = always({"error": "unusable"}, tmp_path / "dead.jsonl")
    out = tmp_path / "out"
    assert plaudit("bench", "llmbar", llmbar, "-e", dead, "-o", out).status == 3
    assert not out.exists()


def test_an_interrupted_bench_goes_on(plaudit: Plaudit, llmbar: Path, tmp_path: Path) -> None:
    slow = always({"text": compared("A=B"), "delay": 0.05}, tmp_path / "slow.jsonl")
    big = write_llmbar(tmp_path / "big", 200, 200)
    out = tmp_path / "out"
    command = ("bench", "llmbar", big, "-e", slow, "-o", out, "--concurrency", "4", "--json")
    process = plaudit.start(*command)
    wait_for_replies(plaudit.home / "store.sqlite", 60)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "same command" in stderr
    assert not out.exists()
    done = plaudit(*command, "--concurrency", "100")
    assert arm(done)["spending"]["engine_calls"] <= 800 - 60
    assert counts(done) == {"samples": 400, "ties": 400}


# Sweeps


def test_a_sweep_compares_each_combination(
    plaudit: Plaudit, llmbar: Path, judge: str, tmp_path: Path
) -> None:
    other = by_label(llmbar, tmp_path / "other.jsonl", wrong)
    engines = ("-e", judge, "-e", other)
    done = plaudit("bench", "llmbar", llmbar, *engines, "--shots", "0,2", "--json")
    assert done.status == 0, done.stderr
    names = [one["judge"]["name"] for one in done.summary["arms"]]
    assert names == [f"{e}, {n} shots" for e in (judge, other) for n in (0, 2)]
    assert [one["score"]["value"] for one in done.summary["arms"]] == [1, 1, 0, 0]
    found = {
        (d["judge"], d["figure"]): d for d in done.summary["differences"] if d["judge"] != names[0]
    }
    assert found[names[2], "forced_accuracy"]["difference"]["value"] == -1
    assert found[names[1], "forced_accuracy"]["difference"]["value"] == 0
    shown = plaudit("bench", "llmbar", llmbar, *engines, "--shots", "0,2").stdout
    assert f"{names[2]} less {names[0]}:" in shown
    tables = [text for text in shown.splitlines() if text.startswith("  ")]
    assert max(map(len, tables)) <= 80


def test_votes_are_swept_by_plurality(plaudit: Plaudit, llmbar: Path, judge: str) -> None:
    done = plaudit("bench", "llmbar", llmbar, "-e", judge, "--votes", "1,3", "--json")
    assert done.status == 0, done.stderr
    assert [one["judge"]["options"] for one in done.summary["arms"]] == [
        {}, {"votes": 3, "all_votes": True}
    ]  # fmt: skip


# Results


def test_results_are_a_folder(plaudit: Plaudit, llmbar: Path, judge: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("bench", "llmbar", llmbar, "-e", judge, "-o", out)
    assert plaudit(*command).status == 0
    (out / "report.html").write_text("kept", encoding="utf-8")
    assert plaudit(*command).status == 0
    assert {path.name for path in out.iterdir()} == {
        "results.json", "outcomes-1.jsonl", "report.html"
    }  # fmt: skip
    found = results(out)
    assert (found.set.name, found.set.rows, found.arms[0].outcomes) == (
        "llmbar", 24, "outcomes-1.jsonl"
    )  # fmt: skip
    assert len(rows_of(out / "outcomes-1.jsonl")) == 24


def test_a_replay_of_a_bench_has_its_very_figures(
    plaudit: Plaudit, llmbar: Path, tmp_path: Path
) -> None:
    def half_right(row: dict[str, Any]) -> str:
        return "A++" if "7" in row["id"] else right(row)

    half = by_label(llmbar, tmp_path / "half.jsonl", half_right)
    out, copy = tmp_path / "out", tmp_path / "copy"
    plaudit("bench", "llmbar", llmbar, "-e", half, "-o", out, "--limit", "20")
    again = plaudit("bench", "replay", "llmbar", llmbar, out, "-o", copy)
    assert again.status == 0, again.stderr
    (one,), (two,) = results(out).arms, results(copy).arms
    assert (one.score, one.overall, one.reliability) == (two.score, two.overall, two.reliability)
    assert sorted(s.name for s in one.subsets) == sorted(s.name for s in two.subsets)
    (found,) = plaudit("compare", out, copy, "--json").summary["judges"]
    assert found["common"] == 20
    assert all(one["difference"]["value"] == 0 for one in found["differences"])


def test_rows_of_other_sets_with_the_same_ids_are_not_paired(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        row = {"answer": "4", "reference": "4", "label": True}
        rows = [row | {"id": n, "question": f"{name} {n}?"} for n in range(12)]
        source = write_rows(tmp_path / f"{name}.jsonl", rows)
        plaudit("bench", "own", source, "--kind", "verify", "-o", tmp_path / name)
    done = plaudit("compare", tmp_path / "one", tmp_path / "two")
    assert done.status == 0, done.stderr
    assert "no sample is in both" in " ".join(done.stdout.split())


def test_two_results_are_compared(
    plaudit: Plaudit, llmbar: Path, judge: str, tmp_path: Path
) -> None:
    fewer = write_llmbar(tmp_path / "fewer", 12, 8)
    other = by_label(fewer, tmp_path / "other.jsonl", wrong)
    one, two = tmp_path / "one", tmp_path / "two"
    plaudit("bench", "llmbar", llmbar, "-e", judge, "-o", one)
    plaudit("bench", "llmbar", fewer, "-e", other, "-o", two)
    done = plaudit("compare", one, two / "results.json", "--json")
    assert done.status == 0, done.stderr
    (found,) = done.summary["judges"]
    assert found["common"] == 20
    values = {d["figure"]: d["difference"]["value"] for d in found["differences"]}
    assert values["forced_accuracy"] == -1
    shown = plaudit("compare", one, two)
    assert "the rows are not the same" in " ".join(shown.stdout.split())
    (two / "outcomes-1.jsonl").write_text("{", encoding="utf-8")
    assert plaudit("compare", one, two).status == 2


def test_results_of_other_sets_stand_side_by_side(
    plaudit: Plaudit, llmbar: Path, judge: str, tmp_path: Path
) -> None:
    rows = [{"question": "2+2?", "answer": "4", "reference": "4", "label": True}]
    source, one, two = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "one", tmp_path / "two"
    plaudit("bench", "own", source, "--kind", "verify", "-o", one)
    plaudit("bench", "llmbar", llmbar, "-e", judge, "-o", two)
    done = plaudit("compare", one, two)
    assert done.status == 0, done.stderr
    assert "the sets are others (own and llmbar)" in " ".join(done.stdout.split())
    assert plaudit("compare", one, source).status == 2
    assert "nowhere: no such file" in plaudit("compare", one, tmp_path / "nowhere").stderr


def test_the_sets_are_listed(plaudit: Plaudit) -> None:
    found = [json.loads(one) for one in plaudit("bench", "list", "--json").stdout.splitlines()]
    assert {one["set"] for one in found} >= {"llmbar", "judgebench", "evouna", "uss", "own"}
    assert all(one["licence"] and one["get"] and one["score"] for one in found)
    shown = plaudit("bench", "list").stdout
    assert "licence: " in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_embedded_model_is_measured(plaudit: Plaudit) -> None:
    command = ("bench", "own", EXAMPLES / "pairwise.jsonl", "--kind", "pairwise", "--limit", "2")
    done = plaudit(*command, "--json")
    assert done.status in (0, 1), done.stderr  # It may abstain on both.
    assert arm(done)["judge"]["model"].startswith("gguf-sha256:")
    assert arm(plaudit(*command, "--json"))["spending"]["engine_calls"] == 0
