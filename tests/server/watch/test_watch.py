"""The watch beside the traffic, over a real socket: what it sees, costs and survives."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plaudit.server.spec import ServeDefaults, load_spec
from plaudit.server.watch.plan import make_watch
from plaudit.server.watch.watch import Watch
from tests.support.command import write_rows
from tests.support.judged import scored
from tests.support.server import FakeOpenAI
from tests.support.serving import RIGHT, RULES, Client, serving

OFTEN = "\n[watch]\nevery = 2\nprobes = 24\n"


def judged_by(script: Path, *lines: dict[str, Any]) -> str:
    write_rows(script, list(lines))
    return f'[serve.good]\njudge = "pointwise"\nengine = "scripted:{script}"\nreadout = "json"\n'


def says(score: int, contains: str | None = None) -> dict[str, Any]:
    match = {} if contains is None else {"contains": contains}
    return {"match": match, "replies": [{"text": scored(score)}]}


async def seen(client: Client, enough: Callable[[Any], bool], name: str = "good") -> Any:
    """Wait until the report of the watch shows enough."""
    while True:
        report = (await client.get("/v1/watch")).body[name]
        if enough(report):
            return report
        await asyncio.sleep(0.05)


def rows(count: int, reply: str = "Nile") -> list[dict[str, str]]:
    return [{"prompt": f"Name river {n}.", "completion": f"{reply} {n}"} for n in range(count)]


async def test_a_planted_judge_is_reported_within_one_interval(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "plaudit.server")
    spec = judged_by(tmp_path / "judge.jsonl", says(10, "Thought process:"), says(1))
    async with serving(spec + OFTEN, folder=tmp_path) as client:
        assert (await client.get("/readyz")).body["alarms"] == {}
        await client.post("/v1/score/good", rows(8))
        report = await seen(client, lambda found: found["intervals"] > 0)
        ready = await client.get("/readyz")
        metrics = (await client.get("/metrics")).body.splitlines()
    assert report["intervals"] == 1
    assert report["cheats"]["Thought process:"] == {"paid": 3, "probes": 3}
    assert report["cheats"]["a colon"]["paid"] == 0
    assert 0 < report["false_positive_rate"]["value"] < 1
    (alarm,) = report["alarms"]
    assert alarm == {"reason": "cheat", "message": "'Thought process:' is paid: 3 of 3 probes"}
    assert (ready.status, ready.body["ready"]) == (200, True)
    assert ready.body["alarms"] == {"good": ["cheat"]}
    assert 'plaudit_watch_alarm{reward="good",reason="cheat"} 1' in metrics
    assert 'plaudit_watch_alarm{reward="good",reason="drift"} 0' in metrics
    probes = 'plaudit_watch_probes_total{reward="good",probe="Thought process:",outcome='
    assert any(line.startswith(f'{probes}"disagreed"}}') for line in metrics)
    assert any(
        line.startswith('plaudit_watch_false_positive_rate{reward="good"} 0.') for line in metrics
    )
    facts = [record.facts for record in caplog.records if "raises an alarm" in record.message]
    assert facts == [{"reward": "good", "reason": "cheat", "what": alarm["message"]}]
    assert "Name river" not in caplog.text


async def test_a_judge_that_is_not_fooled_raises_no_alarm(tmp_path: Path) -> None:
    spec = judged_by(tmp_path / "judge.jsonl", says(1))
    async with serving(spec + OFTEN, folder=tmp_path) as client:
        await client.post("/v1/score/good", rows(8))
        report = await seen(client, lambda found: found["intervals"] > 1)
    assert report["alarms"] == []
    assert report["false_positive_rate"]["value"] == 0
    assert report["false_positive_rate"]["high"] < 0.2
    assert report["calls"] == sum(report["outcomes"].values()) - report["outcomes"].get(
        "skipped", 0
    )


async def test_a_text_that_is_paid_everywhere_is_seen_without_being_known(tmp_path: Path) -> None:
    judge = judged_by(tmp_path / "judge.jsonl", says(10, "Solution follows"), says(1))
    async with serving(judge + OFTEN, folder=tmp_path) as client:
        for row in [*rows(6, "Solution follows"), *rows(6)]:
            await client.post("/v1/score/good", row)
        report = await seen(client, lambda found: found["alarms"])
    (alarm,) = report["alarms"]
    assert alarm["message"].startswith("'an answer to another question' is paid")


async def test_known_rows_of_rules_agree(tmp_path: Path) -> None:
    known = [
        {"prompt": "2 + 2?", "completion": "4", "answer": "4", "right": True},
        {"prompt": "2 + 2?", "completion": "5", "answer": "4", "value": 0.0},
        {"prompt": "2 + 3?", "completion": "5", "answer": "5", "right": False},
    ]
    write_rows(tmp_path / "known.jsonl", known)
    (tmp_path / "r.toml").write_text(RULES)
    spec = '[serve.sums]\nrewards = "r.toml"\n[watch]\nrows = "known.jsonl"\nevery = 1\n'
    async with serving(spec, folder=tmp_path) as client:
        await client.post("/v1/score/sums", RIGHT)
        report = await seen(client, lambda found: found["intervals"] > 0, "sums")
    assert report["calls"] == 0
    assert "known row" not in report["cheats"]
    assert {cheat["paid"] for cheat in report["cheats"].values()} == {0}
    assert 0 < report["false_positive_rate"]["value"] < 0.2  # The third row, which is labelled so.
    assert 0.8 < report["agreement"]["value"] < 1
    assert report["alarms"] == []
    assert report["mean_reward_last"] is None  # All intervals so far are among the first ones.
    assert report["mean_reward_first"] == 1.0


async def test_probes_ask_the_engine_and_not_the_store(tmp_path: Path) -> None:
    store = str(tmp_path / "store.sqlite")
    with FakeOpenAI(scored(1)) as server:
        engine = f"vllm:fake-model@{server.url}"
        spec = f'[serve.good]\njudge = "pointwise"\nengine = "{engine}"\nreadout = "json"\n'
        spec += "[watch]\nevery = 1\nprobes = 50\ncalls = 6\n"
        async with serving(spec, folder=tmp_path, cache=store) as client:
            await client.post("/v1/score/good", rows(1))
            report = await seen(client, lambda found: found["intervals"] > 1)
            metrics = (await client.get("/metrics")).body
        asked = len(server.completions)
    assert 6 < report["calls"] <= 6 * (report["intervals"] + 1)
    assert report["outcomes"]["skipped"] >= 44
    assert asked >= report["calls"]
    assert 'plaudit_engine_requests_total{reward="good"} 1' in metrics.splitlines()


async def test_an_outage_leaves_probes_unscored_and_the_watch_goes_on(tmp_path: Path) -> None:
    with FakeOpenAI(scored(1)) as server:
        server.stop()
        engine = f"vllm:fake-model@{server.url}"
        spec = f'[serve.good]\njudge = "pointwise"\nengine = "{engine}"\nreadout = "json"\n'
        spec += "[watch]\nevery = 2\nprobes = 4\n"
        async with serving(spec, folder=tmp_path) as client:
            lost = await seen(client, lambda found: found["outcomes"].get("unscored"))
            quiet = (await client.get("/metrics")).body
            server.start()
            back = await seen(client, lambda found: found["intervals"] > 0)
    assert (lost["intervals"], lost["agreement"], lost["alarms"]) == (0, None, [])
    assert "plaudit_watch_agreement{" not in quiet
    assert back["outcomes"]["agreed"] > 0


async def test_without_a_table_nothing_is_watched(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        assert (await client.get("/v1/watch")).body == {}
        assert "alarms" not in (await client.get("/readyz")).body
        assert "plaudit_watch" not in (await client.get("/metrics")).body


async def test_probes_wait_while_rows_of_the_traffic_wait(tmp_path: Path) -> None:
    spec = tmp_path / "serve.toml"
    spec.write_text(judged_by(tmp_path / "judge.jsonl", says(1)) + "[watch]\nevery = 0.5\n")
    traffic_waits = True
    watch = Watch(make_watch(load_spec(spec, ServeDefaults(cache=False))), lambda _: traffic_waits)
    running = asyncio.create_task(watch.run())
    while not watch.report()["good"].outcomes:
        await asyncio.sleep(0.02)
    waited = watch.report()["good"]
    traffic_waits = False
    while not watch.report()["good"].intervals:
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    watch.close()
    assert (set(waited.outcomes), waited.calls) == ({"skipped"}, 0)
    assert watch.report()["good"].calls > 0


async def test_a_judge_that_the_policy_has_learned_to_fool(tmp_path: Path) -> None:
    """The served model begins to pay everything: the mean rises while agreement falls."""
    with FakeOpenAI(scored(1)) as server:
        engine = f"vllm:fake-model@{server.url}"
        spec = f'[serve.good]\njudge = "pointwise"\nengine = "{engine}"\nreadout = "json"\n'
        spec += "[watch]\nevery = 1\nprobes = 16\nwindow = 2\n"
        async with serving(spec, folder=tmp_path) as client:
            number = 0

            async def until(enough: Callable[[Any], bool]) -> Any:
                nonlocal number
                while True:
                    number += 1
                    await client.post("/v1/score/good", rows(3, f"try {number}"))
                    report = (await client.get("/v1/watch")).body["good"]
                    if enough(report):
                        return report
                    await asyncio.sleep(0.1)

            stable = await until(lambda found: found["intervals"] >= 2)
            server.reply = scored(10)
            fooled = await until(lambda found: len(found["alarms"]) > 1)
    assert stable["alarms"] == []
    assert stable["mean_reward_first"] == 0
    assert {alarm["reason"] for alarm in fooled["alarms"]} == {"cheat", "drift"}
