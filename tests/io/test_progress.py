"""The display, on a real terminal, elsewhere, and off."""

import io
import os
import pty
import subprocess
import sys
import textwrap
import time

import pytest

from plaudit.io.progress import DownloadProgress, Progress
from plaudit.types import Usage
from tests.support.waiting import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Read:
    taken = 0

    def __init__(self, bytes_read: int) -> None:
        self.bytes_read = bytes_read


def test_elsewhere_a_line_now_and_then():
    stream, began = io.StringIO(), time.monotonic()
    with Progress("feedback-0001", total_bytes=1_000, stream=stream, say_every_s=0.05) as shown:
        for number in range(1, 51):
            shown.advance("failed" if number % 25 == 0 else "ok", Usage(1_000, 1))
            shown.follow(Read(number * 10))
        wait_until(stream.getvalue)
    lines = stream.getvalue().splitlines()
    assert 1 <= len(lines) <= 2 + (time.monotonic() - began) / 0.05
    assert lines[-1].startswith("feedback-0001: 50 (50%) · ")
    assert " · 2 failed · tokens 50.0k in, 50 out · " in lines[-1]
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_short_runs_elsewhere_say_nothing():
    stream = io.StringIO()
    with Progress("run", stream=stream) as shown:
        shown.advance("ok", Usage())
    assert stream.getvalue() == ""


def test_disabled_is_silent_and_counts():
    stream = Terminal()
    with Progress("run", enabled=False, stream=stream) as shown:
        shown.advance("ok", Usage(3, 4))
    assert stream.getvalue() == ""
    assert (shown.done, shown.counts, shown.input_tokens) == (1, {"ok": 1}, 3)


def test_terminal():
    code = """
        import time
        from plaudit.io.progress import Progress
        from plaudit.types import Usage
        with Progress("feedback-0001", total_rows=40) as shown:
            for number in range(30):
                shown.advance("invalid" if number == 3 else "ok", Usage(10, 1))
                time.sleep(0.02)
        print("standard output stays clean")
        """
    began = time.monotonic()
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        stderr=terminal,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            chunk = os.read(main, 65_536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(main)
    output, _ = process.communicate()
    assert (process.returncode, output) == (0, b"standard output stays clean\n")
    text = shown.decode()
    assert "30 of 40" in text
    assert "1 invalid" in text
    assert "left" in text
    assert 2 <= text.count("feedback-0001") <= 20 + 8 * (time.monotonic() - began)


def test_who_watches_may_go():
    stream = Terminal()
    with Progress("run", stream=stream) as shown:
        stream.close()
        shown.advance("ok", Usage())
        time.sleep(0.4)


@pytest.mark.parametrize(
    ("total", "amount"),
    [({}, "7 "), ({"total_rows": 14}, "7 of 14"), ({"total_bytes": 70}, "(10%)")],
)
def test_line(total: dict[str, int], amount: str):
    with Progress("run", enabled=False, **total) as shown:
        for _ in range(7):
            shown.advance("abstained", Usage(1, 1))
        shown.follow(Read(7))
        line = shown.line()
    assert amount in line
    assert "7 abstained" in line
    assert ("left" in line) == bool(total)


def test_time_left_follows_the_recent_rate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Progress("run", total_rows=100_000, enabled=False) as shown:
        shown.done = 90_000  # answered from the store, at once
        for _ in range(60):
            now[0] += 1.0
            shown.done += 10
            line = shown.line()
    assert "· 10.0/s ·" in line
    assert "· 15:40 left ·" in line


@pytest.mark.full
def test_advance_is_cheap():
    shown, usage = Progress("run", enabled=False), Usage(1, 1)
    best = min(_time(shown, usage) for _ in range(5))
    assert best < 2e-6  # aimed at 1 us; the machine may be busy


def _time(shown: Progress, usage: Usage) -> float:
    start = time.perf_counter()
    for _ in range(20_000):
        shown.advance("ok", usage)
    return (time.perf_counter() - start) / 20_000


def test_download_on_a_terminal():
    stream = Terminal()
    show = DownloadProgress(stream)
    for done in range(0, 101):
        show(done * 880_000, 88_000_000, "SmolLM2-135M")
    text = stream.getvalue()
    assert text.endswith("SmolLM2-135M: 88.0 of 88.0 MB (100%), " + text.rsplit(", ", 1)[1])
    assert text.endswith("MB/s\n")
    assert text.count("\r") < 10


def test_download_elsewhere():
    stream = io.StringIO()
    show = DownloadProgress(stream)
    show(0, None, "model")
    show(10_000_000, None, "model")
    show(10_000_000, 10_000_000, "model")
    first, last = stream.getvalue().splitlines()
    assert first.startswith("model: 0.0 MB, ")
    assert last.startswith("model: 10.0 of 10.0 MB (100%), ")


class Asking:
    """Work that a test sets."""

    stage = ""
    sent = 0


def test_defect_16_what_comes_before_the_first_verdict_is_a_stage_of_its_own():
    work = Asking()
    shown = Progress("judge feedback", total_rows=3)
    shown.watch(work)
    work.stage, work.sent = "measuring the judge's prior", 1_012
    assert shown.line().startswith("judge feedback: measuring the judge's prior · 1,012 calls · ")
    assert "of 3" not in shown.line()
    work.stage = ""
    work.sent = 1_040
    assert shown.line().startswith("judge feedback: 0 of 3 · 0.0/s · 1,040 calls · ")
