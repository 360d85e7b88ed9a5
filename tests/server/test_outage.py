"""An engine that is gone: rows wait for it, the server says so, and nothing becomes a number."""

import asyncio
from pathlib import Path

import pytest

from tests.support.judged import scored
from tests.support.server import FakeOpenAI
from tests.support.serving import Client, serving

ROW = {"prompt": "Name a river.", "response": "The Nile."}


def spec(server: FakeOpenAI) -> str:
    engine = f"vllm:fake-model@{server.url}"
    return f'[serve.good]\njudge = "pointwise"\nengine = "{engine}"\nreadout = "json"\n'


async def until_ready(client: Client, ready: bool) -> None:
    while (await client.get("/readyz")).body["ready"] is not ready:
        await asyncio.sleep(0.05)


@pytest.fixture
def server():
    with FakeOpenAI(scored(10)) as server:
        yield server


async def test_rows_wait_for_an_engine_that_comes_back(tmp_path: Path, server: FakeOpenAI) -> None:
    server.stop()
    async with serving(spec(server), folder=tmp_path) as client:
        asked = asyncio.create_task(client.post("/v1/score/good", ROW))
        await until_ready(client, False)
        short = await client.post("/v1/score/good", {"rows": [ROW], "deadline": 0.2})
        troubles = (await client.get("/readyz")).body["troubles"]
        metrics = (await client.get("/metrics")).body
        server.start()
        found = await asyncio.wait_for(asked, 100)
        await until_ready(client, True)
    (late,) = short.body
    assert (late["value"], late["status"], late["cause"]) == (None, "failed", "engine_down")
    assert "good" in troubles
    assert 'plaudit_unscored_total{reward="good",cause="engine_down"} 1' in metrics
    assert 'plaudit_ready{reward="good"} 0' in metrics
    assert (found.body["value"], found.body["status"]) == (1.0, "ok")


async def test_an_engine_that_dies_between_requests(tmp_path: Path, server: FakeOpenAI) -> None:
    async with serving(spec(server), folder=tmp_path) as client:
        first = await client.post("/v1/score/good", ROW)
        server.stop()
        rows = [ROW | {"response": f"River {n}"} for n in range(30)]
        lost = await client.post("/v1/score/good", {"rows": rows, "deadline": 3.0})
        await until_ready(client, False)
        server.start()
        await until_ready(client, True)
        again = await client.post("/v1/score/good", rows)
    assert first.body["value"] == 1.0
    assert {row["value"] for row in lost.body} == {None}
    assert {row["status"] for row in lost.body} == {"failed"}
    assert {row["value"] for row in again.body} == {1.0}


async def test_a_refused_key_is_an_outage_too(tmp_path: Path) -> None:
    with FakeOpenAI(scored(10), key="right-key") as server:
        async with serving(spec(server), folder=tmp_path) as client:
            lost = await client.post("/v1/score/good", {"rows": [ROW], "deadline": 1.5})
            ready = await client.get("/readyz")
    assert (lost.body[0]["value"], lost.body[0]["cause"]) == (None, "engine_down")
    assert ready.status == 503


async def test_a_reply_of_no_use_is_no_number(tmp_path: Path) -> None:
    with FakeOpenAI("I would give it a 7, or not.") as server:
        async with serving(spec(server), folder=tmp_path, when_unscored="error") as client:
            native = await client.post("/v1/score/good", ROW)
            score = await client.post("/score", {"text_1": "A river?", "text_2": "The Nile."})
            ready = await client.get("/readyz")
    assert (native.body["value"], native.body["status"]) == (None, "invalid")
    assert native.body["cause"] == "unparseable"
    assert (score.status, score.body["error"]["type"]) == (422, "unscored")
    assert ready.status == 200


async def test_replies_are_kept_in_the_store(tmp_path: Path, server: FakeOpenAI) -> None:
    store = str(tmp_path / "store.sqlite")
    for _ in range(2):
        async with serving(spec(server), folder=tmp_path, cache=store) as client:
            assert (await client.post("/v1/score/good", ROW)).body["value"] == 1.0
            metrics = (await client.get("/metrics")).body
    assert len(server.completions) == 1
    assert 'plaudit_stored_replies_total{reward="good"} 1' in metrics
