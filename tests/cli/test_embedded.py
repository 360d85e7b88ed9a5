"""The command line with the real embedded model, and the same model behind a real socket."""

import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import EXAMPLES, Forked, Plaudit, rows_of, write_rows
from tests.support.waiting import wait_for_replies

SOURCES = {
    "feedback": "feedback.jsonl",
    "pointwise": "pointwise.jsonl",
    "pairwise": "pairwise.jsonl",
    "verify": "verify.jsonl",
}
OPTIONS = {
    "feedback": {
        "neg_constraint_restate", "neg_correction", "neg_confusion", "neutral", "pos_progress",
        "pos_praise", "topic_shift",
    },
    "pointwise": set(range(1, 11)),
    "pairwise": {"A", "B", "A=B"},
    "verify": {"correct", "incorrect"},
}  # fmt: skip
EMBEDDED = ("-e", "local")
"""Named, since `verify` asks no model otherwise."""
OPEN = ("ver-16", "ver-17", "ver-21")
"""Answers in the examples of `verify` that are left to a model."""


def few_rows(folder: Path, kind: str, count: int = 2) -> Path:
    """Some of the examples; for `verify` such as need a model, and one that does not."""
    rows = rows_of(EXAMPLES / SOURCES[kind])
    if kind == "verify":
        rows = [row for row in rows if row["id"] in OPEN] + rows[:1]
    return write_rows(folder / "few.jsonl", rows[:count])


@pytest.fixture(scope="module")
def plaudit(tmp_path_factory: pytest.TempPathFactory, local_weights: Path) -> Plaudit:
    return Forked(tmp_path_factory.mktemp("home"))


def check(kind: str, verdicts: list[dict[str, Any]]) -> None:
    assert [v["index"] for v in verdicts] == list(range(len(verdicts)))
    for verdict in verdicts:
        if verdict["status"] == "ok":
            assert verdict["value"] in OPTIONS[kind]
            assert isinstance(verdict["reward"], float | int)
            assert verdict["error"] is None
        else:
            assert verdict["reward"] is None
            assert verdict["error"]["cause"]
        if verdict["probabilities"] is not None:
            assert abs(sum(verdict["probabilities"].values()) - 1) < 1e-9


@pytest.mark.parametrize(
    "kind",
    [
        "feedback",
        *(pytest.param(k, marks=pytest.mark.full) for k in ("pointwise", "pairwise")),
        "verify",
    ],
)
def test_logprob_readout_on_examples_is_complete_ordered_and_repeats_for_free(
    plaudit: Plaudit, tmp_path: Path, kind: str
) -> None:
    args = ("judge", kind, few_rows(tmp_path, kind), *EMBEDDED, "--json")
    out = tmp_path / "out.jsonl"
    first = plaudit(*args, "-o", out)
    assert first.status == 0, first.stderr
    assert first.summary["engine_calls"] >= 2
    check(kind, rows_of(out))
    before = out.read_bytes()
    second = plaudit(*args, "-o", out)
    assert second.summary["engine_calls"] == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize("kind", [pytest.param("feedback", marks=pytest.mark.full), "verify"])
def test_json_readout_is_constrained_to_the_schema(
    plaudit: Plaudit, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out.jsonl"
    source = few_rows(tmp_path, kind, 1)
    plaudit("judge", kind, source, *EMBEDDED, "--readout", "json", "-o", out)
    verdicts = rows_of(out)
    check(kind, verdicts)
    assert len(verdicts) == 1


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("readout", ["logprob", "json"])
@pytest.mark.parametrize("kind", SOURCES)
def test_all_examples_in_both_readouts(
    plaudit: Plaudit, tmp_path: Path, kind: str, readout: str
) -> None:
    source, out = EXAMPLES / SOURCES[kind], tmp_path / "out.jsonl"
    args = (*EMBEDDED, "--readout", readout, "-o", out, "--json")
    done = plaudit("judge", kind, source, *args, timeout=1700)
    check(kind, rows_of(out))
    assert done.summary["samples"] == len(rows_of(source))


@pytest.mark.parametrize(
    ("kind", "name"), [("pointwise", "individual.json"), ("pairwise", "comparison.json")]
)
def test_a_single_object_is_judged(plaudit: Plaudit, tmp_path: Path, kind: str, name: str) -> None:
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", kind, EXAMPLES / name, "-o", out)
    assert done.status == 0, done.stderr
    (verdict,) = rows_of(out)
    check(kind, [verdict])


@pytest.mark.full
def test_the_embedded_judge_is_useful_on_the_examples(plaudit: Plaudit, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "feedback", EXAMPLES / "feedback.jsonl", "-o", out, "--json")
    verdicts = rows_of(out)
    assert len(verdicts) >= 40
    assert done.summary["ok"] >= len(verdicts) / 2
    labels = [v["metadata"]["label"] for v in verdicts]
    assert set(labels) == OPTIONS["feedback"]
    right = sum(v["value"] == label for v, label in zip(verdicts, labels, strict=True))
    assert right >= len(verdicts) / 2
    rewards = [v["fields"]["expected_reward"] for v in verdicts]
    praise = [r for r, label in zip(rewards, labels, strict=True) if label == "pos_praise"]
    anger = [r for r, label in zip(rewards, labels, strict=True) if label.startswith("neg_")]
    wins = sum((p > n) + (p == n) / 2 for p in praise for n in anger)
    assert wins / (len(praise) * len(anger)) >= 0.95


@pytest.mark.parametrize("kind", ["verify", pytest.param("feedback", marks=pytest.mark.full)])
def test_shuffled_rows_and_a_new_store_give_the_same_verdicts_to_the_last_digit(
    plaudit: Plaudit, tmp_path: Path, kind: str
) -> None:
    rows = rows_of(few_rows(tmp_path, kind, 3 if kind == "verify" else 6))
    shuffled = random.Random(3).sample(rows, len(rows))
    outs = []
    for name, given in (("a", rows), ("b", shuffled)):
        source = write_rows(tmp_path / f"{name}.jsonl", given)
        out = tmp_path / f"{name}.out.jsonl"
        Forked(tmp_path / name)("judge", kind, source, *EMBEDDED, "-o", out)
        outs.append({v["id"]: v | {"index": None} for v in rows_of(out)})
    assert outs[0] == outs[1]


def test_a_long_answer_is_not_cut_in_silence(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = [
        {"id": "long", "query": "Q", "answer": "word " * 400_000, "follow_up": "thanks"},
        {"id": "short", "query": "2+2?", "answer": "4", "follow_up": "Great, thank you!"},
    ]
    out = tmp_path / "out.jsonl"
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = plaudit("judge", "feedback", source, "-o", out, "--json")
    long, short = rows_of(out)
    assert (long["status"], long["error"]["cause"]) == ("failed", "context_overflow")
    assert "nothing was cut" in long["error"]["message"].lower()
    assert short["value"] == "pos_praise"
    assert done.status == 1


SERVER = """
import sys, time
from plaudit.engines.llama.native import Settings, default_threads, make_server
from plaudit.engines.llama.models import ensure
settings = Settings(context=8192, slots=1, threads=default_threads())
server = make_server(ensure("smollm2-135m-instruct"), settings, "127.0.0.1", int(sys.argv[1]))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def served(local_weights: Path) -> Iterator[str]:
    """The same model with the same settings as an OpenAI-compatible server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield f"http://127.0.0.1:{port}/v1"
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    "kind",
    [
        *(pytest.param(k, marks=pytest.mark.full) for k in ("feedback", "pointwise", "verify")),
        "pairwise",
    ],
)
def test_the_same_model_over_a_socket_gives_the_same_values(
    plaudit: Plaudit, served: str, tmp_path: Path, kind: str
) -> None:
    found, source = [], few_rows(tmp_path, kind)
    for engine in ("local", f"openai:same@{served}"):
        out = tmp_path / "out.jsonl"
        args = ("judge", kind, source, "--mode", "completion", "-e", engine)
        done = plaudit(*args, "--gate", "0", "-o", out)
        assert done.status == 0, done.stderr
        found.append(rows_of(out))
    for local, remote in zip(*found, strict=True):
        assert local["value"] == remote["value"]
        for label, p in (local["probabilities"] or {}).items():
            assert abs(p - remote["probabilities"][label]) < 1e-6


@pytest.mark.full
def test_with_twenty_log_probabilities_no_winner_is_wrong(
    plaudit: Plaudit, served: str, tmp_path: Path
) -> None:
    source, outs = EXAMPLES / "feedback.jsonl", []
    for engine in ("local", f"openai:same@{served}?logprobs=20"):
        out = tmp_path / "out.jsonl"
        args = ("--mode", "completion", "--gate", "0", "--limit", "12", "-e", engine)
        plaudit("judge", "feedback", source, *args, "-o", out)
        outs.append(rows_of(out))
    for whole, limited in zip(*outs, strict=True):
        if limited["status"] == "invalid":
            assert limited["error"]["cause"] == "options_not_visible"
        else:
            assert limited["value"] == whole["value"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "kills", "limit"),
    [("pointwise", 1, "2"), pytest.param("feedback", 20, "56", marks=pytest.mark.full)],
)
def test_killed_and_started_again_the_embedded_run_ends_the_same(
    plaudit: Plaudit, tmp_path: Path, kind: str, kills: int, limit: str
) -> None:
    args = ("judge", kind, EXAMPLES / SOURCES[kind], "--limit", limit, "--json")
    quiet, out = tmp_path / "quiet.jsonl", tmp_path / "out.jsonl"
    plaudit(*args, "-o", quiet, timeout=800)
    again = Plaudit(tmp_path / "home")
    for number in range(kills):
        process = again.start(*args, "-o", out)
        wait_for_replies(again.home / "store.sqlite", 2 * number + 1)
        process.kill()
        process.communicate()
    again(*args, "-o", out, timeout=800)
    assert json.loads(again("runs", "--json").stdout.splitlines()[0])["state"] == "finished"
    assert out.read_bytes() == quiet.read_bytes()
