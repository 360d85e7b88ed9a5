"""`plaudit judge` end to end with scripted replies."""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Forked, Here, Plaudit, rows_of, write_rows
from tests.support.waiting import wait_for_replies

KEYS = {
    "run", "samples", "ok", "abstained", "invalid", "failed", "rejected", "cached", "engine_calls",
    "input_tokens", "output_tokens", "seconds",
}  # fmt: skip


def row(n: int) -> dict[str, Any]:
    return {"id": f"r{n}", "query": f"question {n}", "answer": "a", "follow_up": f"text {n}."}


def reply(label: str, confidence: float = 0.9) -> dict[str, str]:
    text = json.dumps({"rationale": "because", "label": label, "confidence": confidence})
    return {"text": text}


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


@pytest.fixture
def script(tmp_path: Path) -> str:
    lines = [
        {"match": {"sample_id": "r1"}, "replies": [reply("neg_correction")]},
        {"match": {"sample_id": "r2"}, "replies": [reply("pos_praise", 0.3)]},
        {"match": {"sample_id": "r3"}, "replies": [{"text": "I cannot say."}]},
        {"match": {"sample_id": "r4"}, "replies": [{"error": "timeout"}]},
        {"match": {"sample_id": "r5"}, "replies": [reply("topic_shift")]},
        {"match": {}, "replies": [reply("pos_praise")]},
    ]
    return f"scripted:{write_rows(tmp_path / 'script.jsonl', lines)}"


def test_every_sample_has_one_verdict_in_order_and_the_summary_adds_up(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(8)])
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "feedback", source, "-e", script, "-o", out, "--json")
    verdicts = rows_of(out)
    assert [v["index"] for v in verdicts] == list(range(8))
    statuses = [v["status"] for v in verdicts]
    assert statuses == ["ok", "ok", "abstained", "invalid", "failed", "abstained", "ok", "ok"]
    assert [v["reward"] for v in verdicts] == [0.8, -0.8, None, None, None, None, 0.8, 0.8]
    causes = [v["error"] and v["error"]["cause"] for v in verdicts]
    assert causes == [
        None, None, "below_gate", "unparseable", "timeout", "topic_shift", None, None
    ]  # fmt: skip
    summary = done.summary
    assert summary.keys() >= KEYS
    assert [summary[k] for k in ("samples", "ok", "abstained", "invalid", "failed")] == [
        8, 4, 2, 1, 1
    ]  # fmt: skip
    assert done.status == 1


def test_failures_are_not_cached_as_neutral(plaudit: Plaudit, script: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(8)])
    out = tmp_path / "out.jsonl"
    first = plaudit("judge", "feedback", source, "-e", script, "-o", out, "--json")
    before = out.read_bytes()
    again = plaudit("judge", "feedback", source, "-e", script, "-o", out, "--json")
    assert first.summary["engine_calls"] == 9  # one each, and one repair
    assert again.summary["engine_calls"] == 1  # only what failed
    assert again.summary["cached"] == 7
    assert out.read_bytes() == before
    retried = plaudit("judge", "feedback", source, "-e", script, "--retry-invalid", "--json")
    assert retried.summary["engine_calls"] == 3  # what failed, and what was unusable with repair


def test_a_new_gate_costs_no_call_and_changes_abstentions(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in (0, 1, 2)])
    first = plaudit("judge", "feedback", source, "-e", script, "--json").summary
    second = plaudit("judge", "feedback", source, "-e", script, "--gate", "0", "--json").summary
    third = plaudit("judge", "feedback", source, "-e", script, "--gate", "0.95", "--json").summary
    assert (first["abstained"], second["abstained"], third["abstained"]) == (1, 0, 3)
    assert (second["engine_calls"], third["engine_calls"]) == (0, 0)


def test_another_template_or_sampling_asks_again(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(0)])
    template = tmp_path / "own.jinja"
    template.write_text("{{ query }} / {{ answer }} / {{ follow_up }}: JSON please")
    for extra in ((), ("--template", template), ("--max-tokens", "99"), ("--temperature", "1")):
        done = plaudit("judge", "feedback", source, "-e", script, "--json", *extra)
        assert done.summary["engine_calls"] == 1, extra


def test_duplicates_in_one_batch_are_sent_once(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(0)] * 50)
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "feedback", source, "-e", script, "-o", out, "--json")
    assert done.summary["engine_calls"] == 1
    assert len(rows_of(out)) == 50


def test_no_cache_neither_reads_nor_keeps(plaudit: Plaudit, script: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(0)])
    calls = [
        plaudit("judge", "feedback", source, "-e", script, "--json", *extra).summary["engine_calls"]
        for extra in (("--no-cache",), (), ("--no-cache",), (), ("--fresh",), ())
    ]
    assert calls == [1, 1, 1, 0, 1, 0]


def test_raw_and_no_input_shape_the_output(plaudit: Plaudit, script: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(0)])
    out = tmp_path / "out.jsonl"
    plaudit("judge", "feedback", source, "-e", script, "-o", out, "--raw", "--no-input")
    (verdict,) = rows_of(out)
    assert "input" not in verdict
    assert json.loads(verdict["raw"][0])["label"] == "pos_praise"


def test_limit_and_dry_run_send_no_more_than_they_say(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(6, 20)])
    plan = plaudit("judge", "feedback", source, "-e", script, "--dry-run", "--json").summary
    assert (plan["samples"], plan["calls"], plan["stored"]) == (14, 14, 0)
    done = plaudit("judge", "feedback", source, "-e", script, "--limit", "5", "--json").summary
    assert (done["samples"], done["engine_calls"]) == (5, 5)
    plan = plaudit("judge", "feedback", source, "-e", script, "--dry-run", "--json").summary
    assert (plan["calls"], plan["stored"]) == (9, 5)


def test_standard_input_and_output(plaudit: Plaudit, script: str) -> None:
    lines = "".join(json.dumps(row(n)) + "\n" for n in (6, 7))
    done = plaudit("judge", "feedback", "-", "-e", script, "-o", "-", "--json", input=lines)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["r6", "r7"]
    assert json.loads(done.stderr.splitlines()[-1])["samples"] == 2


def test_without_output_the_verdicts_are_printed(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(n) | {"label": "pos_praise"} for n in (6, 7)])
    done = plaudit("judge", "feedback", source, "-e", script)
    assert "text 6." in done.stdout
    assert "text 7." in done.stdout
    assert "agrees with the label in 2 of 2 ok" in done.stdout


def test_show_and_runs_tell_what_was_asked_replied_and_read(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(5)])
    name = plaudit("judge", "feedback", source, "-e", script, "--json").summary["run"]
    assert name in plaudit("runs").stdout
    listed = [json.loads(line) for line in plaudit("runs", "--json").stdout.splitlines()]
    assert listed[0]["run"] == name
    shown = [json.loads(line) for line in plaudit("show", name, "--json").stdout.splitlines()]
    assert [item["verdict"]["id"] for item in shown] == [f"r{n}" for n in range(5)]
    assert "text 1." in shown[1]["prompts"][0]
    assert "neg_correction" in shown[1]["replies"][0]
    failed = plaudit("show", "last", "--failed", "--json").stdout.splitlines()
    assert [json.loads(line)["verdict"]["status"] for line in failed] == ["invalid", "failed"]
    text = plaudit("show", "last").stdout
    assert "I cannot say." in text
    assert "timeout" in text


def test_show_names_question_reference_and_answer_for_verify(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    verdict = json.dumps({"reasoning": "same", "verdict": "correct", "confidence": 1})
    lines = [{"match": {}, "replies": [{"text": verdict}]}]
    script = f"scripted:{write_rows(tmp_path / 'v.jsonl', lines)}"
    rows = [
        {"question": "Capital of Peru?", "answer": "the town on the Rimac", "reference": "Lima"},
        {"question": "2+2?", "answer": "4.0", "reference": "4"},
    ]
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = plaudit("judge", "verify", source, "-e", script, "--json")
    assert done.summary["engine_calls"] == 1
    text = plaudit("show", "last").stdout
    for part in (
        "question: Capital of Peru?",
        "reference: Lima",
        "answer: the town on the Rimac",
        "as numbers",
    ):
        assert part in text


@pytest.mark.parametrize("kills", [4, pytest.param(12, marks=pytest.mark.full)])
def test_killed_at_random_moments_the_output_is_that_of_an_undisturbed_run(
    tmp_path: Path, kills: int
) -> None:
    lines = [{"match": {}, "replies": [{**reply("pos_praise"), "delay": 0.02}]}]
    script = f"scripted:{write_rows(tmp_path / 'slow.jsonl', lines)}"
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(600)])
    quiet = tmp_path / "quiet.jsonl"
    started = time.monotonic()
    Plaudit(tmp_path / "a")("judge", "feedback", source, "-e", script, "-o", quiet)
    whole = time.monotonic() - started  # Most of it is the start, however busy the machine is.
    store = tmp_path / "b" / "store.sqlite"
    out = tmp_path / "out.jsonl"
    args = ("judge", "feedback", source, "-e", script, "-o", out, "--json", "--concurrency", "10")
    plaudit, draw = Forked(tmp_path / "b"), random.Random(7)
    for number in range(kills):
        process = plaudit.start(*args)
        if number % 2:  # By the clock, and so during the start too.
            time.sleep(whole * draw.uniform(0.7, 1.6))
        else:
            wait_for_replies(store, 50 * (number + 1))
        process.kill()
        process.communicate()
    done = plaudit(*args)
    assert out.read_bytes() == quiet.read_bytes()
    assert 0 < done.summary["cached"] <= 600


def test_a_background_job_that_ignores_interrupts_is_ended_by_sigterm(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    lines = [{"match": {}, "replies": [{**reply("pos_praise"), "delay": 0.05}]}]
    script = f"scripted:{write_rows(tmp_path / 'slow.jsonl', lines)}"
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(2000)])
    args = ("judge", "feedback", source, "-e", script, "-o", tmp_path / "out.jsonl")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = plaudit.start(*args, "--concurrency", "20")
    finally:
        signal.signal(signal.SIGINT, before)
    wait_for_replies(plaudit.home / "store.sqlite", 150)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "same command" in stderr


def test_an_interrupt_leaves_the_output_untouched_and_goes_on_later(
    plaudit: Plaudit, tmp_path: Path
) -> None:
    lines = [{"match": {}, "replies": [{**reply("pos_praise"), "delay": 0.05}]}]
    script = f"scripted:{write_rows(tmp_path / 'slow.jsonl', lines)}"
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(2000)])
    out = tmp_path / "out.jsonl"
    out.write_text("untouched")
    args = ("judge", "feedback", source, "-e", script, "-o", out, "--concurrency", "20", "--json")
    process = plaudit.start(*args)
    wait_for_replies(plaudit.home / "store.sqlite", 150)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "same command" in stderr
    assert out.read_text() == "untouched"
    assert json.loads(plaudit("runs", "--json").stdout)["state"] == "interrupted"
    done = plaudit(*args)
    assert done.summary["cached"] > 100
    assert len(rows_of(out)) == 2000
    assert len(plaudit("runs", "--json").stdout.splitlines()) == 1
