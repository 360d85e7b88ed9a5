"""Killed at random moments against a hostile server, a run loses nothing and pays hardly twice."""

import bisect
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.serving import Asked, Server, wait_until
from tests.support.command import Plaudit

CONCURRENCY = 20
UNCOMMITTED = 200
"""Replies that may wait for a commit."""
COMMITTED_WITHIN_S = 1.0
"""How old what is paid twice may be; commits come every 0.1 s, and the machine may be busy."""


def judge(server: Server, source: Path, out: Path) -> list[str | Path]:
    flags = ("--readout", "json", "--concurrency", str(CONCURRENCY), "--timeout", "2")
    asked = ("judge", "feedback", source, "-e", server.engine, "-o", out)
    return [*asked, *flags, "--retry-invalid", "--json"]


def kill_after(plaudit: Plaudit, command: list[str | Path], server: Server, events: int) -> float:
    """Give a command and kill it after so many requests and answers; return when that was."""
    wanted = server.noted() + events
    process = plaudit.start(*command)
    wait_until(lambda: server.noted() >= wanted or process.poll() is not None)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended too soon: give it more samples"
    return time.time()


def paid_twice(asked: list[Asked], kills: list[float]) -> list[tuple[int, float]]:
    """Find good answers to what had a good answer before.

    Returns:
        The kill that lost the first answer, and how many seconds before it that was asked for.
    """
    paid: dict[str, float] = {}
    twice: list[tuple[int, float]] = []
    for entry in asked:
        if entry.answer == "good":
            if entry.body in paid:
                kill = bisect.bisect(kills, paid[entry.body])
                assert kill < bisect.bisect(kills, entry.at), "paid twice without a kill"
                twice.append((kill, kills[kill] - paid[entry.body]))
            paid[entry.body] = entry.at
    return twice


def check_kills(
    plaudit: Plaudit,
    server: Server,
    honest: Server,
    source: Path,
    folder: Path,
    moments: list[int],
    oldest_s: float = float("inf"),
) -> None:
    """Kill a run, after so many events each time; compare what came of it, and what a kill cost.

    Nothing that was paid `oldest_s` seconds before a kill is lost by it.
    """
    out, quiet = folder / "killed" / "out.jsonl", folder / "quiet.jsonl"
    out.parent.mkdir()
    command = judge(server, source, out)
    kills = [kill_after(plaudit, command, server, events) for events in moments]
    assert not out.exists()
    for _ in range(40):
        if plaudit(*command, timeout=900).status == 0:
            break
    calm = Plaudit(folder / "calm")(*judge(honest, source, quiet), timeout=600)
    assert calm.status == 0
    assert out.read_bytes() == quiet.read_bytes()
    assert list(out.parent.iterdir()) == [out]
    twice = paid_twice(server.asked(), kills)
    cost = Counter(kill for kill, _ in twice)
    oldest = max((age for _, age in twice), default=0.0)
    most = max(cost.values(), default=0)
    print(f"paid twice: {len(twice)} over {len(kills)} kills, at most {most}, {oldest:.2f} s old")
    assert most <= 2 * CONCURRENCY + UNCOMMITTED
    assert oldest < oldest_s


def test_killed_at_random_moments_the_output_is_that_of_an_undisturbed_run(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    draw = random.Random(7)
    server = server_of("--faults", "mild,429=0", "--no-usage", "--delay", 0.02)
    moments = [draw.randint(100, 800) for _ in range(3)]
    check_kills(plaudit, server, server_of("--no-usage"), source_of(1_500), tmp_path, moments)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_killed_at_thirty_random_moments(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    draw = random.Random(7)
    server = server_of("--faults", "all", "--no-usage", "--delay", 0.01)
    moments = [draw.randint(1, 2_000) for _ in range(30)]
    honest = server_of("--no-usage")
    source = source_of(20_000)
    check_kills(plaudit, server, honest, source, tmp_path, moments, COMMITTED_WITHIN_S)
