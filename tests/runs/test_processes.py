"""Worker processes: the same bytes as one process, the same limits, and nothing left by a kill."""

import json
import signal
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from plaudit.errors import ArgumentError
from plaudit.runs.processes.crew import shares
from plaudit.sending.pool import SendPolicy
from tests.judges.making import GOOD
from tests.support.command import Here, Plaudit, rows_of
from tests.support.server import FakeOpenAI
from tests.support.waiting import wait_for_replies, wait_until

SAMPLES = 300
TIMES = {"seconds", "out", "rejects"}


def chosen(body: dict[str, Any], of: list[str]) -> str:
    """Choose by what was asked, so that the same request has the same reply everywhere."""
    return of[zlib.crc32(json.dumps([body["messages"], body.get("seed")]).encode()) % len(of)]


def reacted(body: dict[str, Any]) -> str:
    label = chosen(body, ["pos_praise", "neg_correction", "neutral"])
    return json.dumps({"rationale": "r", "label": label, "confidence": 0.9})


def badly_reacted(body: dict[str, Any]) -> str:
    """Reply, now and then by what is no verdict."""
    return chosen(body, ["no JSON", reacted(body), reacted(body)])


def preferred(body: dict[str, Any]) -> str:
    return json.dumps(GOOD["pairwise"] | {"choice": chosen(body, ["A+", "B+"])})


@pytest.fixture
def plaudit(tmp_path: Path) -> Plaudit:
    return Plaudit(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(reacted) as server:
        yield server


def chats(path: Path, count: int = SAMPLES) -> Path:
    """Write rows: some are rejected, and ids repeat."""
    with path.open("w") as out:
        for n in range(count):
            row = {"id": f"r{n % 90}", "query": f"q {n}", "answer": "a", "follow_up": f"ok {n}"}
            out.write(json.dumps(row) + "\n")
            if n % 50 == 7:
                out.write('{"id": "cut\n{"query": "alone"}\n')
    return path


def pairs(path: Path) -> Path:
    rows = ({"prompt": f"q {n}", "response_a": "x", "response_b": f"y {n}"} for n in range(100))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def judge(source: Path, server: FakeOpenAI, out: Path, *more: str, kind: str = "feedback") -> Any:
    engine = f"openai:fake-model@{server.url}"
    how = ("--engine", engine, "--readout", "json", "-o", str(out), "--json")
    return ("judge", kind, str(source), *how, *more)


def same_for(numbers: tuple[int, ...], tmp_path: Path, server: FakeOpenAI, *more: str, **how: Any):
    """Judge in each number of processes, with a store each; everything must be the same."""
    make = pairs if how.get("kind") == "pairwise" else chats
    source, found = make(tmp_path / "in.jsonl"), []
    for number in numbers:
        folder = tmp_path / str(number)
        folder.mkdir()
        command = judge(source, server, folder / "out.jsonl", *more, **how)
        del server.requests[:]
        done = Plaudit(folder)(*command, "--processes", str(number))
        assert done.status in (0, 1), done.stderr
        summary = {name: one for name, one in done.summary.items() if name not in TIMES}
        written = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
        assert written
        found.append((summary, written, done.stderr, len(server.completions)))
    for other in found[1:]:
        assert other == found[0]
    return found[0][0]


def test_two_processes_give_the_same_bytes_and_summary(tmp_path: Path, server: FakeOpenAI) -> None:
    server.reply = badly_reacted
    summary = same_for((1, 2), tmp_path, server)
    assert (summary["samples"], summary["rejected"]) == (SAMPLES, 12)
    assert summary["invalid"]


@pytest.mark.full
def test_three_processes_with_votes(tmp_path: Path, server: FakeOpenAI) -> None:
    summary = same_for(
        (1, 2, 3), tmp_path, server, "--votes", "3", "--all-votes", "--limit", "150", "--raw"
    )
    assert summary["samples"] == 150
    assert summary["mean_votes"] > 1


@pytest.mark.full
def test_three_processes_with_both_orders(tmp_path: Path, server: FakeOpenAI) -> None:
    server.reply = preferred
    summary = same_for((1, 2, 3), tmp_path, server, kind="pairwise")
    assert summary["engine_calls"] == 200
    assert summary["causes"]["order_conflict"]


@pytest.mark.full
def test_an_engine_that_cannot_be_used_ends_all(plaudit: Plaudit, tmp_path: Path) -> None:
    source, out = chats(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    with FakeOpenAI(reacted, key="right") as server:
        done = plaudit(*judge(source, server, out, "--processes", "2"))
    assert done.status == 3
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.full
def test_no_row_that_can_be_judged(plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("{}\n")
    done = plaudit(*judge(source, server, tmp_path / "out.jsonl", "--processes", "2"))
    assert (done.status, "no row can be judged" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("--verbose",), "--verbose cannot be used with --processes"),
        (("--batch",), "--batch cannot be used with --processes"),
        (("--concurrency", "1"), "--processes must be at most 1"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, more: tuple[str, ...], problem: str
) -> None:
    command = ("judge", "feedback", str(chats(tmp_path / "in.jsonl", 2)), "--processes", "2")
    done = Here(tmp_path)(*command, "--engine", "openai:m@http://127.0.0.1:9/v1", *more)
    assert done.status == 2
    assert problem in " ".join(done.stderr.split())


def workers_of(process: Any) -> list[psutil.Process]:
    with_arguments = psutil.Process(process.pid).children(recursive=True)
    return [one for one in with_arguments if "plaudit.runs.processes.worker" in one.cmdline()]


def slow_run(plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path) -> tuple[Any, Any]:
    """Start a run in two processes; return its command and the process, with replies stored."""
    server.delay = 0.05
    source = chats(tmp_path / "in.jsonl")
    command = judge(
        source, server, tmp_path / "out.jsonl", "--processes", "2", "--concurrency", "8"
    )
    process = plaudit.start(*command)
    wait_for_replies(plaudit.home / "store.sqlite", 60)
    return command, process


def ends_as_one_process_does(plaudit: Plaudit, server: FakeOpenAI, command: Any) -> None:
    """Give the command again: it pays twice for what was in flight, and all is there.

    That are 8 requests, and the replies of the last tenth of a second, which were not committed.
    """
    again = plaudit(*command)
    assert again.summary["samples"] == SAMPLES
    assert SAMPLES <= len(server.completions) <= SAMPLES + 8 + 16
    assert [row["index"] for row in rows_of(out_of(command))] == [*range(SAMPLES)]
    left = {path.name for path in out_of(command).parent.iterdir()}
    assert left == {"home", "in.jsonl", "out.jsonl", "out.rejected.jsonl"}
    assert not list(plaudit.home.glob("*.run-*.lock"))


def out_of(command: Any) -> Path:
    return Path(command[command.index("-o") + 1])


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_goes_on(
    plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path, number: signal.Signals
) -> None:
    command, process = slow_run(plaudit, server, tmp_path)
    workers = workers_of(process)
    assert len(workers) == 2
    process.send_signal(number)
    process.communicate()
    assert process.returncode in (130, -number)
    wait_until(lambda: not any(map(psutil.Process.is_running, workers)), "the end of the workers")
    assert not out_of(command).exists()
    server.delay = 0.0
    ends_as_one_process_does(plaudit, server, command)


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_dies_is_replaced(
    plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path, number: signal.Signals
) -> None:
    command, process = slow_run(plaudit, server, tmp_path)
    workers_of(process)[0].send_signal(number)
    stdout, stderr = process.communicate()
    assert process.returncode == 1, stderr  # Rows were rejected.
    summary = json.loads(stdout)
    assert summary["samples"] == SAMPLES
    assert [note for note in summary["notes"] if f"died (signal {int(number)})" in note]
    assert "a worker process died" in stderr
    ends_as_one_process_does(plaudit, server, command)
    assert plaudit(*command).summary["engine_calls"] == 0


@pytest.mark.full
def test_another_number_of_processes_finds_the_replies(
    plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path
) -> None:
    source = chats(tmp_path / "in.jsonl")
    for number, calls in ((2, SAMPLES), (1, 0), (3, 0)):
        command = judge(source, server, tmp_path / "out.jsonl", "--processes", str(number))
        assert plaudit(*command).summary["engine_calls"] == calls
    shown = plaudit("show", "feedback-0001", "--limit", "1")
    assert "q 0" in shown.stdout
    assert plaudit("runs").stdout.count("finished") == 3


@pytest.mark.full
def test_a_rate_is_that_of_all_processes(
    plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path
) -> None:
    """600 requests a minute are a burst of 60, and 540 within the minute after it."""
    source, times = chats(tmp_path / "in.jsonl", 80), list[float]()

    def timed(body: dict[str, Any]) -> str:
        times.append(time.monotonic())
        return reacted(body)

    server.reply = timed
    more = ("--processes", "2", "--requests-per-minute", "600")
    assert plaudit(*judge(source, server, tmp_path / "out.jsonl", *more)).summary["samples"] == 80
    assert len(times) == 80
    for start in times:
        window = [at for at in times if start <= at < start + 2.0]
        assert len(window) <= 60 + 2.0 * 540 / 60 + 2


def test_limits_are_divided() -> None:
    send = SendPolicy(concurrency=7, requests_per_minute=50, tokens_per_minute=1001)
    divided = shares(send, 3)
    assert [one.concurrency for one in divided] == [3, 2, 2]
    assert [one.requests_per_minute for one in divided] == [17, 17, 16]
    assert sum(one.tokens_per_minute or 0 for one in divided) == 1001
    assert sum(one.start or 0 for one in divided) == 10
    assert shares(SendPolicy(), 2)[0].requests_per_minute is None
    with pytest.raises(ArgumentError, match="processes must be at most 7"):
        shares(send, 8)
