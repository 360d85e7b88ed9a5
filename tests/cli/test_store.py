"""`plaudit store`, and the store under several real processes: shared, killed, pruned, damaged."""

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.engines.base import Completion
from plaudit.errors import UsageError
from plaudit.store.store import Store
from tests.support.command import Here, Plaudit, rows_of, write_rows
from tests.support.waiting import wait_for_replies

SAMPLES = 200


def row(n: int) -> dict[str, Any]:
    return {"id": f"r{n}", "query": f"question {n}", "answer": "a", "follow_up": f"text {n}."}


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Here(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.jsonl", [row(n) for n in range(SAMPLES)])


def script(folder: Path, delay: float = 0.0, name: str = "script") -> str:
    text = json.dumps({"rationale": "b" * 100, "label": "pos_praise", "confidence": 0.9})
    reply = {"text": text, "delay": delay}
    return f"scripted:{write_rows(folder / f'{name}.jsonl', [{'match': {}, 'replies': [reply]}])}"


def judge(source: Path, engine: str, out: Path, *more: str) -> tuple[str | Path, ...]:
    return ("judge", "feedback", source, "-e", engine, "-o", out, "--json", *more)


def store_of(plaudit: Plaudit) -> Path:
    return plaudit.home / "store.sqlite"


def count(plaudit: Plaudit, table: str = "reply") -> int:
    with closing(sqlite3.connect(store_of(plaudit))) as store:
        return store.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def wait_for(plaudit: Plaudit, replies: int) -> None:
    """Wait until so many replies are committed."""
    wait_for_replies(store_of(plaudit), replies)


def end(process: "subprocess.Popen[str]") -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    return json.loads(stdout.splitlines()[-1])


# The commands


def test_info_and_prune(plaudit: Plaudit, source: Path, tmp_path: Path):
    command = judge(source, script(tmp_path), tmp_path / "out.jsonl")
    assert plaudit(*command).status == 0
    info = plaudit("store", "info", "--json").summary
    assert (info["replies"], info["verdicts"]) == (SAMPLES, SAMPLES)
    assert info["runs"] == {"finished": 1}
    assert info["in_use"] is False
    done = plaudit("store", "prune", "--max-size", "0", "--json").summary
    assert (done["replies"], done["runs"], done["verdicts"]) == (SAMPLES, 1, SAMPLES)
    assert done["size_after"] < 0.5 * done["size_before"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAUDIT_HOME", str(tmp_path))
    with Store(tmp_path / "store.sqlite") as store:
        for number in range(10):
            store.put_reply(bytes([number] * 16), Completion(text="x" * 1_000))
        store.end_run(store.begin_run(b"one", "feedback", b"{}").number, "finished", b"{}")
        yield store


def said(*args: str) -> str:
    """Return what a command prints; its errors are raised."""
    done = CliRunner().invoke(app, ["store", *args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_is_said_to_a_person(store: Store):
    info = said("info")
    assert f"store     {store.path} (schema 4)" in info
    assert "replies   10, 10.1 kB" in info
    assert "runs      1 finished" in info
    assert "in use    yes" in info  # By this test.
    planned = said("prune", "--older-than", "0d", "--max-size", "0", "--dry-run")
    assert "would remove 10 replies (10.1 kB), 1 runs, 0 verdicts" in planned
    assert store.get_reply(bytes([3] * 16)) is not None
    assert "removed 10 replies" in said("prune", "--max-size", "0")
    assert store.get_reply(bytes([3] * 16)) is None
    assert "still larger than asked" in said("prune", "--max-size", "0")


def test_limit_is_shown_set_and_what_prune_goes_by(store: Store):
    with pytest.raises(UsageError, match=r"say what is to be removed: --max-size SIZE.*limit SIZE"):
        said("prune")
    assert said("limit") == "none\n"
    assert said("limit", "50GB") == "50 GB\n"
    assert said("limit", "--json") == '{"limit":50000000000}\n'
    assert json.loads(said("prune", "--json"))["replies"] == 0
    assert said("limit", "none") == "none\n"
    with pytest.raises(UsageError, match=r"a limit of '5kB' is too small: at least 1 MB"):
        said("limit", "5kB")
    with pytest.raises(UsageError, match="'large' is not a size"):
        said("prune", "--max-size", "large")
    with pytest.raises(UsageError, match="'3' is not an age"):
        said("prune", "--older-than", "3")


def test_there_is_nothing_yet(tmp_path: Path):
    missing = tmp_path / "none" / "store.sqlite"
    for command in ("info", "prune"):
        with pytest.raises(UsageError, match="there is no store at"):
            said(command, "--store", str(missing))
    assert not missing.parent.exists()


def test_a_damaged_store_is_reported_set_aside_and_recovered(plaudit: Plaudit, tmp_path: Path):
    samples = 4 * SAMPLES
    source = write_rows(tmp_path / "in.jsonl", [row(n) for n in range(samples)])
    out = tmp_path / "out.jsonl"
    command = judge(source, script(tmp_path), out)
    assert plaudit(*command).status == 0
    before = out.read_bytes()
    _break_a_page(store_of(plaudit))
    failed = plaudit(*command)
    assert failed.status == 2
    assert f"the store {store_of(plaudit)} is damaged" in failed.stderr
    assert "the next command sets it aside" in " ".join(failed.stderr.split())
    assert out.read_bytes() == before
    assert rows_of(out)[0]["status"] == "ok"

    info = plaudit("store", "info", "--json")
    assert "WARNING" in info.stderr
    (aside,) = info.summary["damaged"]
    assert info.summary["replies"] == 0
    assert f"plaudit store recover {aside} --store" in info.stderr
    back = plaudit("store", "recover", aside, "--json").summary
    assert samples * 0.5 < back["new"] < samples
    again = plaudit(*command).summary
    assert (again["cached"], again["engine_calls"]) == (back["new"], samples - back["new"])
    assert out.read_bytes() == before


def _break_a_page(path: Path) -> None:
    """Zero a page of replies that opening the store does not look at."""
    with closing(sqlite3.connect(path)) as store:
        rows = store.execute("SELECT completion FROM reply ORDER BY rowid").fetchall()
    replies = [sealed[:50] for (sealed,) in rows]
    looked_at = {replies[(len(replies) - 1) * n // 15] for n in range(16)}
    data = path.read_bytes()
    for start in range(0, len(data), 4096):
        page = data[start : start + 4096]
        found = {reply for reply in replies if reply in page}
        if page[0] == 0x0D and found and not found & looked_at:
            path.write_bytes(data[:start] + bytes(4096) + data[start + 4096 :])
            return
    raise AssertionError("no such page")


# Several processes


def test_two_runs_at_once_share_what_they_can(plaudit: Plaudit, source: Path, tmp_path: Path):
    engine = script(tmp_path, delay=0.01)
    outs = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    summaries = [end(p) for p in [plaudit.start(*judge(source, engine, out)) for out in outs]]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len({summary["run"] for summary in summaries}) == 2
    assert count(plaudit) == SAMPLES
    assert count(plaudit, "verdict") == 2 * SAMPLES


def test_the_same_command_twice_at_once(plaudit: Plaudit, source: Path, tmp_path: Path):
    out = tmp_path / "out.jsonl"
    command = judge(source, script(tmp_path, delay=0.01), out)
    processes = [plaudit.start(*command) for _ in range(2)]
    results = [(p.communicate(timeout=100), p.returncode) for p in processes]
    for (_, stderr), status in results:
        assert status == 0 or (status == 2 and "another plaudit" in stderr), stderr
        assert "Traceback" not in stderr
    assert [status for _, status in results].count(0) >= 1
    assert [verdict["index"] for verdict in rows_of(out)] == list(range(SAMPLES))
    assert plaudit(*command).summary["engine_calls"] == 0


def test_one_is_killed_while_the_other_goes_on(plaudit: Plaudit, source: Path, tmp_path: Path):
    few = ("--concurrency", "5")
    slow, slower = script(tmp_path, 0.01), script(tmp_path, 0.02, "slower")
    kept, lost = tmp_path / "kept.jsonl", tmp_path / "lost.jsonl"
    going_on = plaudit.start(*judge(source, slow, kept, *few))
    killed = plaudit.start(*judge(source, slower, lost, *few))
    wait_for(plaudit, 100)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert end(going_on)["ok"] == SAMPLES
    assert not lost.exists()
    again = plaudit(*judge(source, slower, lost)).summary
    assert again["samples"] == again["ok"] == SAMPLES
    assert again["cached"] + again["engine_calls"] == SAMPLES
    assert [v["reward"] for v in rows_of(lost)] == [v["reward"] for v in rows_of(kept)]
    with closing(sqlite3.connect(store_of(plaudit))) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store.execute("SELECT DISTINCT state FROM run").fetchall() == [("finished",)]


def test_prune_while_a_run_goes_on(plaudit: Plaudit, source: Path, tmp_path: Path):
    plaudit(*judge(source, script(tmp_path), tmp_path / "old.jsonl"))
    out = tmp_path / "out.jsonl"
    command = judge(source, script(tmp_path, 0.05, "slow"), out, "--concurrency", "5")
    going_on = plaudit.start(*command)
    wait_for(plaudit, SAMPLES + 20)
    here = ("--store", str(store_of(plaudit)))
    done = json.loads(said("prune", "--max-size", "0", "--json", *here))
    assert going_on.poll() is None  # Else this shows nothing.
    assert (done["replies"], done["runs"]) == (SAMPLES, 1)
    assert done["spared_for"] == ["feedback-0002"]
    assert done["kept_over_size"] is True
    with pytest.raises(UsageError, match="feedback-0002 is being run"):
        said("prune", "--forget", "feedback-0002", *here)
    assert end(going_on)["engine_calls"] == SAMPLES
    assert plaudit(*command).summary["cached"] == SAMPLES


def test_an_interrupted_run_loses_nothing_to_prune_and_limit(
    plaudit: Plaudit, source: Path, tmp_path: Path
):
    plaudit.env["PLAUDIT_STORE_LIMIT"] = "10kB"
    command = judge(source, script(tmp_path, 0.01), tmp_path / "out.jsonl", "--concurrency", "5")
    going_on = plaudit.start(*command)
    wait_for(plaudit, 50)
    going_on.send_signal(signal.SIGINT)
    _, stderr = going_on.communicate(timeout=100)
    assert going_on.returncode == 130
    assert "over its limit of 10 kB" in " ".join(stderr.split())
    kept = count(plaudit)
    assert plaudit("store", "prune", "--max-size", "0", "--json").summary["replies"] == 0
    assert count(plaudit) == kept
    assert plaudit(*command).summary["cached"] == kept >= 50


def _without_override() -> None:
    """Let file permissions hold for root too."""
    import ctypes

    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def test_defect_55_the_store_and_logs_are_for_their_user_alone(
    plaudit: Plaudit, source: Path, tmp_path: Path
) -> None:
    def open_to_all() -> None:
        os.umask(0o022)

    log, arguments = tmp_path / "log.txt", judge(source, script(tmp_path), tmp_path / "out.jsonl")
    done = plaudit("--log-file", log, *arguments, "-v", preexec_fn=open_to_all)
    assert done.status == 0, done.stderr
    private = [log, *plaudit.home.iterdir()]
    assert store_of(plaudit) in private
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in private} == {
        path.name: "0o0" for path in private
    }
    assert plaudit.home.stat().st_mode & 0o077 == 0
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o644  # As the umask says.


@pytest.mark.parametrize("folder_too", [False, True])
def test_defect_55_runs_of_a_store_that_is_only_readable(
    plaudit: Plaudit, source: Path, tmp_path: Path, folder_too: bool
) -> None:
    plaudit(*judge(source, script(tmp_path), tmp_path / "out.jsonl", "--limit", "3"))
    before = plaudit("runs", "--json").stdout
    shown = plaudit("show", "last", "--json").stdout
    store_of(plaudit).chmod(0o444)
    if folder_too:
        plaudit.home.chmod(0o555)
    try:
        runs = plaudit("runs", "--json", preexec_fn=_without_override)
        show = plaudit("show", "last", "--json", preexec_fn=_without_override)
        assert (runs.status, runs.stdout) == (0, before), runs.stderr
        assert (show.status, show.stdout) == (0, shown), show.stderr
    finally:
        plaudit.home.chmod(0o755)
    assert "only read" not in plaudit("runs").stderr
