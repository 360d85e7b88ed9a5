"""Sync functions of the user's own, in processes that are killed where they hang."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.serving import Client, serving

OWN = """
import os, sys, time

def own(trace, **options):
    said = (trace.final_answer or "").strip()
    print("printed", said)
    if said == "hang":
        while True:
            time.sleep(1)
    if said == "spin":
        while True:
            pass
    if said == "die":
        os._exit(7)
    if said == "raise":
        raise ValueError("no such answer")
    if said == "exit":
        sys.exit(3)
    if said == "none":
        return None
    if said == "pid":
        return os.getpid()
    return float(len(said)) + options.get("more", 0.0)
"""
SPEC = """
[rewards.own]
function = "own.py:own"
timeout = {timeout}
arguments = {{more = 0.5}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return SPEC.format(timeout=1.0)


async def ask(client: Client, *said: str) -> list[dict[str, object]]:
    rows = [{"prompt": "q", "completion": text} for text in said]
    return (await client.post("/v1/score/rewards", rows)).body


async def test_a_hang_stops_nothing(tmp_path: Path, spec: str) -> None:
    async with serving(spec, folder=tmp_path, processes=2) as client:
        hung = asyncio.create_task(ask(client, "hang", "spin"))
        found = await ask(client, "four")
        assert [row["value"] for row in found] == [4.5]
        lost = await hung
        again = await ask(client, "two")
    assert [(row["value"], row["status"], row["cause"]) for row in lost] == [
        (None, "failed", "timed_out")
    ] * 2
    assert again[0]["value"] == 3.5


async def test_whatever_goes_wrong_is_no_number(tmp_path: Path, spec: str) -> None:
    async with serving(spec.replace("1.0", "60"), folder=tmp_path) as client:
        found = await ask(client, "die", "raise", "exit", "none", "ok")
    assert [row["cause"] for row in found] == ["raised"] * 3 + ["none_returned", None]
    assert [row["value"] for row in found] == [None] * 4 + [2.5]
    assert "status 7" in str(found[0]["reason"])
    assert "ValueError: no such answer" in str(found[1]["reason"])


async def test_processes_are_used_again_and_end_with_the_server(tmp_path: Path, spec: str) -> None:
    spec = spec.replace("1.0", "60")
    async with serving(spec, folder=tmp_path, processes=1) as client:
        pids = [await ask(client, "pid"), await ask(client, "pid ")]
    first, again = (int(row["value"]) for (row,) in pids)  # type: ignore[call-overload]
    assert first == again
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
