import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from typer.testing import CliRunner

from plaudit.cli.app import app
from plaudit.errors import InputError, UsageError
from plaudit.integrations.ray.blocks import cut
from plaudit.integrations.ray.limits import Share
from plaudit.integrations.ray.parts import OutputPart, PartsFolder
from plaudit.integrations.ray.scoring import ScoreWork
from plaudit.rollouts.rewards.spec import load_rewards
from plaudit.rollouts.traces import read_traces
from plaudit.sending.pool import SendPolicy

SPEC = '[rewards.correctness]\nby = "rules"\n[rewards.length]\nweight = 0.1\n'


def chat(name: str, said: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "12 + 30?"}, {"role": "assistant", "content": said}]
    return {"id": name, "messages": messages, **more}


ROWS = (
    chat("a", "42", reference="42"),
    {"nothing": 1},
    chat("b", "43", reference="42"),
    chat("c", "42"),
    chat("d", "42", draw=2**70),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    (tmp_path / "rewards.toml").write_text(SPEC, encoding="utf-8")
    return path


def score(source: Path, **given: Any) -> OutputPart:
    """Score the only block of a source, as an actor does that asks no model."""
    spec = str(source.with_name("rewards.toml"))
    out = str(source.with_name("out"))
    fields: dict[str, Any] = {
        "spec": spec, "rewards": load_rewards(spec).fingerprint, "engine": None,
        "send": SendPolicy(), "cache": False, "strict": False, "out": out, "fingerprint": "f",
    }  # fmt: skip
    work = ScoreWork(**fields | given)
    (block,) = blocks = cut(str(source))
    PartsFolder(out, "f").open(blocks)
    return asyncio.run(work.begin(Share(None, work.send)).work(block)).part


def test_a_part_has_a_value_or_a_cause_for_each_reward(source: Path) -> None:
    part = score(source)
    assert (part.rows, part.failed, part.statuses) == (3, 0, {"ok": 2, "abstained": 1})
    table = parquet.read_table(source.with_name("out") / part.name)
    rows = table.select(["id", "reward", "scores", "unscored"]).to_pylist(maps_as_pydicts="strict")
    assert rows[0] == {
        "id": "a", "reward": 1.0, "unscored": {},
        "scores": {"correctness": 1.0, "length": 0.0, "total": 1.0},
    }  # fmt: skip
    assert rows[2] == {
        "id": "c", "reward": None,
        "scores": {"correctness": None, "length": 0.0, "total": None},
        "unscored": {"correctness": "no_reference", "total": "no_reference"},
    }  # fmt: skip
    read = list(read_traces(source.with_name("out") / part.name))
    assert [(trace.id, trace.rewards is not None) for trace in read] == [
        ("a", True), ("b", True), ("c", True)
    ]  # fmt: skip


def test_a_row_that_is_no_trace_costs_no_other_its_score(source: Path) -> None:
    errors = [json.loads(bytes(line))["error"] for line in score(source).rejected]
    assert len(errors) == 2
    assert errors[1] == "a number of the trace has more than 64 bits"
    source.with_name("out").rename(source.with_name("kept"))
    with pytest.raises(InputError, match="byte"):
        score(source, strict=True)


def test_another_specification_on_a_node_ends_the_work(source: Path) -> None:
    with pytest.raises(UsageError, match="not the same on all nodes"):
        score(source, rewards="other")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("chats.jsonl", "-o", "out.jsonl"), "must name a folder"),
        (("chats.jsonl", "-o", "out", "--limit", "3"), "must be left out on Ray"),
        (("--probe",), "--probe does not go with --ray"),
    ],
)
def test_what_does_not_go_together_is_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(source.parent)
    done = CliRunner().invoke(app, ["score", *options, "--ray", "local"])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
