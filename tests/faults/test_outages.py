"""A server that goes away: it comes back and nothing is lost, or the run ends and says so."""

import time
from pathlib import Path

import pytest

from tests.faults.serving import Server, row, wait_until
from tests.support.command import Plaudit, rows_of


def start(plaudit: Plaudit, server: Server, source: Path, out: Path, *options: str):
    """Start judging, so slowly that it can be disturbed."""
    command = ("judge", "feedback", source, "-e", server.engine, "-o", out, "--readout", "json")
    return plaudit.start(*command, "--concurrency", "20", "--json", *options)


def check_all_ok(out: Path, count: int) -> None:
    verdicts = rows_of(out)
    assert [v["id"] for v in verdicts] == [row(n)["id"] for n in range(count)]
    assert {v["status"] for v in verdicts} == {"ok"}


def check_restarts(
    plaudit: Plaudit,
    server_of,
    source: Path,
    out: Path,
    *,
    count: int,
    away: list[float],
    timed: bool = True,
) -> None:
    """Kill the server and start it again, so often and so long; time how soon it is used again."""
    server: Server = server_of("--delay", 0.05)
    process = start(plaudit, server, source, out)
    back: list[float] = []
    for n, seconds in enumerate(away, 1):
        wanted = count * n // (len(away) + 1)
        wait_until(lambda wanted=wanted: len(server.answered()) > wanted, 120)
        server.kill()
        time.sleep(seconds)
        assert process.poll() is None
        server.start()
        back.append(time.time())
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    check_all_ok(out, count)
    moments = [entry.at for entry in server.answered()]
    for seconds, start_again in zip(away, back, strict=True):
        idle = min(moment for moment in moments if moment > start_again) - start_again
        print(f"away for {seconds:g} s, used again {idle:.1f} s after it was back")
        assert not timed or idle < max(3.0, seconds)


def test_a_server_that_comes_back_is_used_again(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    check_restarts(plaudit, server_of, source_of(600), out, count=600, away=[2.0], timed=False)


@pytest.mark.full
def test_a_server_that_comes_back_is_used_again_soon(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    check_restarts(plaudit, server_of, source_of(600), out, count=600, away=[2.0])


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_server_that_often_goes_away(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    away = [5.0, 0.0, 20.0, 1.0, 40.0]
    check_restarts(plaudit, server_of, source_of(10_000), out, count=10_000, away=away)


def test_a_server_that_stays_away_ends_the_run_and_the_same_command_goes_on(
    plaudit: Plaudit, server_of, source_of, tmp_path: Path
) -> None:
    server: Server = server_of("--delay", 0.05)
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.jsonl"
    out.write_text("untouched")
    source = source_of(600)
    process = start(plaudit, server, source, out, "--outage", "3")
    wait_until(lambda: len(server.answered()) > 200)
    server.kill()
    killed = time.monotonic()
    stdout, stderr = process.communicate(timeout=100)
    assert time.monotonic() - killed > 2
    assert process.returncode == 3
    assert stdout == ""
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert server.url in errors[0]
    assert "same command" in errors[0]
    assert "Traceback" not in stderr
    assert out.read_text() == "untouched"
    assert list(folder.iterdir()) == [out]

    before = len(server.asked())
    server.start()
    stdout, stderr = start(plaudit, server, source, out, "--outage", "3").communicate(timeout=100)
    check_all_ok(out, 600)
    assert len(server.asked()) - before <= 600 - 200 + 20
