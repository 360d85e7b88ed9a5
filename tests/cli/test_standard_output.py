"""What a command writes to a pipe arrives whole, whatever Python's buffering is."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.command import Forked, Plaudit, write_rows

_INTERRUPTED = """
import signal, sys
from plaudit.cli import main
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
sys.argv = ["plaudit", *sys.argv[1:]]
try:
    main()
finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
"""


def _interrupted(plaudit: Plaudit, *args: str | Path) -> bytes:
    """Run a command whose writes to a full pipe are interrupted all the time."""
    command = [sys.executable, "-c", _INTERRUPTED, *map(str, args)]
    env, read = plaudit.env | {"PYTHONUNBUFFERED": "1"}, bytearray()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 1000):  # A slow reader.
            read += chunk
    assert process.returncode == 0
    return bytes(read)


def test_an_unbuffered_python_loses_no_part_of_a_row(tmp_path: Path) -> None:
    plaudit = Forked(tmp_path / "home")
    reply = {"rationale": "r", "label": "neutral", "confidence": 0.9}
    script = write_rows(
        tmp_path / "script.jsonl",
        [{"match": {}, "replies": [{"text": json.dumps(reply)}]}],
    )
    rows = [{"query": f"q{n}", "answer": "a" * 30_000, "follow_up": "b"} for n in range(40)]
    source, out = write_rows(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    judge = ("judge", "feedback", source, "-e", f"scripted:{script}", "--readout", "json")
    assert plaudit(*judge, "-o", out).status == 0
    assert _interrupted(plaudit, *judge, "-o", "-") == out.read_bytes()
    shown = plaudit("show", "last", "--json").stdout
    assert len(shown.splitlines()) == len(rows)
    assert _interrupted(plaudit, "show", "last", "--json").decode() == shown
