"""Commands that tests run as forks: they end, print and heed signals as processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import EXAMPLES, Forked, Plaudit, write_rows
from tests.support.forks import forks
from tests.support.waiting import wait_for_replies, wait_until

REPLIES = f"scripted:{EXAMPLES / 'replies' / 'pairwise.jsonl'}"


class Installed(Plaudit):
    """Runs the command that an installation has."""

    def command(self, *args: str | Path) -> list[str]:
        return [str(Path(sys.executable).with_name("plaudit")), *map(str, args)]


@pytest.mark.parametrize(
    ("args", "given", "status"),
    [
        (("--version",), "", 0),
        (("judge", "--help"), "", 0),
        (("jugde",), "", 2),
        (("judge", "feedback", "-"), "{", 2),
        (("judge", "verify", "-", "-o", "-"), '{"question": "1+1?", "answer": "2"}', 2),
        (("judge", "pairwise", EXAMPLES / "comparison.json", "-e", REPLIES, "--no-store"), "", 2),
    ],
)
def test_a_fork_prints_and_ends_as_a_process_does(
    tmp_path: Path, args: tuple[str | Path, ...], given: str, status: int
) -> None:
    process, fork = (kind(tmp_path / "home")(*args, input=given) for kind in (Installed, Forked))
    assert fork == process
    assert fork.status == status


def slow(folder: Path) -> tuple[str | Path, ...]:
    """A command that asks for minutes."""
    reply = {"text": '{"rationale": "r", "label": "neutral", "confidence": 0.9}', "delay": 0.1}
    script = write_rows(folder / "script.jsonl", [{"match": {}, "replies": [reply]}])
    rows = [{"query": f"q{n}", "answer": "a", "follow_up": "b"} for n in range(5000)]
    return ("judge", "feedback", write_rows(folder / "in.jsonl", rows), "-e", f"scripted:{script}")


def start(plaudit: Forked, *args: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        plaudit.fork(*args),
        env=plaudit.env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fork_gets_the_signals_of_its_client(tmp_path: Path, number: signal.Signals) -> None:
    plaudit = Forked(tmp_path / "home")
    client = start(plaudit, *slow(tmp_path))
    wait_for_replies(plaudit.home / "store.sqlite", 1)
    client.send_signal(number)
    _, err = client.communicate(timeout=100)
    assert client.returncode == 130
    assert "same command" in err


def test_a_fork_whose_client_is_killed_is_killed(tmp_path: Path) -> None:
    plaudit = Forked(tmp_path / "home")
    client = start(plaudit, *slow(tmp_path))
    wait_for_replies(plaudit.home / "store.sqlite", 1)
    client.kill()
    client.communicate(timeout=100)  # Ends when nobody can write to its pipes: not the fork either.
    assert client.returncode == -signal.SIGKILL


def test_in_a_shell_it_is_plaudit(tmp_path: Path) -> None:
    env = os.environ | {"PATH": f"{forks().folder}{os.pathsep}{os.environ['PATH']}"}
    script = "plaudit --version | tr a-z A-Z; plaudit jugde 2>/dev/null || echo $? > status"
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("PLAUDIT ")
    wait_until((tmp_path / "status").exists)
    assert (tmp_path / "status").read_text() == "2\n"
