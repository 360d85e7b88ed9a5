"""`plaudit serve --processes`: one port, one set of metrics, and workers that are replaced."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.support.command import Here, write_rows
from tests.support.judged import compared
from tests.support.launching import until, until_gone
from tests.support.served import Served, served
from tests.support.serving import RIGHT, RULES

MEMBERS = [
    {"prompt": "Name a river.", "completion": name, "id": name} for name in ("Nile", "Rhine", "Po")
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "rules.toml").write_text(RULES)
    script = write_rows(
        tmp_path / "script.jsonl", [{"match": {}, "replies": [{"text": compared("A=B")}]}]
    )
    (tmp_path / "spec.toml").write_text(
        '[serve.rules]\nrewards = "rules.toml"\n'
        f'[serve.group]\njudge = "pairwise"\nengine = "scripted:{script}"\n'
        'readout = "json"\n[watch]\nrewards = ["rules"]\n'
    )
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[Served]:
    with served(home, "spec.toml", "--processes", "2") as made:
        yield made


def workers(server: Served) -> list[psutil.Process]:
    parent = psutil.Process(server.process.pid)
    until(lambda: len(parent.children()) == 2, 100, "two workers")
    return parent.children()


class Asked:
    """Asks on connections of their own, so that the kernel spreads them over the workers."""

    def __init__(self, server: Served) -> None:
        self.url = server.url
        self.workers: set[str] = set()
        self.rows = 0

    async def post(self, path: str, body: Any) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + path, json=body) as reply,
        ):
            self.workers.add(reply.headers["X-Request-Id"][:20])
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def get(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as reply:
            assert reply.status == 200
            return await reply.text()

    async def reach_both(self) -> None:
        """Ask until both workers have answered."""
        while len(self.workers) < 2:
            assert (await self.post("/v1/score/rules", RIGHT))["value"] == 1.0
            self.rows += 1

    async def counted(self) -> int:
        found = re.search(
            r'plaudit_rows_total{reward="rules",status="ok"} (\d+)', await self.get("/metrics")
        )
        return int(found[1]) if found else 0


def test_they_share_a_port_and_sum_up_their_metrics(server: Served) -> None:
    asked = Asked(server)

    async def run() -> None:
        await asked.reach_both()
        for _ in range(4):
            assert await asked.counted() == asked.rows
        metrics = await asked.get("/metrics")
        assert 'plaudit_ready{reward="rules"} 1\n' in metrics
        assert "plaudit_reward_count{fingerprint=" in metrics
        (count,) = re.findall(r"plaudit_reward_count{[^}]*} (\d+)", metrics)
        assert int(count) == asked.rows

    asyncio.run(run())
    assert server.stop() == 0
    assert server.errors == ""


def test_members_of_a_group_meet_wherever_they_arrive(server: Served) -> None:
    asked = Asked(server)

    async def ask(member: Any, key: str) -> Any:
        body = {"rows": [member], "group": {"key": key, "size": len(MEMBERS)}}
        return (await asked.post("/v1/score/group", body))[0]

    async def run() -> list[Any]:
        keys = [f"step {number}" for number in range(8)]
        return await asyncio.gather(*(ask(member, key) for key in keys for member in MEMBERS))

    answers = asyncio.run(run())
    assert len(asked.workers) == 2
    assert [one["id"] for one in answers] == ["Nile", "Rhine", "Po"] * 8
    assert {one["components"]["compared"] for one in answers} == {2.0}


def test_one_of_them_watches_and_all_report_what_it_saw(server: Served) -> None:
    asked = Asked(server)

    async def run() -> None:
        await asked.reach_both()
        for _ in range(8):
            assert list(json.loads(await asked.get("/v1/watch"))) == ["rules"]
            assert json.loads(await asked.get("/readyz"))["alarms"] == {}
            metrics = await asked.get("/metrics")
            assert metrics.count('plaudit_watch_calls_total{reward="rules"}') == 1

    asyncio.run(run())


def test_one_that_dies_is_replaced_and_no_counter_falls(server: Served) -> None:
    asked = Asked(server)
    before = workers(server)

    async def run() -> None:
        await asked.reach_both()
        assert await asked.counted() == asked.rows
        before[0].kill()
        pids = {one.pid for one in before}
        until(lambda: len({w.pid for w in workers(server)} - pids) == 1, 100, "another worker")
        asked.workers.clear()
        await asked.reach_both()
        assert await asked.counted() == asked.rows

    asyncio.run(run())
    assert server.stop() == 0
    assert "a worker ended; another one takes its place" in server.errors


def test_all_end_with_the_server_even_when_it_is_killed(server: Served) -> None:
    pids = [one.pid for one in workers(server)]
    server.stop(signal.SIGKILL)
    until_gone(pids)


def test_each_answers_what_is_under_way_before_it_stops(home: Path) -> None:
    (home / "own.py").write_text(
        "import time\ndef own(trace):\n    time.sleep(1)\n    return 0.5\n"
    )
    (home / "slow.toml").write_text('[rewards.own]\nfunction = "own.py:own"\n')
    with served(home, "slow.toml", "--processes", "2") as server:
        asked = Asked(server)

        async def run() -> list[Any]:
            rows = [RIGHT | {"id": str(n)} for n in range(8)]
            asking = [asyncio.create_task(asked.post("/v1/score/slow", row)) for row in rows]
            while 'plaudit_rows_open{reward="slow"} 8\n' not in await asked.get("/metrics"):
                assert not any(one.done() for one in asking)
            server.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*asking)

        assert [one["value"] for one in asyncio.run(run())] == [0.5] * 8
        assert server.stop() == 0


def test_a_port_in_use_is_said(home: Path) -> None:
    with served(home, "rules.toml") as first:
        here = Here(home / "store", folder=home)
        done = here("serve", "rules.toml", "--port", str(first.port), "--processes", "2")
    assert done.status == 2
    assert f"port {first.port} is in use" in done.stderr


@pytest.mark.full
def test_one_that_dies_at_each_start_ends_the_server(server: Served) -> None:
    parent, second = psutil.Process(server.process.pid), workers(server)[1]
    while server.process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for one in parent.children():
                if one != second:
                    one.kill()
    assert server.stop() == 1
    assert "ended 5 times right after its start" in re.sub(r"\s+", " ", server.errors)
