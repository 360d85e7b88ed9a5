"""A few samples that a server never answers fail with their cause; the run is finished."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plaudit import EngineUnusableError, Judge
from plaudit.engines.pool import SendPolicy
from tests.support.command import Done, Plaudit, rows_of, write_rows
from tests.support.server import Answer, FakeOpenAI, Reply, error

GOOD = json.dumps({"rationale": "Says thanks.", "label": "pos_praise", "confidence": 0.9})


async def hangs() -> Answer:
    await asyncio.sleep(3600)
    return GOOD


KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "500": (lambda: error(500, "boom"), "server_error"),
    "hang": (hangs, "timeout"),
    "dropped": (lambda: Reply(cut=-1), "connection"),
    "403": (lambda: error(403, "blocked by the firewall"), "bad_request"),
}
"""What a server does to some samples for ever, and the cause that they fail with."""


def row(number: int, kind: str = "good") -> dict[str, str]:
    text = f"About case-{number}- of kind <{kind}>"
    return {"id": str(number), "query": text, "answer": "So.", "follow_up": "Thanks!"}


def play(body: Any) -> Any:
    """Answer a request as its row wants it."""
    kinds = re.findall(r"of kind <([\w ]+)>", json.dumps(body))
    kind = kinds[-1] if kinds else "good"
    return GOOD if kind == "good" else KINDS[kind][0]()


def asked(server: FakeOpenAI, start: int = 0) -> list[str]:
    """Return the rows that requests were about; "" stands for harmless text."""
    found = [re.findall(r"case-(\d+)-", json.dumps(body)) for body in server.bodies[start:]]
    return [numbers[-1] if numbers else "" for numbers in found]


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(play) as server:
        yield server


def judge_file(plaudit: Plaudit, server: FakeOpenAI, source: Path, *options: str) -> Done:
    return plaudit(
        "judge", "feedback", source, "-e", f"vllm:m@{server.url}", "-o", source.with_suffix(".out"),
        "--readout", "json", "--attempts", "3", "--timeout", "0.7", "--outage", "20", "--json",
        *options,
    )  # fmt: skip


BAD = {**dict.fromkeys(range(100, 900, 100), "500"), 17: "403", 550: "hang", 999: "dropped"}
"""Which of 1,000 rows are bad."""


def test_defect_43_bad_samples_fail_and_the_rest_is_written(
    plaudit: Plaudit, server: FakeOpenAI, tmp_path: Path
) -> None:
    rows = [row(number, BAD.get(number, "good")) for number in range(1000)]
    source = write_rows(tmp_path / "in.jsonl", rows)
    done = judge_file(plaudit, server, source)
    assert done.status == 1, done.stderr
    verdicts = rows_of(source.with_suffix(".out"))
    assert [v["id"] for v in verdicts] == [row["id"] for row in rows]
    failed = {int(v["id"]): v["error"]["cause"] for v in verdicts if v["status"] == "failed"}
    assert failed == {number: KINDS[kind][1] for number, kind in BAD.items()}
    assert done.summary["ok"] == 1000 - len(BAD)
    assert done.summary["engine_calls"] == len(server.bodies)

    before = len(server.bodies)
    again = judge_file(plaudit, server, source)
    assert again.status == 1, again.stderr
    assert again.summary["failed"] == len(BAD)
    assert {*asked(server, before)} - {""} == {str(number) for number in BAD}
    assert rows_of(source.with_suffix(".out")) == verdicts
