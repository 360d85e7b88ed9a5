"""`plaudit score`: stored traces scored again, and the probe, end to end."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.errors import PlauditError
from plaudit.judges.answers.head import model as head
from plaudit.rollouts.rewards.cheats import SUBJECTS
from plaudit.rollouts.trace import SCHEMA, StopReason, Trace
from tests.rollouts.rewards.playing import RIGHT, Found, chunks, rollout, verdict
from tests.support.command import Plaudit, rows_of, write_rows

OPEN = "It was Swigert who flew in his place."
RULES = """
[rewards.correctness]
by = "rules"
undecided = 0.0
[rewards.search_effort]
weight = 0.1
"""


def traces(count: int = 4) -> list[Trace]:
    made = [
        rollout(Found(data=chunks("c1"))),
        rollout(answer="Lovell"),
        rollout(answer=None),
        rollout(answer=None, stop=StopReason.DEADLINE),
    ]
    return [
        msgspec.structs.replace(made[n % 4], id=f"q{n // 4}/{n % 4}", group=f"q{n // 4}")
        for n in range(count)
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def spec(home: Path) -> Path:
    path = home / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def here(*args: str | Path) -> Result:
    """Run `plaudit score` in this process, which spares the start of another."""
    return CliRunner().invoke(app, ["score", *map(str, args)])


def refused(*args: str | Path) -> tuple[str, int]:
    error = here(*args).exception
    assert isinstance(error, PlauditError), error
    return str(error), error.exit_status


def script(home: Path, reply: dict[str, Any]) -> str:
    return f"scripted:{write_rows(home / 'judge.jsonl', [{'match': {}, 'replies': [reply]}])}"


def test_traces_are_written_in_order_with_their_rewards(home: Path, spec: Path) -> None:
    source, out = write_rows(home / "in.jsonl", traces()), home / "out.jsonl"
    done = here(source, "-r", spec, "-o", out)
    assert done.exit_code == 0, done.output
    rows = rows_of(out)
    assert [row["id"] for row in rows] == ["q0/0", "q0/1", "q0/2", "q0/3"]
    assert [list(row["rewards"]) for row in rows] == [["correctness", "search_effort", "total"]] * 4
    assert [row["rewards"]["total"]["value"] for row in rows] == [1.05, 0.0, 0.0, None]
    assert rows[3]["rewards"]["total"]["cause"] == "broken_off"
    assert rows[0] | {"rewards": None} == msgspec.to_builtins(traces()[0])
    for scored in ("correctness", "total", "1 broken_off", "4 traces", "from 0 to 1.1"):
        assert scored in done.output


def test_scoring_again_replaces_the_scores_and_may_write_the_same_file(
    home: Path, spec: Path
) -> None:
    path = write_rows(home / "traces.jsonl", traces())
    here(path, "-r", spec, "-o", path)
    once = path.read_bytes()
    here(path, "-r", spec, "-o", path)
    assert path.read_bytes() == once


def test_the_summary_as_json(home: Path, spec: Path) -> None:
    source = write_rows(home / "in.jsonl", traces(40))
    done = here(source, "-r", spec, "--json")
    summary = json.loads(done.stdout)
    total = summary["rewards"]["total"]
    assert (summary["traces"], summary["rejected"], summary["broken"]) == (40, 0, 0)
    assert summary["scale"] == [0.0, 1.1]
    assert (total["scored"], total["unscored"]) == (30, {"broken_off": 10})
    assert total["mean"]["value"] == pytest.approx(0.35)
    assert total["mean"]["low"] == pytest.approx(0.35)  # all questions are alike
    assert list(home.glob("*.jsonl")) == [source]


def test_to_standard_output_nothing_else_is_written(home: Path, spec: Path) -> None:
    source = write_rows(home / "in.jsonl", traces())
    done = here(source, "-r", spec, "-o", "-")
    lines = done.stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [t.id for t in traces()]
    assert "4 traces" in done.stderr


def test_plain_chats_are_traces(home: Path, spec: Path) -> None:
    chat = {
        "messages": [
            {"role": "user", "content": "Who replaced the pilot?"},
            {"role": "assistant", "content": f"<think>hm</think>{RIGHT}"},
        ],
        "reference": RIGHT,
    }
    ended_on_a_tool = [*chat["messages"][:1], {"role": "tool", "content": RIGHT}]
    rows = [chat, chat | {"messages": ended_on_a_tool}, chat | {"reference": None}]
    out = home / "out.jsonl"
    assert here(write_rows(home / "in.jsonl", rows), "-r", spec, "-o", out).exit_code == 0
    found = [row["rewards"]["correctness"] for row in rows_of(out)]
    assert [score["value"] for score in found] == [1.0, 0.0, None]
    assert found[2]["cause"] == "no_reference"


def test_rows_that_are_no_trace_are_set_aside_with_their_place(home: Path, spec: Path) -> None:
    good = msgspec.to_builtins(traces()[0])
    rows = [good, {"text": "x"}, good | {"schema": SCHEMA + 1}, good | {"messages": 3}, good]
    source, out = write_rows(home / "in.jsonl", rows), home / "out.jsonl"
    with source.open("ab") as file:
        file.write(b"{broken\n")
    done = here(source, "-r", spec, "-o", out)
    assert done.exit_code == 1
    assert "4 rows rejected" in done.output
    assert len(rows_of(out)) == 2
    rejected = rows_of(home / "out.rejected.jsonl")
    assert [row["where"] for row in rejected] == [f"{source}:{n}" for n in (2, 3, 4, 6)]
    assert "upgrade" in rejected[1]["error"]
    message, status = refused(source, "-r", spec, "-o", home / "strict.jsonl", "--strict")
    assert (f"{source}:2" in message, status) == (True, 2)
    assert not (home / "strict.jsonl").exists()


def test_a_judge_is_asked_once_and_its_replies_are_kept(home: Path) -> None:
    (home / "judged.toml").write_text("[rewards.correctness]\n", encoding="utf-8")
    (home / "heavier.toml").write_text("[rewards.correctness]\nweight = 2\n", encoding="utf-8")
    source = write_rows(home / "in.jsonl", [rollout(answer=OPEN)])
    out, store = home / "out.jsonl", home / "replies.sqlite"
    for name, value in (("judged.toml", 1.0), ("heavier.toml", 2.0)):
        engine = script(home, {"text": verdict(), "delay": 0.01})
        done = here(source, "-r", name, "-e", engine, "-o", out, "--store", store)
        assert done.exit_code == 0, done.output
        assert rows_of(out)[0]["rewards"]["total"]["value"] == value
    assert store.exists()


@pytest.mark.parametrize(
    ("reply", "cause"), [({"error": "timeout"}, "judge_failed"), ({"text": "?"}, "judge_invalid")]
)
def test_a_judge_that_fails_is_no_number_and_exit_status_1(home: Path, reply, cause: str) -> None:
    source = write_rows(home / "in.jsonl", [rollout(answer=OPEN), rollout()])
    (home / "judged.toml").write_text("[rewards.correctness]\n", encoding="utf-8")
    done = here(source, "-r", "judged.toml", "-e", script(home, reply), "--json", "--no-cache")
    summary = json.loads(done.stdout)
    assert (done.exit_code, summary["broken"]) == (1, 1)
    assert summary["rewards"]["total"]["unscored"] == {cause: 1}
    assert summary["rewards"]["total"]["scored"] == 1


def test_an_engine_that_cannot_be_used_leaves_the_output_as_it_was(home: Path) -> None:
    source, out = write_rows(home / "in.jsonl", [rollout(answer=OPEN)]), home / "out.jsonl"
    out.write_text("as it was", encoding="utf-8")
    engine = script(home, {"error": "unusable"})
    message, status = refused(source, "-e", engine, "-o", out)
    assert (status, "unusable" in message) == (3, True)
    assert out.read_text(encoding="utf-8") == "as it was"
    assert sorted(path.name for path in home.glob("*.jsonl")) == [
        "in.jsonl", "judge.jsonl", "out.jsonl",
    ]  # fmt: skip
    assert not list(home.glob(".*partial"))


def test_the_limit_is_on_traces(home: Path, spec: Path) -> None:
    source = write_rows(home / "in.jsonl", traces(8))
    assert json.loads(here(source, "-r", spec, "--limit", "3", "--json").stdout)["traces"] == 3


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "give TRACES"),
        (["in.jsonl", "--probe"], "give TRACES"),
        (["--probe", "-o", "x.jsonl"], "leave out -o"),
        (["none.jsonl"], "no such file"),
        (["empty.jsonl"], "is empty"),
        (["bad.jsonl"], "no row is a trace; 1 rejected, the first: bad.jsonl:1"),
        (["in.jsonl", "-r", "none.toml"], "rewards none.toml: No such file"),
        (["in.jsonl", "-r", "bad.toml"], "bad.toml: x: there is no reward 'x'"),
        (["in.jsonl", "-o", "out.parquet"], "written as JSON Lines"),
        (["in.jsonl", "-o", "none/out.jsonl"], "does not exist"),
        (["in.jsonl", "-e", "nope:x"], "no engine 'nope'"),
    ],
)
def test_wrong_usage_is_told_and_writes_nothing(home: Path, args: list[str], why: str) -> None:
    write_rows(home / "in.jsonl", traces())
    write_rows(home / "bad.jsonl", [{"a": 1}])
    (home / "empty.jsonl").write_bytes(b"")
    (home / "bad.toml").write_text("[rewards.x]\n", encoding="utf-8")
    before = sorted(home.iterdir())
    message, status = refused(*args)
    assert (why in message, status) == (True, 2), message
    assert sorted(home.iterdir()) == before


# The probe


def test_the_probe_says_what_each_cheat_would_earn(home: Path, spec: Path) -> None:
    done = here("--probe", "-r", spec)
    assert done.exit_code == 0, done.output
    for scored in ("right answer", "forged verdict", "fifty searches", "pays none of these cheats"):
        assert scored in done.output
    report = json.loads(here("--probe", "-r", spec, "--json").stdout)
    assert report["questions"] == len(SUBJECTS)
    assert report["problems"] == []
    totals = {row["name"]: row["total"] for row in report["rows"]}
    assert totals["right answer"] == pytest.approx(1.1)
    assert totals["empty answer"] == totals["results poured out"] - 0.1 == 0.0


def test_a_specification_that_can_be_cheated_ends_with_status_1(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "decide", lambda p: None)
    done = here("--probe", "-e", script(home, {"text": verdict("correct")}))
    assert done.exit_code == 1
    assert "can be cheated" in done.output
    assert "problem: 'closed tags' earns at least half as much" in done.output
    careless = json.loads(
        here("--probe", "-e", f"scripted:{home / 'judge.jsonl'}", "--json").stdout
    )
    assert careless["problems"]


# As a process


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = msgspec.json.encode(rollout(*[Found(f"{n}", f"text {n} " * 200) for n in range(5)]))
    spec = tmp_path / "rules.toml"
    spec.write_text(RULES, encoding="utf-8")
    peaks = []
    for count in (200, 3000):
        source = tmp_path / f"{count}.jsonl"
        source.write_bytes((line + b"\n") * count)
        plaudit = Plaudit(tmp_path / "home")
        command = plaudit.command(
            "score", source, "-r", spec, "-o", tmp_path / "out.jsonl", "--json"
        )
        code = (
            "import resource, subprocess, sys\n"
            f"subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL)\n"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=110,
            env=plaudit.env,
        )
        peaks.append(int(done.stdout) * (1 if sys.platform == "darwin" else 1024))
        assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == count
    assert peaks[1] - peaks[0] < 8 * 2**20


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, spec: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", traces(2000))
    plaudit = Plaudit(tmp_path / "home")
    process = plaudit.start("score", source, "-r", spec, "-o", "-")
    assert process.stdout is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["id"] == "q0/0"
    process.stdout.close()
    assert process.wait(60) in (0, 1)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_an_interrupted_scoring_leaves_the_output_as_it_was(tmp_path: Path) -> None:
    source, out = write_rows(tmp_path / "in.jsonl", [rollout(answer=OPEN)]), tmp_path / "out.jsonl"
    out.write_text("as it was", encoding="utf-8")
    engine = script(tmp_path, {"text": verdict(), "delay": 60})
    process = Plaudit(tmp_path / "home").start("score", source, "-e", engine, "-o", out)
    partial = tmp_path / ".out.jsonl.partial"
    deadline = time.monotonic() + 60
    while not partial.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, scored = process.communicate(timeout=100)
    assert (process.returncode, "interrupted" in scored) == (130, True), scored
    assert out.read_text(encoding="utf-8") == "as it was"
    assert not partial.exists()


def test_without_an_engine_what_nobody_decides_is_no_number(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "decide", lambda p: None)
    rows = [rollout(answer=OPEN), rollout(), rollout(answer="")]
    source, out = write_rows(home / "in.jsonl", rows), home / "out.jsonl"
    done = here(source, "-o", out, "--json")
    assert done.exit_code == 0, done.output
    left, right, empty = (row["rewards"]["correctness"] for row in rows_of(out))
    assert (left["value"], left["cause"]) == (None, "undecided")
    assert (right["by"], right["value"], empty["by"], empty["value"]) == ("text", 1.0, "guard", 0.0)
    summary = json.loads(done.stdout)["rewards"]["correctness"]
    assert summary["decided_by"] == {"guard": 1, "text": 1}
    assert summary["unscored"] == {"undecided": 1}
    assert "correctness decided by: 1 guard, 1 text" in here(source).output
