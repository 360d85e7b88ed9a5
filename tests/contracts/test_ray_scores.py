"""Scores on the installed Ray: `scripts/contracts ray`, or wherever Ray can be imported."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: scripts/contracts ray has it")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

import pyarrow.parquet as parquet  # noqa: E402

from plaudit import Judge, SendPolicy  # noqa: E402
from plaudit.integrations.ray import judge_dataset  # noqa: E402
from tests.rollouts.rewards.playing import verdict  # noqa: E402
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

SPEC = """
[rewards.correctness]
by = "judge"
judge = { readout = "json" }
[rewards.length]
weight = 0.1
"""
SAME = ("traces", "rejected", "spec", "scale", "rewards", "broken")
ROWS = {"id", "reward", "scores", "unscored"}


def grade(body: Any) -> str:
    return verdict("correct" if row_of(body) % 3 else "incorrect")


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(reply=grade, delay=0.05) as running:
        yield running


class Scoring(Command):
    """`plaudit score` on chats, in a folder of its own."""

    words = ("score",)
    options = ("-r", "rewards.toml")

    def chats(self, count: int, bad: tuple[int, ...] = ()) -> None:
        """Write chats in groups of eight, which blocks cut; bad ones are no traces."""
        self.source = self.folder / "chats.jsonl"
        with self.source.open("w", encoding="utf-8") as lines:
            for n in range(count):
                asked = {"role": "user", "content": f"row#{n} ? Who flew in his place?"}
                said = {"role": "assistant", "content": "It was Swigert, as they say"}
                row = {"id": f"r{n}", "group": f"g{n // 8}", "messages": [asked, said]}
                row |= {"reference": "John L. Swigert"} if n % 50 else {}
                lines.write(json.dumps({"none": n} if n in bad else row) + "\n")


@pytest.fixture
def command(tmp_path: Path, server: FakeOpenAI) -> Scoring:
    (tmp_path / "rewards.toml").write_text(SPEC, encoding="utf-8")
    return Scoring(tmp_path, server)


def test_the_scores_are_those_of_a_local_run(command: Scoring) -> None:
    command.chats(550, bad=(7, 549))
    local = summary_of(command.start("local.jsonl", "--store", "local.db"), 1)
    told = summary_of(command.on_ray("--merge", "merged.parquet"), 1)
    assert {name: local[name] for name in SAME} == {name: told[name] for name in SAME}
    assert local["rejected"] == 2
    lines = (command.folder / "local.jsonl").read_text().splitlines()
    ones = [json.loads(line) for line in lines]
    others = parquet.read_table(command.folder / "merged.parquet").to_pylist(
        maps_as_pydicts="strict"
    )
    assert [one["id"] for one in ones] == [other["id"] for other in others]
    for one, other in zip(ones, others, strict=True):
        scores = one["rewards"]
        assert json.loads(other["rewards"]) == scores
        assert other["reward"] == scores["total"]["value"]
        assert other["scores"] == {name: score["value"] for name, score in scores.items()}
        assert other["unscored"] == {
            name: score["cause"] for name, score in scores.items() if score["value"] is None
        }
    assert [other["id"] for other in others if other["reward"] is None][:2] == ["r0", "r50"]
    before = len(command.server.bodies)
    assert summary_of(command.on_ray(), 1)["traces"] == 548
    assert len(command.server.bodies) == before


def test_a_killed_actor_repeats_at_most_what_was_in_flight(command: Scoring) -> None:
    command.chats(1500)
    driver = command.on_ray()
    wait_until(lambda: len(command.server.bodies) > 400)
    processes_of(driver.pid, "MapWorker")[0].kill()
    told = summary_of(driver)
    assert told["traces"] == 1500
    assert told["rewards"]["correctness"]["scored"] == 1470
    assert sorted(command.asked()) == [n for n in range(1500) if n % 50]
    assert [row["id"] for row in command.verdicts()] == [f"r{n}" for n in range(1500)]
    assert command.repeated() <= SLOTS + UNCOMMITTED
    assert command.server.peak <= SLOTS


def test_traces_whose_judge_failed_are_scored_again_by_the_same_command(command: Scoring) -> None:
    command.chats(240)
    command.server.reply = lambda body: error(400, "no") if row_of(body) == 120 else grade(body)
    told = summary_of(command.on_ray(), 1)
    assert told["rewards"]["correctness"]["unscored"] == {"judge_failed": 1, "no_reference": 5}
    failed = [row for row in command.verdicts() if row["id"] == "r120"]
    assert failed[0]["reward"] is None
    assert dict(failed[0]["unscored"]) == {"correctness": "judge_failed", "total": "judge_failed"}
    command.server.reply = grade
    before = len(command.server.bodies)
    told = summary_of(command.on_ray())
    assert told["rewards"]["correctness"]["unscored"] == {"no_reference": 5}
    assert [row_of(body) for body in command.server.bodies[before:]] == [120]


def test_a_data_set_is_judged_within_the_limits_of_all_actors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    rows = [
        {"id": f"r{n}", "query": f"row#{n} ?", "answer": "a", "follow_up": "thanks"}
        for n in range(300)
    ]
    with FakeOpenAI(reply=answer, delay=0.05) as server:
        judge = Judge(
            "feedback", engine=f"openai:fake-model@{server.url}", readout="json",
            cache=tmp_path / "store.db", send=SendPolicy(concurrency=5),
        )  # fmt: skip
        ray.init("local", num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False)
        try:
            cut = ray.data.from_items(rows, override_num_blocks=6)
            found = judge_dataset(cut, judge, actors=2, batch_size=50).take_all()
        finally:
            ray.shutdown()
        assert sorted(map(row_of, server.bodies)) == list(range(300))
        assert server.peak <= 5
    assert {row["plaudit_status"] for row in found} == {"ok"}
    assert len(found) == 300
