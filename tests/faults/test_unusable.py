"""An endpoint that can answer nothing ends a long run within seconds, with one message."""

import time
from pathlib import Path

import pytest

from tests.faults.serving import Server
from tests.support.command import Plaudit

CONCURRENCY = 50
SECONDS = 10
CASES = {
    "wrong key": (("--key", "right"), "OPENAI_API_KEY"),
    "wrong key, told late": (("--key", "right", "--open-models"), "OPENAI_API_KEY"),
    "unknown model": (("--model", "another"), "model"),
}


def write_many(path: Path, count: int) -> Path:
    """Write an input of so many samples, quickly."""
    rest = '"query": "Why?", "answer": "So.", "follow_up": "I see."'
    with path.open("w") as file:
        file.writelines(f'{{"id": "case-{n:07d}", {rest}}}\n' for n in range(count))
    return path


def check_ends(
    plaudit: Plaudit,
    server: Server,
    source: Path,
    folder: Path,
    named: str,
    seconds: float = float("inf"),
) -> None:
    """Judge against a server that refuses everything."""
    out = folder / "out.jsonl"
    out.write_text("untouched")
    flags = ("--concurrency", str(CONCURRENCY), "--json")
    started = time.monotonic()
    done = plaudit("judge", "feedback", source, "-e", server.engine, "-o", out, *flags)
    assert time.monotonic() - started < seconds
    check_refused(done, out, named)
    assert len(server.asked()) <= CONCURRENCY


def check_refused(done, out: Path, named: str) -> None:
    assert done.status == 3
    assert done.stdout == ""
    assert done.stderr.count("answered 4") == 1, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1_000
    assert out.read_text() == "untouched"
    assert sorted(out.parent.glob(".*")) == []


@pytest.mark.parametrize("case", CASES)
def test_it_ends_at_once_with_one_message(
    plaudit: Plaudit, server_of, tmp_path: Path, case: str
) -> None:
    options, named = CASES[case]
    plaudit.env["OPENAI_API_KEY"] = "sk-of-somebody-else"
    source = write_many(tmp_path / "in.jsonl", 50_000)
    folder = tmp_path / "out"
    folder.mkdir()
    check_ends(plaudit, server_of(*options), source, folder, named)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES)
def test_a_million_samples(plaudit: Plaudit, server_of, tmp_path: Path, case: str) -> None:
    options, named = CASES[case]
    plaudit.env["OPENAI_API_KEY"] = "sk-of-somebody-else"
    source = write_many(tmp_path / "in.jsonl", 1_000_000)
    folder = tmp_path / "out"
    folder.mkdir()
    check_ends(plaudit, server_of(*options), source, folder, named, SECONDS)


def test_a_key_that_is_revoked_in_mid_run_ends_it_and_the_same_command_goes_on(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    server = server_of("--revoke-after", 200, "--delay", 0.02)
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.jsonl"
    out.write_text("untouched")
    flags = ("--concurrency", str(CONCURRENCY), "--readout", "json", "--json")
    command = ("judge", "feedback", source_of(600), "-e", server.engine, "-o", out, *flags)
    done = plaudit(*command)
    check_refused(done, out, "OPENAI_API_KEY")
    refused = [entry for entry in server.asked() if entry.answer == "unauthorized"]
    assert 1 <= len(refused) <= CONCURRENCY + 1  # What was in flight, and the probe.
    server.kill()
    server.options = ()
    server.start()
    again = plaudit(*command)
    assert again.status == 0
    assert again.summary["ok"] == 600
    assert 400 <= again.summary["engine_calls"] <= 400 + CONCURRENCY
