"""Killed at random moments against a hostile server, a run loses nothing and pays hardly twice."""

import bisect
import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.serving import Asked, Server, wait_until
from tests.support.command import Plaudit

CONCURRENCY = 20
UNCOMMITTED = 200
"""Replies that may wait for a commit."""


def judge(server: Server, source: Path, out: Path) -> list[str | Path]:
    flags = ("--readout", "json", "--concurrency", str(CONCURRENCY), "--timeout", "2")
    asked = ("judge", "feedback", source, "-e", server.engine, "-o", out)
    return [*asked, *flags, "--retry-invalid", "--json"]


def kill_after(
    plaudit: Plaudit, command: list[str | Path], server: Server, seconds: float
) -> float:
    """Give a command and kill it so many seconds after its first request; return when that was."""
    before = server.log.stat().st_size
    process = plaudit.start(*command)
    wait_until(lambda: server.log.stat().st_size > before)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
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
    plaudit: Plaudit,
    server: Server,
    honest: Server,
    source: Path,
    folder: Path,
    moments: list[float],
) -> None:
    """Kill a run at these moments, let it end, compare what came of it, and what each kill cost."""
    out, quiet = folder / "killed" / "out.jsonl", folder / "quiet.jsonl"
    out.parent.mkdir()
    command = judge(server, source, out)
    kills = [kill_after(plaudit, command, server, seconds) for seconds in moments]
    assert not out.exists()
    for _ in range(40):
        if plaudit(*command, timeout=900).status == 0:
            break
    calm = Plaudit(folder / "calm")(*judge(honest, source, quiet), timeout=600)
    assert calm.status == 0
    assert out.read_bytes() == quiet.read_bytes()
    assert list(out.parent.iterdir()) == [out]
    asked = server.asked()
    twice = paid_twice(asked, kills)
    print(
        f"paid twice: {twice.total()} requests over {len(kills)} kills, most {max(twice.values())}"
    )
    assert 0 not in twice, "paid twice before any kill"
    assert max(twice.values()) <= 2 * CONCURRENCY + UNCOMMITTED
    assert twice.total() < sum(entry.at < kills[-1] for entry in asked) / 3


def test_killed_at_random_moments_the_output_is_that_of_an_undisturbed_run(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    draw = random.Random(7)
    server = server_of("--faults", "mild,429=0", "--no-usage", "--delay", 0.02)
    moments = [draw.uniform(0.2, 1.2) for _ in range(4)]
    check_kills(plaudit, server, server_of("--no-usage"), source_of(2_500), tmp_path, moments)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_killed_at_thirty_random_moments(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    draw = random.Random(7)
    server = server_of("--faults", "all", "--no-usage", "--delay", 0.01)
    moments = [draw.uniform(0.0, 2.0) for _ in range(30)]
    check_kills(plaudit, server, server_of("--no-usage"), source_of(20_000), tmp_path, moments)
