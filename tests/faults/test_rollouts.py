"""Rollouts in bulk: none waits for the slowest, none is lost, none is done twice."""

import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import agents
from tests.faults.serving import free_port, wait_until
from tests.support.command import Plaudit, rows_of, write_rows

TOOLS = '''
def search(query: str) -> str:
    """Search.

    Args:
        query: words.
    """
    return f"found {query}"
'''


class Agents:
    """A server of a model whose turns and delays are known."""

    def __init__(self, folder: Path, longest: float, held: int = 0) -> None:
        self.longest = longest
        self.log = folder / "agents.log"
        self.log.touch()
        self.port = free_port()
        command = [agents.__file__, "--port", self.port, "--log", self.log, "--longest", longest]
        command += ["--held", held]
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"listening {self.port}\n"

    @property
    def engine(self) -> str:
        return f"openai:m@http://127.0.0.1:{self.port}/v1"

    @property
    def answered(self) -> list[str]:
        """The turns that were answered, as `QUESTION TURN`."""
        return self.log.read_text().splitlines()

    def reported(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/told") as reply:
            return json.load(reply)


@pytest.fixture
def agents_of(tmp_path: Path) -> Iterator[Any]:
    made: list[Agents] = []

    def make(longest: float, held: int = 0) -> Agents:
        made.append(Agents(tmp_path, longest, held))
        return made[-1]

    yield make
    for server in made:
        server.process.kill()
        server.process.communicate()


def ask(server: Agents, folder: Path, count: int, concurrency: int) -> list[str | Path]:
    questions = [{"id": f"q{n}", "question": f"What is number {n}?"} for n in range(count)]
    source = write_rows(folder / f"in-{count}.jsonl", questions)
    (folder / "tools.py").write_text(TOOLS)
    return [
        "rollout", source, "-e", server.engine, "-t", f"{folder / 'tools.py'}:search",
        "-o", folder / "out.jsonl", "--concurrency", str(concurrency), "--json",
    ]  # fmt: skip


def check_speed(plaudit: Plaudit, server: Agents, folder: Path, count: int) -> None:
    """Roll out as many as are in flight, and compare with the longest chain that may be."""
    done = plaudit(*ask(server, folder, count, count), timeout=600)
    assert done.summary["stop_reasons"] == {"answered": count}
    longest = max(agents.chain(n, server.longest) for n in range(count))
    together = sum(agents.chain(n, server.longest) for n in range(count))
    seconds, most = done.summary["seconds"], server.reported()["most"]
    print(
        f"{count} rollouts in {seconds:.1f} s; the longest chain takes {longest:.1f} s, all of "
        f"them {together:.0f} s; at most {most} requests in flight"
    )
    assert seconds <= 1.3 * agents.MOST_TURNS * server.longest
    answers = [trace["final_answer"] for trace in rows_of(folder / "out.jsonl")]
    assert answers == [f"answer {n}" for n in range(count)]


def test_two_hundred_in_flight_do_not_wait_for_the_slowest(
    plaudit: Plaudit, agents_of, tmp_path: Path
) -> None:
    server = agents_of(0.1, held=199)  # The first one gets no reply until all others are done.
    done = plaudit(*ask(server, tmp_path, 200, 200), "--timeout", "600")
    assert done.summary["stop_reasons"] == {"answered": 200}
    answers = [trace["final_answer"] for trace in rows_of(tmp_path / "out.jsonl")]
    assert answers == [f"answer {n}" for n in range(200)]
    assert server.reported()["most"] > 1


@pytest.mark.full
@pytest.mark.timeout(600)
def test_two_hundred_in_flight_take_hardly_longer_than_the_slowest(
    plaudit: Plaudit, agents_of, tmp_path: Path
) -> None:
    check_speed(plaudit, agents_of(1.5), tmp_path, 200)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_thousand_in_flight_do_not_wait_for_the_slowest(
    plaudit: Plaudit, agents_of, tmp_path: Path
) -> None:
    check_speed(plaudit, agents_of(4.0), tmp_path, 1_000)


def check_kills(
    plaudit: Plaudit, server: Agents, folder: Path, count: int, moments: list[int]
) -> None:
    """Kill a run each time after so many turns more, then let it end."""
    command = ask(server, folder, count, 40)
    for turns in moments:
        wanted = len(server.answered) + turns
        process = plaudit.start(*command)
        wait_until(lambda wanted=wanted: len(server.answered) >= wanted)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it ended too soon: give it more questions"
        assert not (folder / "out.jsonl").exists()
    done = plaudit(*command, timeout=600)
    assert done.status == 0
    ids = [trace["id"] for trace in rows_of(folder / "out.jsonl")]
    assert ids == [f"q{n}/0" for n in range(count)]
    turns = sum(len(agents.delays(n, server.longest)) for n in range(count))
    twice = len(server.answered) - turns
    print(f"{turns} turns, {twice} of them answered twice over {len(moments)} kills")
    assert 0 <= twice <= len(moments) * (40 + 200)  # in flight, and not yet committed
    most = Counter(server.answered).most_common(1)[0][1]
    assert most <= 1 + len(moments)
    again = plaudit(*command, timeout=600)
    assert (again.summary["engine_calls"], again.summary["cached"]) == (0, count)


def test_killed_and_given_again_no_rollout_is_lost_or_done_twice(
    plaudit: Plaudit, agents_of, tmp_path: Path
) -> None:
    check_kills(plaudit, agents_of(0.3), tmp_path, 150, [40, 150])


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_killed_at_ten_random_moments(plaudit: Plaudit, agents_of, tmp_path: Path) -> None:
    draw = random.Random(7)
    moments = [draw.randint(1, 600) for _ in range(10)]
    check_kills(plaudit, agents_of(0.5), tmp_path, 4_000, moments)


def peak_of(process: "subprocess.Popen[str]") -> int:
    """Return the most memory that a process had, in MB, once it has ended well."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss // 1024


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_memory_does_not_grow_with_the_number_of_questions(
    plaudit: Plaudit, agents_of, tmp_path: Path
) -> None:
    server, peaks = agents_of(0.001), []
    for count in (500, 5_000):
        command = [*ask(server, tmp_path, count, 50), "--no-cache"]
        with open(os.devnull, "w") as nowhere:
            process = subprocess.Popen(
                plaudit.command(*command),
                env=plaudit.env,
                stdout=nowhere,
                stderr=nowhere,
                text=True,
            )
            peaks.append(peak_of(process))
    print(f"at most {peaks} MB")
    assert peaks[1] < peaks[0] + 40
