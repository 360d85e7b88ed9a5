"""On the installed Ray: `scripts/contracts ray`, or wherever Ray can be imported."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: scripts/contracts ray has it")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

import pyarrow.parquet as parquet  # noqa: E402
from scripts import docs  # noqa: E402

from tests.support.launching import StandIns, until_gone  # noqa: E402
from tests.support.on_ray import (  # noqa: E402
    SLOTS,
    UNCOMMITTED,
    Command,
    answer,
    processes_of,
    row_of,
    summary_of,
)
from tests.support.server import FakeOpenAI, error  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(reply=answer, delay=0.05) as running:
        yield running


@pytest.fixture
def command(tmp_path: Path, server: FakeOpenAI) -> Command:
    return Command(tmp_path, server)


def test_the_verdicts_are_those_of_a_local_run(command: Command) -> None:
    command.rows(350, bad=(7, 349))
    local = summary_of(command.start("local.parquet", "--store", "local.db"), 1)
    told = summary_of(command.on_ray("--merge", "merged.parquet"), 1)
    columns = list(parquet.read_schema(command.folder / "local.parquet").names)
    one, other = (
        parquet.read_table(command.folder / name).select(columns).to_pylist()
        for name in ("local.parquet", "merged.parquet")
    )
    assert one == other
    same = ("samples", "ok", "rejected", "values", "causes", "mean_reward", "engine_calls")
    assert {name: local[name] for name in same} == {name: told[name] for name in same}
    lines = (command.folder / "out/rejected.jsonl").read_text().splitlines()
    rejected = [json.loads(line) for line in lines]
    assert [row["where"] for row in rejected] == [f"{command.source}, row {n}" for n in (8, 350)]
    again = summary_of(command.on_ray(), 1)
    assert (again["engine_calls"], again["cached"]) == (0, 348)


def test_a_killed_actor_repeats_at_most_what_was_in_flight(command: Command) -> None:
    command.rows(1500)
    driver = command.on_ray()
    wait_until(lambda: len(command.server.bodies) > 400)
    actors = processes_of(driver.pid, "MapWorker")
    assert len(actors) == 2
    actors[0].kill()
    told = summary_of(driver)
    assert told["ok"] == 1500
    assert sorted(command.asked()) == list(range(1500))
    assert [row["id"] for row in command.verdicts()] == [f"r{n}" for n in range(1500)]
    assert command.repeated() <= SLOTS + UNCOMMITTED
    assert command.server.peak <= SLOTS


def test_a_killed_driver_leaves_a_run_that_the_command_continues(command: Command) -> None:
    command.rows(1200)
    driver = command.on_ray()
    wait_until(lambda: len(command.server.bodies) > 500)
    actors = processes_of(driver.pid, "MapWorker")
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    assert psutil.wait_procs(actors, timeout=100)[1] == []
    before = len(command.server.bodies)
    told = summary_of(command.on_ray())
    assert told["ok"] == 1200
    assert told["engine_calls"] == len(command.server.bodies) - before
    assert sorted(command.asked()) == list(range(1200))
    assert [row["id"] for row in command.verdicts()] == [f"r{n}" for n in range(1200)]
    assert command.repeated() <= SLOTS + UNCOMMITTED


def test_rows_that_failed_are_asked_again_by_the_same_command(command: Command) -> None:
    command.rows(250)
    command.server.reply = lambda body: error(400, "no") if row_of(body) == 120 else answer(body)
    told = summary_of(command.on_ray("--attempts", "1"), 1)
    assert (told["ok"], told["failed"]) == (249, 1)
    command.server.reply = answer
    before = len(command.server.bodies)
    told = summary_of(command.on_ray("--attempts", "1"))
    assert told["ok"] == 250
    assert [row_of(body) for body in command.server.bodies[before:]] == [120]


def test_ctrl_c_says_how_to_go_on(command: Command) -> None:
    command.rows(1200)
    driver = command.on_ray()
    wait_until(lambda: len(command.server.bodies) > 100)
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "give the same command again" in err


def test_the_rate_is_that_of_the_whole_cluster(command: Command) -> None:
    command.rows(100)
    began = time.monotonic()
    told = summary_of(command.on_ray("--requests-per-minute", "600", "--block-rows", "10"))
    assert told["ok"] == 100
    assert time.monotonic() - began >= (100 - 60) / 9  # 60 at once, then 540 a minute.
    assert command.server.peak <= SLOTS


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """Commands that the actors find, since they inherit this environment."""
    made = StandIns(tmp_path / "standins")
    for name in ("PATH", "PYTHONPATH", "STANDIN_FOLDER"):
        monkeypatch.setenv(name, made.env[name])
    return made


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster of two nodes, each with places for one actor and one GPU."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    made.second = made.add_node(**small)
    yield made
    made.shutdown()


def test_a_killed_node_repeats_at_most_what_was_in_flight(command: Command, cluster: Any) -> None:
    command.rows(1500)
    driver = command.on_ray(address=cluster.address)
    wait_until(lambda: len(command.server.bodies) > 400)
    cluster.remove_node(cluster.second, allow_graceful=False)
    told = summary_of(driver)
    assert told["ok"] == 1500
    assert sorted(command.asked()) == list(range(1500))
    assert [row["id"] for row in command.verdicts()] == [f"r{n}" for n in range(1500)]
    assert command.repeated() <= SLOTS + UNCOMMITTED


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers before two have started, so that no actor finishes alone."""
    monkeypatch.setenv("STANDIN_FAULT", "waits-2")


@pytest.mark.usefixtures("waiting")
def test_each_actor_starts_servers_of_its_own(
    command: Command, stand_ins: StandIns, cluster: Any
) -> None:
    command.rows(600)
    command.engine = "vllm:m"
    told = summary_of(command.on_ray("--launch", "1", address=cluster.address))
    assert (told["ok"], told["values"]) == (600, {"neg_correction": {"ok": 600}})
    assert len(stand_ins.starts) == 2
    assert [start["gpus"] for start in stand_ins.starts] == ["0", "0"]  # Of each node.
    until_gone(stand_ins.pids)


def test_each_actor_asks_its_own_endpoint_and_another_when_that_is_gone(command: Command) -> None:
    command.rows(1500)
    with FakeOpenAI(reply=answer, delay=0.05) as other:
        command.engine = f"openai:fake-model@{command.server.url},{other.url}"
        driver = command.on_ray("--outage", "2", "--concurrency", str(2 * SLOTS))
        wait_until(lambda: min(len(command.server.bodies), len(other.bodies)) > 150)
        other.stop()
        told = summary_of(driver)
    assert told["ok"] == 1500
    assert max(command.server.peak, other.peak) <= 2 * SLOTS
    assert [row["id"] for row in command.verdicts()] == [f"r{n}" for n in range(1500)]


def test_the_guide_shows_what_happens() -> None:
    assert "\n".join(docs.run_page(docs.DOCS / "guides" / "cluster.md")) == ""
