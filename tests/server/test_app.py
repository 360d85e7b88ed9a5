"""The native protocol and its refusals, over a real socket."""

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest

from plaudit.server.app import HTTPLimits
from plaudit.server.desk import DeskLimits
from tests.support.serving import RIGHT, RULES, UNKNOWN, WRONG, Client, serving


async def test_a_row_a_list_and_a_batch_are_answered_in_their_order(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        one = await client.post("/v1/score/rewards", RIGHT | {"id": "q1"})
        many = await client.post("/v1/score/rewards", [WRONG, UNKNOWN, RIGHT])
        batch = await client.post("/v1/score/rewards", {"rows": [RIGHT, WRONG]})
        none = await client.post("/v1/score/rewards", [])
    assert (one.status, one.body["value"], one.body["id"]) == (200, 1.0, "q1")
    assert one.body["components"] == {"correctness": 1.0}
    assert one.body["fingerprint"].startswith("rewards/")
    assert [row["value"] for row in many.body] == [0.0, None, 1.0]
    assert (many.body[1]["status"], many.body[1]["cause"]) == ("abstained", "no_reference")
    assert [row["value"] for row in batch.body] == [1.0, 0.0]
    assert none.body == []


async def test_a_bad_row_costs_no_other_row(tmp_path: Path) -> None:
    rows = [RIGHT, {"a": 1}, RIGHT | {"completion": 5}, {"messages": "no list"}, WRONG]
    async with serving(RULES, folder=tmp_path) as client:
        found = await client.post("/v1/score/rewards", rows)
    assert [row["value"] for row in found.body] == [1.0, None, None, None, 0.0]
    assert {row["status"] for row in found.body[1:4]} == {"rejected"}
    assert {row["cause"] for row in found.body[1:4]} == {"bad_row"}
    assert "needs 'prompt' and 'completion'" in found.body[1]["reason"]


async def test_chats_and_traces_are_scored_as_plaudit_score_does(tmp_path: Path) -> None:
    chat = {
        "messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
        "reference": "4",
    }
    turns = {
        "prompt": [{"role": "user", "content": "2+2?"}],
        "completion": [{"role": "assistant", "content": "4"}],
        "reference": "4",
    }
    async with serving(RULES, folder=tmp_path) as client:
        found = await client.post("/v1/score/rewards", [chat, turns])
    assert [row["value"] for row in found.body] == [1.0, 1.0]


BAD_BODIES = {
    "no json": b"reward please",
    "cut off": b'{"prompt": "a"',
    "nan": b'{"prompt": "a", "completion": "b", "answer": NaN}',
    "infinity": b'[{"prompt": "a", "completion": "b", "x": Infinity}]',
    "number out of range": b'{"x": 1e999}',
    "no utf-8": b'{"prompt": "\xff"}',
    "lone surrogate": b'{"prompt": "\\ud800"}',
    "deep": b'{"prompt":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number": b"5",
    "a text": b'"row"',
    "rows that are none": b"[1, 2]",
    "an unknown field of a batch": b'{"rows": [], "grupp": {}}',
    "a deadline of 0": b'{"rows": [], "deadline": 0}',
    "empty": b"",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_bad_body_is_refused(tmp_path: Path, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with serving(RULES, folder=tmp_path) as client:
        found = await client.post("/v1/score/rewards", data=body, headers=headers)
        after = await client.post("/v1/score/rewards", RIGHT)
    assert found.status == 400
    assert found.body["error"]["type"] == "bad_request"
    assert found.body["error"]["request_id"] == found.headers["X-Request-Id"]
    assert after.body["value"] == 1.0


async def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    limits = HTTPLimits(body=10_000, rows=3)
    async with serving(RULES, folder=tmp_path, http=limits) as client:
        large = await client.post("/v1/score/rewards", RIGHT | {"x": "a" * 20_000})
        many = await client.post("/v1/score/rewards", [RIGHT] * 4)
        text = await client.post("/v1/score/rewards", data=b"{}")
        packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        zipped = await client.post("/v1/score/rewards", data=b"no gzip", headers=packed)
    assert (zipped.status, zipped.body["error"]["type"]) == (415, "encoded")
    assert (large.status, large.body["error"]["type"]) == (413, "too_large")
    assert (many.status, many.body["error"]["type"]) == (413, "too_many_rows")
    assert (text.status, text.body["error"]["type"]) == (415, "not_json")


async def test_unknown_names_are_answered_with_those_that_there_are(tmp_path: Path) -> None:
    spec = '[serve.maths]\nrewards = "r.toml"\n[serve.style]\nrewards = "r.toml"\n'
    (tmp_path / "r.toml").write_text(RULES)
    async with serving(spec, "slime", folder=tmp_path, when_unscored="error") as client:
        typo = await client.post("/v1/score/math", RIGHT)
        path = await client.post("/v2/score/maths", RIGHT)
        judge = await client.post("/v1/judge/feedback", RIGHT)
        which = await client.post("/slime", {"prompt": "a", "response": "b"})
        named = await client.post("/maths/slime", {"prompt": "a", "response": "b", "label": "b"})
        method = await client.get("/v1/score/maths")
    assert typo.status == path.status == judge.status == which.status == 404
    assert "did you mean 'maths'" in typo.body["error"]["message"]
    assert "there are maths, style" in typo.body["error"]["message"]
    assert "rewards: maths, style" in path.body["error"]["message"]
    assert "/maths/" in which.body["error"]["message"]
    assert (named.status, named.body) == (200, 1.0)
    assert method.status == 405


async def test_a_token_is_wanted_in_either_form(tmp_path: Path) -> None:
    token = "s3cret-s3cret-s3cret"
    async with serving(RULES, folder=tmp_path, token=token) as client:

        async def status(path: str = "/v1/score/rewards", **headers: str) -> int:
            return (await client.post(path, RIGHT, headers=headers)).status

        basic = "Basic " + b64encode(f"trainer:{token}".encode()).decode()
        wrong = "Basic " + b64encode(f"trainer:{token[:-1]}".encode()).decode()
        assert await status() == 401
        assert await status(Authorization=f"Bearer {token}") == 200
        assert await status(Authorization=basic) == 200
        assert await status(Authorization=wrong) == 401
        assert await status(Authorization="Bearer " + token[:-1]) == 401
        assert await status(Authorization="Basic %%%") == 401
        assert await status(Authorization="Basic") == 401
        assert (await client.get("/metrics")).status == 401
        assert (await client.get("/healthz")).status == 200
        url = f"http://trainer:{token}@127.0.0.1:{client.address.port}/v1/score/rewards"
        async with client.session.post(url, json=RIGHT) as reply:  # As OpenRLHF's client does.
            assert reply.status == 200


async def test_another_name_in_the_host_header_is_refused(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        forged = await client.post("/v1/score/rewards", RIGHT, headers={"Host": "evil.example"})
        own = await client.post("/v1/score/rewards", RIGHT, headers={"Host": "localhost:1"})
    assert (forged.status, forged.body["error"]["type"]) == (403, "unknown_host")
    assert own.status == 200


async def test_reports(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path, when_unscored="error") as client:
        await client.post("/v1/score/rewards", [RIGHT, WRONG, UNKNOWN])
        assert (await client.get("/healthz")).body == {"status": "ok"}
        assert (await client.get("/readyz")).body == {"ready": True, "troubles": {}}
        metrics = await client.get("/metrics")
        api = (await client.get("/openapi.json")).body
        request_id = (await client.get("/healthz", headers={"X-Request-Id": "step-7"})).headers
        forged = (await client.get("/healthz", headers={"X-Request-Id": "a b"})).headers
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in (
        'plaudit_rows_total{reward="rewards",status="ok"} 2',
        'plaudit_unscored_total{reward="rewards",cause="no_reference"} 1',
        'plaudit_requests_total{dialect="native",status="200"} 1',
        'plaudit_request_seconds_count{dialect="native"} 1',
        'plaudit_ready{reward="rewards"} 1',
    ):
        assert line in metrics.body.splitlines()
    assert api["openapi"] == "3.1.0"
    assert {"/v1/score/{name}", "/openrlhf", "/rewards/openrlhf", "/score"} <= api["paths"].keys()
    assert "ScoredRow" in api["components"]["schemas"]
    assert request_id["X-Request-Id"] == "step-7"
    assert forged["X-Request-Id"] != "a b"


async def test_a_client_that_is_gone_frees_its_place(tmp_path: Path) -> None:
    slow = "import asyncio\nasync def slow(trace):\n    await asyncio.sleep(1)\n    return 1.0\n"
    (tmp_path / "own.py").write_text(slow)
    spec = '[rewards.slow]\nfunction = "own.py:slow"\n'

    async def rows(client: Client, count: int) -> None:
        line = f'plaudit_rows_open{{reward="rewards"}} {count}'
        while line not in (await client.get("/metrics")).body.splitlines():
            await asyncio.sleep(0.01)

    async with serving(spec, folder=tmp_path, desk=DeskLimits(at_once=1)) as client:
        first = asyncio.create_task(client.post("/v1/score/rewards", RIGHT))
        await rows(client, 1)
        second = asyncio.create_task(client.post("/v1/score/rewards", WRONG))
        await rows(client, 2)
        second.cancel()
        await rows(client, 1)
        assert (await first).body["value"] == 1.0


async def test_a_full_queue_is_the_only_refusal_for_load(tmp_path: Path) -> None:
    limits = DeskLimits(waiting=2)
    own = "async def own(trace):\n    return 1.0\n"
    (tmp_path / "own.py").write_text(own)
    spec = '[rewards.own]\nfunction = "own.py:own"\n'
    async with serving(spec, folder=tmp_path, desk=limits) as client:
        many = await client.post("/v1/score/rewards", [RIGHT, WRONG, UNKNOWN])
        same = await client.post("/v1/score/rewards", [RIGHT, WRONG, RIGHT])
    assert (many.status, many.body["error"]["type"]) == (503, "queue_full")
    assert [row["value"] for row in same.body] == [1.0, 1.0, 1.0]


async def test_a_server_that_stops_answers_what_is_under_way(tmp_path: Path) -> None:
    slow = "import asyncio\nasync def slow(trace):\n    await asyncio.sleep(0.5)\n    return 1.0\n"
    (tmp_path / "own.py").write_text(slow)
    spec = '[rewards.slow]\nfunction = "own.py:slow"\n'

    async def ask(client: Client) -> float:
        return (await client.post("/v1/score/rewards", RIGHT)).body["value"]

    async with serving(spec, folder=tmp_path) as client:
        asked = asyncio.create_task(ask(client))
        while not client.service.open_requests:
            await asyncio.sleep(0.01)
        client.service.draining = True
        assert (await client.get("/readyz")).status == 503
        late = await client.post("/v1/score/rewards", WRONG)
        assert (late.status, late.body["error"]["type"]) == (503, "stopping")
        assert await asked == 1.0
