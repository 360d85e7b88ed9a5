"""The installed NeMo Gym serves a resources server of plaudit's: `scripts/contracts nemo_gym`."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from urllib.request import Request, urlopen

import pytest

gym: Any = pytest.importorskip(
    "nemo_gym.base_resources_server", reason="scripts/contracts nemo_gym has it"
)
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

from nemo_gym.server_utils import ServerClient  # noqa: E402
from scripts import docs  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from plaudit.integrations.nemo_gym import as_gym_server  # noqa: E402
from tests.support.equality import rl_trainers  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402
from tests.support.rl_peers import GYM_CALL, gym_body, gym_text  # noqa: E402

MESSAGE = {"id": "m", "status": "completed"}
RULES = {"rewards": {"correctness": {"by": "rules"}}}


def client(choice: Any, reward: Any = RULES) -> Any:
    server_class = as_gym_server(reward, when_unscored=choice)
    config = gym.BaseResourcesServerConfig(
        host="127.0.0.1", port=1, entrypoint="app.py", name="quality", domain="other"
    )
    server = server_class(config=config, server_client=MagicMock(spec=ServerClient))
    return TestClient(server.setup_webserver())


def post(asked: Any, body: dict[str, Any]) -> dict[str, Any]:
    reply = asked.post("/verify", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_verify_gives_the_row_back_with_its_reward() -> None:
    asked = client("drop")
    assert asked.post("/seed_session", json={}).json() == {}
    row = {"expected_answer": "4", "task": "sums", "_ng_task_index": 0, "_ng_rollout_index": 0}
    found = post(asked, gym_body(gym_text("4"), **row))
    assert {name: found[name] for name in row} == row
    assert (found["reward"], found["unscored"]) == (1.0, 0.0)
    assert post(asked, gym_body(gym_text("5"), **row))["reward"] == 0.0
    assert post(asked, gym_body(*GYM_CALL, answer="5"))["reward"] == 0.0
    assert post(asked, gym_body(*GYM_CALL, gym_text("It is 5."), answer="5"))["reward"] == 1.0


def test_marked_rows_are_left_out_of_gyms_metrics() -> None:
    asked = client("drop")
    row = {"_ng_task_index": 0, "answer": "4"}
    right = post(asked, gym_body(gym_text("4"), **row, _ng_rollout_index=0))
    lost = post(asked, gym_body(gym_text("4"), _ng_task_index=0, _ng_rollout_index=1))
    assert (lost["mask_sample"], lost["_ng_failure_class"]) == (True, "judge_failed")
    found = asked.post("/aggregate_metrics", json={"verify_responses": [right, lost]}).json()
    assert found["agent_metrics"]["mean/reward"] == 1.0
    assert found["key_metrics"]["mean/unscored"] == 0.5
    assert found["group_level_metrics"][0]["num_rollouts"] == 1


def test_an_error_refuses_the_request() -> None:
    reply = client("error").post("/verify", json=gym_body(gym_text("4")))
    assert reply.status_code == 422
    assert "no_reference" in reply.json()["detail"]


def test_gym_starts_the_file_of_the_page(tmp_path: Path) -> None:
    for fence in docs.fences(docs.DOCS / "reference" / "rl-trainers.md"):
        if name := fence.marks.get("file"):
            (tmp_path / name).write_text("\n".join(fence.lines), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("", 0)) as head:
        port, unused = free.getsockname()[1], head.getsockname()[1]
    own = {"entrypoint": "app.py", "host": "127.0.0.1", "port": port, "domain": "other"}
    config = {
        "quality": {"resources_servers": {"quality": own}},
        "head_server": {"host": "127.0.0.1", "port": unused},
        "dry_run": False,
    }
    env = {"NEMO_GYM_CONFIG_PATH": "quality", "NEMO_GYM_CONFIG_DICT": json.dumps(config)}
    command = [sys.executable, "app.py"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | env, stdout=log, stderr=log
        ) as run,
    ):
        try:
            while not answers(port):  # Gym starts Ray first.
                assert run.poll() is None, (tmp_path / "log").read_text("utf-8")
                time.sleep(0.2)
            found = ask(port, gym_body(gym_text("4"), answer="4"))
        finally:
            run.terminate()
    assert found["reward"] == 1.0


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/") as reply:
            return reply.status == 200
    except OSError:
        return False


def ask(port: int, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/verify"
    with urlopen(Request(url, json.dumps(body).encode(), headers)) as reply:
        return json.load(reply)


async def test_rollouts_have_the_values_of_plaudit_score(runs: dict[str, Run]) -> None:
    def serve(spec: Path) -> rl_trainers.GymPost:
        asked = client("drop", spec)

        async def send(body: dict[str, Any]) -> dict[str, Any]:
            items = [
                MESSAGE | one if one["type"] == "message" else one
                for one in body["response"]["output"]
            ]
            return post(asked, body | {"response": gym_body(*items)["response"]})

        return send

    for name in ("graded", "chats"):
        run = runs[name]
        assert run.differences(await rl_trainers.nemo_gym(run.spec, run.rows, serve)) == []
