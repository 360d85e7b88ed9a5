"""A server that allows so many requests a second is used to the full, and hardly ever refuses."""

from pathlib import Path

import pytest

from tests.faults import hostile
from tests.faults.serving import Server, subjects
from tests.support.command import Plaudit


def judge(plaudit: Plaudit, server: Server, source: Path, out: Path) -> tuple[float, float]:
    """Judge all; return requests accepted a second, and the part that was refused."""
    command = ("judge", "feedback", source, "-e", server.engine, "-o", out, "--readout", "json")
    done = plaudit(*command, "--json", timeout=600)
    assert done.status == 0, done.stderr
    asked = server.asked()
    assert done.summary["engine_calls"] == len(asked)
    good = [entry for entry in asked if entry.answer == "good"]
    assert len(good) == len(subjects(good)) == done.summary["ok"]
    rate = (len(good) - 1) / (good[-1].at - good[0].at)
    refused = 1 - len(good) / len(asked)
    seconds = [int(entry.at - asked[0].at) for entry in good]
    timeline = [seconds.count(n) for n in range(seconds[-1] + 1)]
    print(f"{rate:.1f} a second, {refused:.1%} refused; accepted each second: {timeline}")
    return rate, refused


def test_a_server_with_a_limit_answers_everything(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    server = server_of("--rate", 100, "--window", "bucket")
    judge(plaudit, server, source_of(300), tmp_path / "out.jsonl")


@pytest.mark.full
def test_the_limit_is_found(plaudit: Plaudit, server_of, source_of, tmp_path: Path) -> None:
    server = server_of("--rate", 100, "--window", "bucket", "--delay", 0.05)
    rate, refused = judge(plaudit, server, source_of(800), tmp_path / "out.jsonl")
    assert rate >= 55  # The search for it takes some of the eight seconds.
    assert refused < 0.15


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("delay", [0.0, 0.2])
@pytest.mark.parametrize("window", hostile.WINDOWS)
def test_fifty_a_second_are_held_at_nine_tenths(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path, window: str, delay: float
) -> None:
    server = server_of("--rate", 50, "--window", window, "--delay", delay)
    rate, refused = judge(plaudit, server, source_of(3_000), tmp_path / "out.jsonl")
    assert rate >= 0.9 * 50
    assert refused < 0.05
