"""Bad input, each with a clear message and the exit status that it deserves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import EXAMPLES, Forked, Here, Plaudit, rows_of, write_rows
from tests.support.server import FakeOpenAI, Reply

GOOD = {"query": "2+2?", "answer": "4", "follow_up": "thanks"}
PRAISE = '{"rationale": "r", "label": "pos_praise", "confidence": 0.9}'


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Forked(tmp_path / "home")


@pytest.fixture
def here(tmp_path: Path) -> Here:
    """Far quicker, for the many ways to be refused at once."""
    return Here(tmp_path / "home")


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = write_rows(tmp_path / "script.jsonl", [{"match": {}, "replies": [{"text": PRAISE}]}])
    return f"scripted:{path}"


def test_no_such_file(plaudit: Plaudit, script: str) -> None:
    done = plaudit("judge", "feedback", "nowhere.jsonl", "--engine", script)
    assert done.status == 2
    assert "nowhere.jsonl" in done.stderr


def test_empty_file(plaudit: Plaudit, script: str, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    done = plaudit("judge", "feedback", tmp_path / "empty.jsonl", "--engine", script)
    assert done.status == 2
    assert "empty" in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"query": "a", ', "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"12", "not a JSON object"),
        (b'{"query": "a", "answer": "b"}', "'follow_up' is missing"),
        (b'{"query": null, "answer": "b", "follow_up": "c"}', "'query' must be text, not null"),
        (b'{"query": "a", "answer": 4, "follow_up": "c"}', "'answer' must be text, not a number"),
        (b'{"query": "a\xff", "answer": "b", "follow_up": "c"}', "UTF-8"),
        (b'{"messages": [{"role": "user", "content": "hi"}]}', "no user message that follows"),
    ],
)
def test_a_malformed_row_is_named_and_does_not_stop_the_rest(
    plaudit: Plaudit, script: str, tmp_path: Path, line: bytes, says: str
) -> None:
    good = json.dumps(GOOD).encode()
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([good, line, good]) + b"\n")
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "feedback", tmp_path / "in.jsonl", "-e", script, "-o", out, "--json")
    assert done.status == 1
    assert done.summary["rejected"] == 1
    assert [row["status"] for row in rows_of(out)] == ["ok", "ok"]
    (rejected,) = rows_of(tmp_path / "out.rejected.jsonl")
    assert "in.jsonl:2" in rejected["where"]
    assert says in rejected["error"]


def test_strict_stops_at_the_first_malformed_row(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [GOOD, [], GOOD])
    out = tmp_path / "out.jsonl"
    done = plaudit("judge", "feedback", source, "-e", script, "-o", out, "--strict")
    assert done.status == 2
    assert "in.jsonl:2" in done.stderr
    assert not out.exists()


def test_a_conversation_that_ends_with_the_user_cannot_be_scored(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    row = {"conversation": [{"role": "user", "content": "hello?"}]}
    source = write_rows(tmp_path / "in.jsonl", [row])
    done = plaudit("judge", "pointwise", source, "-e", script)
    assert done.status == 2
    assert "ends with the user" in done.stderr


def test_unknown_engine_scheme(plaudit: Plaudit) -> None:
    done = plaudit("judge", "feedback", EXAMPLES / "feedback.jsonl", "-e", "magic:model")
    assert done.status == 2
    assert "magic" in done.stderr
    assert "local" in done.stderr


def test_a_server_that_is_not_there(plaudit: Plaudit) -> None:
    engine = "openai:m@http://127.0.0.1:9/v1"
    done = plaudit("judge", "feedback", EXAMPLES / "feedback.jsonl", "-e", engine)
    assert done.status == 3
    assert "127.0.0.1:9" in done.stderr


def test_a_wrong_key_is_never_shown(tmp_path: Path) -> None:
    plaudit = Forked(tmp_path / "home", {"OPENAI_API_KEY": "sk-planted-secret"})
    out = tmp_path / "out.jsonl"
    out.write_text("untouched")
    with FakeOpenAI(key="another") as server:
        engine = f"openai:m@{server.url}"
        source = EXAMPLES / "feedback.jsonl"
        done = plaudit("judge", "feedback", source, "-e", engine, "-o", out)
    assert done.status == 3
    assert "OPENAI_API_KEY" in done.stderr
    assert out.read_text() == "untouched"
    everything = done.stdout + done.stderr
    files = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert "planted-secret" not in everything
    assert not any(b"planted-secret" in data for data in files)


def test_an_unknown_model_ends_the_run(plaudit: Plaudit) -> None:
    missing = Reply(404, {"error": {"message": "The model `m` does not exist", "type": "x"}})
    with FakeOpenAI(reply=lambda body: missing) as server:
        engine = f"openai:m@{server.url}"
        done = plaudit("judge", "feedback", EXAMPLES / "feedback.jsonl", "-e", engine)
        assert len(server.completions) <= 200
    assert done.status == 3
    assert "m" in done.stderr


def test_an_output_folder_that_does_not_exist(plaudit: Plaudit, tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "out.jsonl"
    done = plaudit("judge", "feedback", EXAMPLES / "feedback.jsonl", "-o", out)
    assert done.status == 2
    assert "nowhere" in done.stderr


def test_a_full_disk_is_said_and_the_output_is_untouched(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [GOOD | {"query": f"{n} " * 900} for n in range(99)])
    out = tmp_path / "out.jsonl"
    out.write_text("untouched")
    limited = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.argv = ['plaudit', *sys.argv[1:]]\n"
        "runpy.run_module('plaudit', run_name='__main__')\n"
    )
    args = ["judge", "feedback", source, "-e", script, "-o", out]
    done = subprocess.run(
        [sys.executable, "-c", limited, *map(str, args)],
        env=plaudit.env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "pace" in done.stderr
    assert out.read_text() == "untouched"
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" in p.name) == []


def test_a_store_on_a_network_file_system_is_refused(
    plaudit: Plaudit, script: str, tmp_path: Path
) -> None:
    pretend = (
        "import collections, psutil, runpy, sys\n"
        "Part = collections.namedtuple('Part', 'device mountpoint fstype opts')\n"
        "psutil.disk_partitions = lambda all=False: [Part('h:/x', '/', 'nfs4', 'rw')]\n"
        "sys.argv = ['plaudit', *sys.argv[1:]]\n"
        "runpy.run_module('plaudit', run_name='__main__')\n"
    )
    source = write_rows(tmp_path / "in.jsonl", [GOOD])
    args = ["judge", "feedback", source, "-e", script]
    done = subprocess.run(
        [sys.executable, "-c", pretend, *map(str, args)],
        env=plaudit.env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert "network" in done.stderr
    assert "--store" in done.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["judge", "pointwise", "examples/pointwise.jsonl", "--gate", "0.5", "--readout", "json"],
         "cannot be gated"),
        (["judge", "feedback", "examples/feedback.jsonl", "--gate", "7"], "0..1"),
        (["judge", "feedback", "examples/feedback.jsonl", "--readout", "magic"], "readout"),
        (["judge", "feedback", "examples/feedback.jsonl", "-e", "claude:m", "--readout", "logprob"],
         "no log-probabilities"),
        (["judge", "feedback", "examples/feedback.jsonl", "--template", "nowhere.jinja"],
         "nowhere.jinja"),
        (["judge", "feedback", "examples/feedback.jsonl", "--generation", "novalue"],
         "name=value"),
        (["show", "no-such-run"], "has no runs yet"),
        (["models", "pull", "no-such-model"], "no-such-model"),
    ],
)  # fmt: skip
def test_wrong_usage_is_refused_before_anything_is_asked(
    here: Here, args: list[str], says: str
) -> None:
    done = here(*args)
    assert done.status == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


HUGE = str(10**24)
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--seed", HUGE], "--seed must be a whole number in -2^63..2^63-1"),
        (["--max-tokens", str(10**18)], "--max-tokens must be in 1..2147483647"),
        (["--concurrency", "1000000"], "--concurrency must be in 1..10000"),
        (["--generation", f"top_k={HUGE}"], "--generation must hold whole numbers"),
        (["--generation", f"top_k={DEEP}"], "--generation top_k: the value is nested too deeply"),
        (["--temperature", "inf"], "--temperature must be a finite number"),
        (["-o", "x" * 300], "File name too long (300 bytes)"),
        (["-o", "x" * 245], "File name too long (245 bytes)"),
        (["--store", "/"], "the store / is a folder: give the path of a file with --store"),
        (["-e", "openai:m@http://a:b@[::1/v1"], "engine openai: what follows @ is not a base URL"),
        (["-e", f"openai:m@http://h/v1?logprobs={HUGE}"], "logprobs must be a whole number from 0"),
        (["-e", f"local?slots={HUGE}"], "slots must be a whole number from 1 to 256"),
        (["--log-file", "nowhere/log"], "--log-file nowhere/log: No such file"),
    ],
)
def test_defect_53_a_value_beyond_sense_is_wrong_usage(
    here: Here, script: str, tmp_path: Path, options: list[str], says: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [GOOD])
    first = [] if options[0] != "--log-file" else options
    engine = [] if "-e" in options else ["-e", script]
    rest = options if not first else []
    done = here(*first, "judge", "feedback", source, *engine, *rest)
    assert done.status == 2, done.stderr
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "name", "text"),
    [
        ("--pool", "pool.jsonl", DEEP),
        ("--pool", "pool.json", DEEP),
        ("--jury", "jury.toml", f"members = {DEEP}"),
        ("--prices", "prices.json", DEEP),
        ("--calibration", "fitted.json", '{"judge": "x", "y": ' + DEEP),
        ("--template", "mine.jinja", "{% if query %}" * 500),
    ],
)
def test_defect_19_a_file_that_is_nested_too_deeply_is_wrong_usage(
    plaudit: Plaudit, script: str, tmp_path: Path, option: str, name: str, text: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [GOOD])
    (tmp_path / name).write_text(text)
    done = plaudit("judge", "feedback", source, "-e", script, option, tmp_path / name)
    assert done.status == 2, done.stderr
    assert name in "".join(done.stderr.split())
    assert "nested too deeply" in " ".join(done.stderr.split())


def test_a_missing_script_is_named(plaudit: Plaudit) -> None:
    done = plaudit("judge", "feedback", "examples/feedback.jsonl", "-e", "scripted:no.jsonl")
    assert done.status == 2
    assert "no.jsonl" in done.stderr


def test_output_to_a_closed_pipe_is_no_error(plaudit: Plaudit, script: str, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [GOOD] * 3000)
    command = " ".join(plaudit.command("judge", "feedback", source, "-e", script, "-o", "-"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1"],
        env=plaudit.env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


if os.name != "posix":  # RLIMIT_FSIZE and bash are what some of these stand on
    pytest.skip("posix only", allow_module_level=True)
