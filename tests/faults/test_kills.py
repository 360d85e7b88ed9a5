"""Killed at random moments against a hostile server, a run loses nothing and pays hardly twice."""

import bisect
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.serving import Asked, Server
from tests.support.command import Plaudit

UNCOMMITTED = 200
"""Replies that may wait for a commit."""


def judge(server: Server, source: Path, out: Path, concurrency: int) -> list[str | Path]:
    flags = ("--readout", "json", "--concurrency", str(concurrency), "--timeout", "2")
    asked = ("judge", "feedback", source, "-e", server.engine, "-o", out)
    return [*asked, *flags, "--retry-invalid", "--json"]


def kill_after(plaudit: Plaudit, command: list[str | Path], seconds: float) -> float:
    """Give a command and kill it after so many seconds; return when that was."""
    process = plaudit.start(*command)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended too soon: give it more samples"
    return time.time()


def paid_twice(asked: list[Asked], kills: list[float]) -> Counter[int]:
    """Count good answers to what had a good answer before, by the kill that came in between."""
    paid: set[str] = set()
    twice: Counter[int] = Counter()
    for entry in asked:
        if entry.answer == "good":
            if entry.body in paid:
                twice[bisect.bisect(kills, entry.at)] += 1
            paid.add(entry.body)
    return twice


def check_kills(
    plaudit: Plaudit, server_of, source: Path, folder: Path, moments: list[float], concurrency: int
) -> Counter[int]:
    """Kill a run at these moments, let it end, compare it; return what each kill cost."""
    server = server_of("--faults", "all", "--no-usage", "--delay", 0.01)
    out, quiet = folder / "killed" / "out.jsonl", folder / "quiet.jsonl"
    out.parent.mkdir()
    command = judge(server, source, out, concurrency)
    kills = [kill_after(plaudit, command, seconds) for seconds in moments]
    assert not out.exists()
    for _ in range(40):
        if plaudit(*command, timeout=900).status == 0:
            break
    honest = judge(server_of("--no-usage"), source, quiet, concurrency)
    assert Plaudit(folder / "calm")(*honest, timeout=600).status == 0
    assert out.read_bytes() == quiet.read_bytes()
    assert list(out.parent.iterdir()) == [out]
    twice = paid_twice(server.asked(), kills)
    print(
        f"paid twice: {twice.total()} requests over {len(kills)} kills, most {max(twice.values())}"
    )
    assert 0 not in twice, "paid twice before any kill"
    assert max(twice.values()) <= 2 * concurrency + UNCOMMITTED
    return twice


def test_killed_at_random_moments_the_output_is_that_of_an_undisturbed_run(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    draw = random.Random(7)
    moments = [draw.uniform(0.6, 1.4) for _ in range(4)]
    check_kills(plaudit, server_of, source_of(2_500), tmp_path, moments, concurrency=20)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_killed_at_thirty_random_moments(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    draw = random.Random(7)
    moments = [draw.uniform(0.5, 2.5) for _ in range(30)]
    check_kills(plaudit, server_of, source_of(30_000), tmp_path, moments, concurrency=20)
