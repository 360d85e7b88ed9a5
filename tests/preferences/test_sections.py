"""Pairs made by several processes are those that one process makes.

Processes are forked, for which no other thread may run; a test runner has some. So each test runs a
script in a process of its own.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import rows_of
from tests.support.launching import until_gone

if sys.platform != "linux":
    pytest.skip("forks are used on Linux alone", allow_module_level=True)

SCRIPT = """
import json, os, signal, sys, threading, time
from pathlib import Path
import msgspec
from plaudit.preferences import files, sections
from plaudit.preferences.contiguous import TurnsApartError
from plaudit.preferences.options import PairOptions
from plaudit.io.progress import Progress

sections.SECTION = 1000
sections._processors = lambda: 3
sections._MOST_TURN = 20_000
given = json.loads(sys.argv[1])
sections._PIECES = given.get("pieces", sections._PIECES)

def how(source):
    while threading.active_count() > 1:  # the writer of the source before
        time.sleep(0.001)
    out = Path(source).with_suffix(".out")
    job = files.PairJob(
        source=source, out=None if given.get("counted") else str(out),
        options=PairOptions(**given.get("options", {})),
    )
    if given.get("doing"):
        exec(given["doing"], globals())
    try:
        made = files._by_sections(job, Progress("", enabled=False))
    except TurnsApartError:
        made = "apart"
    if signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        made = "signals are blocked"
    told = made if made is None or made == "apart" else msgspec.to_builtins(made)
    by_sections = out.read_bytes() if out.exists() else None
    out.unlink(missing_ok=True)
    whole = files._pair_file(job, Progress("", enabled=False), files.partial(files._gathered, job))
    same = told == msgspec.to_builtins(whole) and (
        by_sections == (out.read_bytes() if out.exists() else None)
    )
    left = [path.name for path in Path(source).parent.iterdir() if path.suffix == ".partial"]
    return {"same": same, "told": told, "left": left, "wrote": by_sections is not None}

print(json.dumps([how(source) for source in sys.argv[2:]]))
"""


def run(*sources: Path, **given: Any) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(given), *map(str, sources)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def lines(seed: int, turns: int = 60, first: int = 0) -> list[bytes]:
    """Rows of turns that lie together, as different as they may be."""
    draw = random.Random(seed)
    made = []
    for turn in range(first, first + turns):
        ids = draw.choice([{"example_id": turn // 3, "turn_id": f"t{turn}"}, {}])
        for n in range(draw.choice([1, 2, 3, 8, 20])):
            text = "ä√ " * draw.randrange(20) + str(draw.randrange(5))
            row: dict[str, Any] = {"prompt": f"Frage {turn}?", "response": text}
            row |= ids | {"score": draw.choice([None, draw.random(), 0.5, 1])}
            row |= draw.choice([{}, {"metadata": {"n": n}}, {"candidate_index": n}])
            row |= draw.choice([{}, {"confidence": 0.5}])
            made.append(json.dumps(row, ensure_ascii=draw.random() < 0.5).encode())
        if draw.random() < 0.1:
            made.append(b"")
    return made


def written(path: Path, rows: list[bytes], end: bytes = b"\n", last: bytes = b"\n") -> Path:
    path.write_bytes(end.join(rows) + last)
    return path


@pytest.mark.parametrize(
    "given",
    [
        {}, {"pieces": 20}, {"counted": True},
        {"options": {"mode": "adjacent", "min_margin": 0.2, "reward": "chosen"}},
        {"options": {"mode": "random-3", "seed": 4, "max_per_turn": 2, "min_confidence": 0.4}},
    ],
)  # fmt: skip
def test_they_are_those_of_one_process_and_so_are_the_counts(
    tmp_path: Path, given: dict[str, Any]
) -> None:
    sources = [written(tmp_path / f"{seed}.jsonl", lines(seed)) for seed in range(8)]
    sources.append(written(tmp_path / "crlf.jsonl", lines(9), end=b"\r\n", last=b""))
    sources.append(written(tmp_path / "mark.jsonl", [b"\xef\xbb\xbf", b"  ", *lines(10)]))
    for found in run(*sources, **given):
        assert found["same"], found
        assert found["reported"]["pairs"] > 20
        assert found["left"] == []


def test_a_malformed_row_leaves_the_file_to_who_can_tell_which(tmp_path: Path) -> None:
    rows = lines(1)
    broken = [b'{"prompt": "x"', b'{"prompt": 3, "response": "y"}', b'"\xff"', b"[]"]
    sources = [
        written(tmp_path / f"{n}.jsonl", [*rows[:200], bad, *rows[200:]])
        for n, bad in enumerate(broken)
    ]
    for found in run(*sources):
        assert (found["reported"], found["wrote"], found["left"]) == (None, False, [])


def test_turns_that_lie_apart_are_found(tmp_path: Path) -> None:
    rows = lines(2)
    far, mixed = [*rows, rows[0]], random.Random(1).sample(rows, len(rows))
    sources = [written(tmp_path / f"{n}.jsonl", given) for n, given in enumerate((far, mixed))]
    for found in run(*sources):
        assert (found["reported"], found["wrote"], found["left"]) == ("apart", False, [])


def test_a_turn_longer_than_sections_is_in_one_piece_and_a_huge_one_is_left(tmp_path: Path) -> None:
    row = {"example_id": 1, "turn_id": 1, "prompt": "Why?"}
    turn = [
        json.dumps(row | {"response": f"{n} " * 20, "score": n / 100}).encode() for n in range(90)
    ]
    long = written(tmp_path / "long.jsonl", [*lines(3), *turn, *lines(4, first=60)])
    huge = written(tmp_path / "huge.jsonl", [*lines(3), *turn * 5, *lines(4, first=60)])
    found, left = run(long, huge, options={"mode": "best-worst"})
    assert found["same"]
    assert left["reported"] is None


@pytest.mark.parametrize("source", ["array", "small", "verdicts", "empty"])
def test_other_sources_are_left_alone(tmp_path: Path, source: str) -> None:
    verdict = {"judge": "pointwise/x", "status": "ok", "reward": 0.5, "id": "1", "value": 5}
    verdict |= {"input": {"prompt": "Why?", "response": "So."}}
    content = {
        "array": b"[" + b",\n".join(filter(None, lines(1))) + b"]",
        "small": b"\n".join(lines(1, 2))[:1500].rpartition(b"\n")[0],
        "verdicts": b"\n".join([json.dumps(verdict).encode()] * 60),
        "empty": b"\n" * 5000,
    }[source]
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    code = (
        "import sys; from plaudit.preferences import sections as s; s.SECTION = 1000; "
        "s._processors = lambda: 2; from plaudit.preferences.formats.base import ReadOptions; "
        "from plaudit.preferences.options import PairOptions; "
        "print(s.start_sections(sys.argv[1], ReadOptions(), PairOptions(), None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"


@pytest.mark.parametrize(
    "doing",
    [
        "sections.os.pwrite = lambda *_: os.kill(os.getpid(), signal.SIGKILL)",
        "def full(*_): raise OSError(28, 'full')\nsections.os.pwrite = full",
        "def none(): raise OSError(11, 'busy')\nsections.os.fork = none",
        "threading.Thread(target=threading.Event().wait, daemon=True).start()",
    ],
    ids=["killed", "full disk", "no process", "another thread"],
)  # fmt: skip
def test_without_helpers_one_process_does_it(tmp_path: Path, doing: str) -> None:
    source = written(tmp_path / "in.jsonl", lines(5))
    (found,) = run(source, doing=doing)
    assert (found["reported"], found["wrote"], found["left"]) == (None, False, [])


COMMAND = """
import os, sys
from plaudit.preferences import sections
sections.SECTION = 1000
sections._processors = lambda: 2
if sys.argv[1] == "wait":
    import time
    made = sections._SectionMaker._make
    def slowly(self, file, section, connection):
        time.sleep(0.05)
        made(self, file, section, connection)
    sections._SectionMaker._make = slowly
    fork = os.fork
    def noted():
        pid = fork()
        if pid:
            print(pid, flush=True)
        return pid
    os.fork = noted
from plaudit.cli import main
sys.argv = ["plaudit", *sys.argv[2:]]
main()
"""


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_however_it_ends_no_helper_is_left_and_the_output_is_as_it_was(
    tmp_path: Path, signal_name: str
) -> None:
    source, out = written(tmp_path / "in.jsonl", lines(6, 400)), tmp_path / "out.jsonl"
    out.write_text("before\n")
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "wait", "pairs", str(source), "-o", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    pids = [int(process.stdout.readline()) for _ in range(2)]
    number = getattr(signal, signal_name)
    if signal_name == "SIGINT":
        os.killpg(process.pid, number)  # As a terminal does.
    else:
        process.send_signal(number)
    process.communicate(timeout=100)
    assert process.returncode != 0
    until_gone(pids)
    assert out.read_text() == "before\n"


def test_the_command_gives_the_same_from_a_file_and_from_a_pipe(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", lines(7, 200))
    outs = [tmp_path / "file.jsonl", tmp_path / "pipe.jsonl"]
    for out, given in zip(outs, (str(source), "-"), strict=True):
        subprocess.run(
            [sys.executable, "-c", COMMAND, "", "pairs", given, "-o", str(out)],
            input=source.read_bytes(), check=True, capture_output=True,
        )  # fmt: skip
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert len(rows_of(outs[0])) > 100
