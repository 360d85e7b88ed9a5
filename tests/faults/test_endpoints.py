"""Three endpoints, of which one dies and one slows to a tenth in mid-run."""

import time
from pathlib import Path

import pytest

from tests.faults.serving import Server, row, wait_until
from tests.support.command import Plaudit, rows_of

CAPACITY, DELAY = 10, 0.05
EACH = CAPACITY / DELAY
"""Requests that a healthy server bears a second."""
BORNE = EACH + EACH / 10
"""What is borne by one that is healthy and one that was slowed to a tenth."""
CONCURRENCY = 2 * CAPACITY


def timeline(servers: list[Server], start: float) -> list[list[int]]:
    """Count the answers of each server, second by second."""
    counts: list[list[int]] = []
    for server in servers:
        seconds = [int(entry.at - start) for entry in server.answered() if entry.at >= start]
        counts.append([seconds.count(n) for n in range(max(seconds, default=-1) + 1)])
    return counts


def check_three(
    plaudit: Plaudit, server_of, source: Path, out: Path, *, count: int, settle: float | None
) -> None:
    """Judge with three servers; after a third, kill one and slow down another.

    The rate counts from `settle` seconds after that; None: it does not matter.
    """
    servers = [server_of("--capacity", CAPACITY, "--delay", DELAY) for _ in range(3)]
    dying, slowed, healthy = servers
    engine = f"openai:m@{','.join(server.url for server in servers)}"
    command = ("judge", "feedback", source, "-e", engine, "-o", out, "--readout", "json")
    process = plaudit.start(*command, "--concurrency", str(CONCURRENCY), "--json")
    wait_until(lambda: sum(len(server.answered()) for server in servers) > count / 3)
    dying.kill()
    slowed.slow_down()
    at = time.time()
    stdout, stderr = process.communicate(timeout=600)
    lines = timeline(servers, at)
    print(f"answers a second since the fault, {BORNE:.0f} borne: {lines}")
    assert process.returncode == 0, stderr
    verdicts = rows_of(out)
    assert [v["id"] for v in verdicts] == [row(n)["id"] for n in range(count)]
    assert {v["status"] for v in verdicts} == {"ok"}

    received = sum(len(server.asked()) for server in servers)
    summary = plaudit("runs", "--json").stdout
    assert summary
    done = [entry.at for server in (slowed, healthy) for entry in server.answered()]
    last = max(entry.at for entry in healthy.answered())
    check_trials(stdout, received, last - at)
    if settle is None:
        return
    rate = sum(at + settle <= moment <= last for moment in done) / (last - at - settle)
    assert last - at - settle > settle, "too few samples to tell a rate"
    assert rate >= 0.8 * BORNE, lines


def check_trials(stdout: str, received: int, seconds: float) -> None:
    """What was sent to the dead server: what was in flight, and a trial now and then."""
    import json

    sent = json.loads(stdout.splitlines()[-1])["engine_calls"]
    print(f"{sent - received} requests were sent to the dead server in {seconds:.0f} s")
    assert sent - received <= CONCURRENCY + 3 + 2 * seconds


def test_one_dies_and_one_slows_down(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    check_three(plaudit, server_of, source_of(600), out, count=600, settle=None)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_what_the_others_bear_is_used(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    check_three(plaudit, server_of, source_of(2_700), out, count=2_700, settle=2)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_one_dies_and_one_slows_down_in_a_long_run(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    check_three(plaudit, server_of, source_of(20_000), out, count=20_000, settle=10)
