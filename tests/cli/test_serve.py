"""`plaudit serve` as a process: it starts, refuses, stops in order, and is killed under load."""

import asyncio
import json
import re
import resource
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.command import Here, Plaudit, write_rows
from tests.support.judged import scored
from tests.support.launching import until_gone
from tests.support.served import Served, post, served
from tests.support.serving import RIGHT, RULES, UNKNOWN

CHOSEN = ("--when-unscored", "error")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


@pytest.fixture
def here(home: Path) -> Here:
    return Here(home / "store", folder=home)


def test_check_shows_what_would_be_served_and_probes_it(home: Path, here: Here) -> None:
    reply = {"match": {}, "replies": [{"text": scored(9)}]}
    script = write_rows(home / "script.jsonl", [reply])
    (home / "spec.toml").write_text(
        f'[serve.sums]\nrewards = "rules.toml"\n'
        f'[serve.good]\njudge = "pointwise"\nengine = "scripted:{script}"\nreadout = "json"\n'
    )
    shown = here("serve", "spec.toml", "--check", *CHOSEN)
    assert shown.status == 0, shown.stderr
    for text in ("sums: rewards correctness", "good: judge pointwise", "POST /good/openrlhf"):
        assert text in shown.stdout
    report = json.loads(here("serve", "spec.toml", "--check", "--json").stdout)
    assert [one["problem"] for one in report["rewards"]] == ["", ""]
    assert report["watch"] == []
    script.write_text('{"match": {}, "replies": [{"text": "no verdict"}]}\n')
    bad = here("serve", "spec.toml", "--check")
    assert bad.status == 1
    assert "a harmless row is invalid: unparseable" in bad.stdout
    (home / "spec.toml").write_text(
        '[serve.good]\njudge = "pointwise"\nengine = "vllm:m@http://127.0.0.1:9"\n'
    )
    assert here("serve", "spec.toml", "--check").status == 3


def test_check_shows_what_is_watched_and_reads_its_rows(home: Path, here: Here) -> None:
    rows = write_rows(home / "known.jsonl", [RIGHT | {"right": True}, UNKNOWN | {"value": 0.5}])
    watch = '[watch]\nrows = "known.jsonl"\nprobes = 12\ncheats = ["Certainly!"]\n'
    (home / "spec.toml").write_text(f'[serve.sums]\nrewards = "rules.toml"\n{watch}')
    shown = here("serve", "spec.toml", "--check")
    assert shown.status == 0, shown.stderr
    for text in ("watch sums", "up to 12 probes", "2 known rows; cheats: a colon", "Certainly!"):
        assert text in shown.stdout
    (one,) = json.loads(here("serve", "spec.toml", "--check", "--json").stdout)["watch"]
    assert (one["known"], one["paid_above"], one["every"]) == (2, 0.5, 300)
    rows.write_text('{"prompt": "a"}\n')
    bad = here("serve", "spec.toml")
    assert bad.status == 2
    assert "known.jsonl:1: the row needs one of right" in re.sub(r"\s+", " ", bad.stderr)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["no.toml"], "no.toml: No such file"),
        (["rules.toml", "--dialect", "slime"], "slime: its trainer takes no null"),
        (["rules.toml", "--when-unscored", "zero"], "--when-unscored zero: there is no choice"),
        (["rules.toml", "--when-unscored", "slim=error"], "did you mean 'slime'"),
        (["rules.toml", "--when-unscored", "slime=drop"], "slime cannot carry drop"),
        (["rules.toml", *CHOSEN, "--when-unscored", "0"], "give HOW once"),
        (["rules.toml", "--host", "0.0.0.0"], "clients need a token"),
        (["rules.toml", "--host", "192.0.2.1", "--token-file", "t"], "cannot listen at"),
        (["rules.toml", "--token-file", "none"], "--token-file none: No such file"),
        (["rules.toml", "--token-file", "short"], "16 printable ASCII characters"),
        (["rules.toml", "--host", "no.such.host.invalid", "--token-file", "t"], "cannot listen"),
    ],
)
def test_wrong_usage_is_refused_before_anything_listens(
    home: Path, here: Here, options: list[str], problem: str
) -> None:
    (home / "t").write_text("0123456789abcdef\n")
    (home / "short").write_text("0123\n")
    done = here("serve", *options)
    assert done.status == 2
    assert problem in re.sub(r"\s+", " ", done.stderr)


def test_a_port_in_use_is_said(home: Path, here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = here("serve", "rules.toml", "--port", str(port))
    assert done.status == 2
    assert f"port {port} is in use" in done.stderr


def test_it_stops_in_order_and_answers_what_is_under_way(home: Path) -> None:
    own = "import time\ndef own(trace):\n    time.sleep(1)\n    return 0.5\n"
    (home / "own.py").write_text(own)
    (home / "slow.toml").write_text('[rewards.own]\nfunction = "own.py:own"\n')

    async def ask(server: Served) -> tuple[int, Any]:
        asked = asyncio.create_task(post(f"{server.url}/v1/score/slow", RIGHT))
        async with aiohttp.ClientSession() as session:
            metrics = ""
            while 'plaudit_jobs_running{reward="slow"} 1' not in metrics:
                async with session.get(f"{server.url}/metrics") as reply:
                    metrics = await reply.text()
        server.process.send_signal(signal.SIGTERM)
        return await asked

    with served(home, "slow.toml") as server:
        status, body = asyncio.run(ask(server))
        assert (status, body["value"]) == (200, 0.5)
        assert server.process.wait(100) == 0
        assert server.stop() == 0
        assert server.errors == ""


def test_the_token_may_come_from_the_environment_and_is_never_logged(home: Path) -> None:
    token = "a-token-that-nobody-may-see"
    plaudit = Plaudit(home / "store", {"PLAUDIT_SERVE_TOKEN": token}, folder=home)
    log = home / "log.jsonl"
    started = plaudit.start("--log-file", log, "serve", "rules.toml", "--port", "0", *CHOSEN)
    assert started.stderr is not None
    url = re.search(r"http://\S+", started.stderr.readline())
    assert url
    question = {"prompt": "a question of the user's own", "response": "4", "label": "4"}

    async def ask() -> list[int]:
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session:
            answers = [
                await session.post(f"{url[0]}/slime", json=question, headers=given)
                for given in ({}, headers)
            ]
        return [answer.status for answer in answers]

    assert asyncio.run(ask()) == [401, 200]
    started.send_signal(signal.SIGTERM)
    output = "".join(started.communicate(timeout=100))
    assert started.returncode == 0
    written = log.read_text()
    assert token not in written + output
    assert "question of the user" not in written + output
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["status"] for line in lines if line["event"] == "request"] == [401, 200]
    assert all(line["request_id"] for line in lines if line["event"] == "request")


def test_an_interrupt_of_the_terminal_stops_it_too(home: Path) -> None:
    with served(home, "rules.toml") as server:
        assert server.stop(signal.SIGINT) == 0


# Load


def allow_connections(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard < count:
            pytest.skip(f"this machine allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


async def insist(session: aiohttp.ClientSession, url: str, row: Any) -> Any:
    """Ask until there is an answer, as trainers' clients do."""
    while True:
        try:
            async with session.post(url, json=row) as reply:
                if reply.status == 200:
                    return await reply.json()
                assert reply.status == 503, await reply.text()
        except (aiohttp.ClientError, OSError):
            pass
        await asyncio.sleep(0.1)


async def load(url: str, rows: Sequence[Any], at_once: int) -> list[Any]:
    connector = aiohttp.TCPConnector(limit=at_once)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        return await asyncio.gather(*(insist(session, url, row) for row in rows))


def rows(count: int) -> list[Any]:
    """Rows of which every tenth has no reference, and all others are right."""
    return [{**(UNKNOWN if n % 10 == 0 else RIGHT), "id": f"row {n}"} for n in range(count)]


def check_answers(answers: Sequence[Any]) -> None:
    assert [answer["id"] for answer in answers] == [f"row {n}" for n in range(len(answers))]
    for n, answer in enumerate(answers):
        assert answer["value"] == (None if n % 10 == 0 else 1.0), answer
        assert answer["cause"] == ("no_reference" if n % 10 == 0 else None)


def kill_and_restart(home: Path, count: int) -> None:
    server = Served(home, "rules.toml")
    killed = 0

    async def run() -> list[Any]:
        nonlocal server, killed
        asked = asyncio.create_task(load(f"{server.url}/v1/score/rules", rows(count), 200))
        while killed < 3 and not asked.done():
            await asyncio.sleep(0.3)
            server.stop(signal.SIGKILL)
            server = await asyncio.to_thread(Served, home, "rules.toml", port=server.port)
            killed += 1
        return await asked

    try:
        check_answers(asyncio.run(run()))
    finally:
        server.stop(signal.SIGKILL)
    assert killed


def test_killed_and_restarted_under_load_it_answers_each_row(home: Path) -> None:
    kill_and_restart(home, 1500)


@pytest.mark.full
def test_killed_and_restarted_under_20000_requests(home: Path) -> None:
    kill_and_restart(home, 20_000)


def many_at_once(home: Path, count: int) -> None:
    allow_connections(count + 200)
    with served(home, "rules.toml") as server:
        url = f"{server.url}/v1/score/rules"
        check_answers(asyncio.run(load(url, rows(count), count)))
        assert server.stop() == 0


def test_many_requests_at_once_are_answered(home: Path) -> None:
    many_at_once(home, 500)


@pytest.mark.full
def test_10000_requests_at_once_are_answered(home: Path) -> None:
    many_at_once(home, 10_000)


def test_its_processes_end_with_it_even_when_it_is_killed(home: Path) -> None:
    (home / "own.py").write_text("import os\ndef own(trace):\n    return os.getpid()\n")
    (home / "own.toml").write_text('[rewards.own]\nfunction = "own.py:own"\n')
    with served(home, "own.toml") as server:
        _, body = asyncio.run(post(f"{server.url}/v1/score/own", RIGHT))
        server.stop(signal.SIGKILL)
    until_gone([int(body["value"])])
