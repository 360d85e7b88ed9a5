"""Shots on the command line: pools looked at, drawn from and judged with; swapping changes nothing.

With a real model, the property of `test_swapping_the_responses_mirrors_every_verdict` is seen so:
exchange response_a and response_b (or conversation_A and conversation_B) of every row of
examples/pairwise.jsonl, judge both files with the same --shots and --select, and compare
`fields.p_a`, which must add up to 1.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from plaudit.judges.pairwise import CHOICES
from tests.support.command import EXAMPLES, Here, Plaudit, rows_of, write_rows
from tests.support.server import FakeOpenAI, chat

PAIRS = EXAMPLES / "pairwise.jsonl"
_OTHER = {
    "response_a": "response_b", "response_b": "response_a",
    "conversation_A": "conversation_B", "conversation_B": "conversation_A",
}  # fmt: skip


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


@pytest.fixture
def script(tmp_path: Path) -> str:
    logprobs = {"right": -0.1, "wrong": -2.5}
    lines = [{"match": {}, "replies": [{"text": "right", "logprobs": logprobs}]}]
    return f"scripted:{write_rows(tmp_path / 'script.jsonl', lines)}"


def row(n: int, label: str | None = None) -> dict[str, Any]:
    found = {"question": f"Where is number {n}?", "answer": f"in place {n}", "reference": "here"}
    return found if label is None else found | {"label": label}


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    rows = [row(n, "correct" if n % 2 else "incorrect") for n in range(6)]
    return write_rows(tmp_path / "pool.jsonl", rows)


def by_hash(body: Any) -> dict[str, Any]:
    """A judge with an opinion on every prompt, and none that would follow from its content."""
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).digest()
    if not body.get("logprobs"):
        texts = (
            "analysis of A",
            "analysis of B",
            "reason of A=B",
            "reason of A>B",
            "reason of B>A",
        )
        choice = list(CHOICES)[digest[0] % len(CHOICES)]
        return chat(json.dumps(dict.fromkeys(texts, "text") | {"choice": choice}))
    weights = {word: 1 + digest[n] for n, word in enumerate(("first", "second", "equal"))}
    total = sum(weights.values())
    top = sorted(((w, math.log(x / total)) for w, x in weights.items()), key=lambda p: -p[1])
    return chat(top[0][0], top)


def swapped(row: Mapping[str, Any]) -> dict[str, Any]:
    return {_OTHER.get(name, name): value for name, value in row.items()}


@pytest.mark.parametrize(
    ("select", "readout"),
    [
        ("fixed", "logprob"),
        ("random", "logprob"),
        ("similar", "logprob"),
        pytest.param("similar", "json", marks=pytest.mark.full),
        pytest.param("random", "json", marks=pytest.mark.full),
    ],
)
def test_swapping_the_responses_mirrors_every_verdict(
    plaudit: Plaudit, tmp_path: Path, select: str, readout: str
) -> None:
    source = tmp_path / "swapped.jsonl"
    write_rows(source, [swapped(row) for row in rows_of(PAIRS)])
    one, other, fresh = (tmp_path / f"{name}.jsonl" for name in ("one", "other", "fresh"))
    with FakeOpenAI(by_hash) as server:
        judge = ("-e", f"vllm:m@{server.url}", "--shots", 4, "--select", select, "--json")
        judge = (*judge, "--readout", readout)
        first = plaudit("judge", "pairwise", PAIRS, *judge, "-o", one)
        second = plaudit("judge", "pairwise", source, *judge, "-o", other)
        plaudit("judge", "pairwise", source, *judge, "-o", fresh, "--fresh")
    assert first.summary["engine_calls"] == 2 * first.summary["samples"]
    assert second.summary["engine_calls"] == 0  # the very same requests
    mirror = {"A": "B", "B": "A", "A=B": "A=B"}
    for again in (other, fresh):
        for a, b in zip(rows_of(one), rows_of(again), strict=True):
            assert a["fields"]["p_a"] + b["fields"]["p_a"] == pytest.approx(1, abs=1e-6)
            assert (b["value"], b["status"]) == (mirror[a["value"]], a["status"])
    assert len({round(v["fields"]["p_a"], 6) for v in rows_of(one)}) > 2


def test_a_leaking_shot_is_withheld_and_the_run_says_so(
    plaudit: Plaudit, script: str, pool: Path, tmp_path: Path
) -> None:
    leaked = row(3) | {"question": "where is number 3 ?", "id": "leaked"}
    source = write_rows(tmp_path / "in.jsonl", [leaked, row(77)])
    judge = ("-e", script, "--pool", pool, "--shots", 6)
    done = plaudit("judge", "verify", source, *judge, "--json")
    (note,) = done.summary["notes"]
    assert note.startswith("1 shot withheld from 1 sample")
    shown = plaudit("prompt", "verify", source, *judge, "--json", "--limit", "2")
    prompts = [json.loads(line)["prompt"] for line in shown.stdout.splitlines()]
    assert [len(prompt) for prompt in prompts] == [1 + 2 * 5 + 1, 1 + 2 * 6 + 1]
    assert "note: 1 shot withheld" in shown.stderr
    assert done.status == 0


def test_a_pool_smaller_than_n_is_noted(
    plaudit: Plaudit, script: str, pool: Path, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(77)])
    done = plaudit("judge", "verify", source, "-e", script, "--pool", pool, "--shots", "9")
    assert "the pool has 6 shots, fewer than the 9 asked for" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "is empty"),
        ([row(1, "correct"), row(2, "correct")], "has the label 'correct'"),
        ([row(1, "correct"), row(2, "maybe")], "pool.jsonl:2: the label 'maybe' is unknown"),
        ([{"a": 1}], "pool.jsonl:1: the field 'question' is missing"),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused_before_anything_is_asked(
    plaudit: Plaudit, script: str, tmp_path: Path, content: list[Any], problem: str
) -> None:
    pool = write_rows(tmp_path / "pool.jsonl", content)
    source, out = write_rows(tmp_path / "in.jsonl", [row(77)]), tmp_path / "out.jsonl"
    done = plaudit("judge", "verify", source, "-e", script, "--pool", pool, "-o", out)
    assert done.status == 2
    assert problem in " ".join(done.stderr.split())
    assert not out.exists()


def test_pools_are_shown_sampled_and_checked(plaudit: Plaudit, pool: Path, tmp_path: Path) -> None:
    shown = plaudit("shots", "show", pool, "--json")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == rows_of(pool)
    table = plaudit("shots", "show", "pairwise")
    assert table.stdout.count("pairwise.pool.jsonl:") == 24
    drawn = plaudit("shots", "sample", pool, "-n", "4", "--seed", "3", "--json")
    labels = [json.loads(line)["label"] for line in drawn.stdout.splitlines()]
    assert sorted(labels) == ["correct"] * 2 + ["incorrect"] * 2
    source = write_rows(tmp_path / "in.jsonl", [row(2)])
    near = plaudit("shots", "sample", pool, "--select", "similar", "--for", source, "-n", "9")
    assert "number 2?" not in near.stdout  # the sample itself
    assert near.stdout.count("number") == 5
    assert "no more than 5" in near.stderr
    checked = plaudit("shots", "check", pool)
    assert (checked.status, "6 shots for the verify judge" in checked.stdout) == (0, True)


def test_a_pool_with_problems_is_told_of_and_ends_with_1(plaudit: Plaudit, tmp_path: Path) -> None:
    rows = [row(1, "correct"), row(2, "wrong"), row(1, "incorrect"), row(4, "incorrect")]
    pool = write_rows(tmp_path / "pool.jsonl", rows)
    done = plaudit("shots", "check", pool, "--json")
    report = json.loads(done.stdout)
    assert done.status == 1
    assert [p.partition("pool.jsonl")[2][:3] for p in report["problems"]] == [":2:", ":3:"]
    assert (report["judge"], report["labels"]) == ("verify", {"correct": 1, "incorrect": 1})
    assert plaudit("shots", "show", pool).status == 1
    assert "cannot be used" in plaudit("shots", "check", pool).stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("shots", "sample", "verify", "--select", "random"), "chosen for a sample"),
        (("shots", "sample", "verify", "--select", "best"), "no selection 'best'"),
        (("shots", "check", "no-such-file"), "No such file"),
        (("judge", "verify", "{in}", "-e", "{script}", "--select", "best"), "select"),
        (("prompt", "verify", "{in}", "-e", "{script}", "--tokens"), "cannot be shown"),
        (
            ("prompt", "verify", "{in}", "-e", "{script}", "--template", "a", "--template", "b"),
            "--template: give one FILE, or chat=FILE and completion=FILE",
        ),
    ],
)
def test_wrong_usage_is_explained(
    plaudit: Plaudit, script: str, tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    source = str(write_rows(tmp_path / "in.jsonl", [row(1)]))
    given = [a.replace("{in}", source).replace("{script}", script) for a in arguments]
    done = plaudit(*given)
    assert done.status == 2
    assert problem in " ".join(done.stderr.split())


def test_templates_by_mode(plaudit: Plaudit, script: str, pool: Path, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [row(77)])
    shot, reply = tmp_path / "shot.jinja", tmp_path / "reply.jinja"
    shot.write_text("EXAMPLE {{ text }} {{ reply }}")
    reply.write_text("{{ word }}!")
    options = ("-e", script, "--pool", pool, "--shot-template", f"completion={shot}")
    options = (*options, "--feedback-template", reply)
    completion = plaudit("prompt", "verify", source, *options, "--mode", "completion").stdout
    assert completion.count("EXAMPLE ") == completion.count("!\n") == 3
    chatted = plaudit("prompt", "verify", source, *options, "--mode", "chat")
    assert (chatted.stdout.count("EXAMPLE "), chatted.stdout.count("!\n")) == (0, 3)
    assert "the template of shots is for completion mode" in chatted.stderr
