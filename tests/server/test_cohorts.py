"""Groups: compared two by two, in one request or in several, and never in half by accident."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from plaudit.preferences.strengths import bradley_terry
from tests.support.command import write_rows
from tests.support.judged import compared
from tests.support.serving import Client, serving

CHOICES = {"a|b": "A++", "a|c": "A+", "b|c": "A=B"}
SHARES = {"A++": 0.95, "A+": 0.75, "A=B": 0.5}


def member(id: str, said: str | None = None, prompt: str = "Name a river.") -> dict[str, Any]:
    return {"id": id, "prompt": prompt, "completion": said or f"River {id}"}


A, B, C = member("a"), member("b"), member("c")


@pytest.fixture
def spec(tmp_path: Path) -> str:
    return judge(tmp_path, {pair: {"text": compared(choice)} for pair, choice in CHOICES.items()})


def judge(folder: Path, replies: dict[str, dict[str, Any]]) -> str:
    lines = [{"match": {"sample_id": id}, "replies": [reply]} for id, reply in replies.items()]
    script = write_rows(folder / "script.jsonl", lines)
    options = f'judge = "pairwise"\nengine = "scripted:{script}"\nreadout = "json"\nswap = false\n'
    return f"[serve.better]\n{options}"


async def ask(client: Client, rows: list[Any], **group: Any) -> Any:
    return await client.post("/v1/judge/pairwise", {"group": group, "rows": rows})


async def test_a_group_in_one_request_gets_its_strengths(tmp_path: Path, spec: str) -> None:
    async with serving(spec, folder=tmp_path) as client:
        found = await ask(client, [A, B, C])
    contests = [(0, 1, 0.95), (0, 2, 0.75), (1, 2, 0.5)]
    assert [row["value"] for row in found.body] == bradley_terry(3, contests)
    assert [row["components"]["win_share"] for row in found.body] == [0.85, 0.275, 0.375]
    assert [row["id"] for row in found.body] == ["a", "b", "c"]
    assert {row["status"] for row in found.body} == {"ok"}
    assert found.body[0]["fingerprint"].startswith("pairwise/")


async def test_a_pair_is_judged_as_a_pair(tmp_path: Path) -> None:
    spec = judge(tmp_path, {"p": {"text": compared("A++")}})
    pair = {"id": "p", "prompt": "q", "response_a": "x", "response_b": "y"}
    async with serving(spec, folder=tmp_path) as client:
        found = await client.post("/v1/score/better", pair)
    assert (found.body["value"], found.body["decided"]) == (pytest.approx(0.9), "A")


async def test_a_comparison_that_failed_is_no_tie(tmp_path: Path) -> None:
    lost = {"text": "no verdict"}
    spec = judge(tmp_path, {"a|b": lost, "a|c": lost, "b|c": {"text": compared("A++")}})
    async with serving(spec, folder=tmp_path) as client:
        found = (await ask(client, [A, B, C])).body
    assert [row["status"] for row in found] == ["invalid", "ok", "ok"]
    assert (found[0]["value"], found[0]["cause"]) == (None, "unparseable")
    assert found[0]["reason"] == "0 of 2 comparisons could be made"
    assert found[1]["value"] > found[2]["value"]


async def test_members_of_several_requests_are_compared_together(tmp_path: Path, spec: str) -> None:
    async with serving(spec, folder=tmp_path) as client:
        whole = (await ask(client, [A, B, C])).body
        parts = [ask(client, rows, key="g1", size=3) for rows in ([A], [C], [B])]
        a, c, b = await asyncio.gather(*parts)
        again = await ask(client, [C], key="g1", size=3)  # A client that gave up asks again.
    values = {row["id"]: row["value"] for row in (*a.body, *b.body, *c.body)}
    assert values == {row["id"]: row["value"] for row in whole}
    assert again.body == c.body


async def test_a_missing_member_is_unscored_and_the_others_are_not(
    tmp_path: Path, spec: str
) -> None:
    async with serving(spec, folder=tmp_path) as client:
        found = await ask(client, [A, B], key="g", size=3, deadline=0.1)
        late = await ask(client, [C], key="g", size=3, deadline=0.1)
        alone = await ask(client, [C], key="h", size=3, deadline=0.1)
    assert [row["value"] for row in found.body] == bradley_terry(2, [(0, 1, 0.95)])
    assert [row["components"]["compared"] for row in found.body] == [1.0, 1.0]
    assert (late.body[0]["value"], late.body[0]["cause"]) == (None, "late")
    assert (alone.body[0]["value"], alone.body[0]["cause"]) == (None, "group_incomplete")


BAD_GROUPS = {
    "a group of one": ([A], {}, "2 to 64 members, not 1"),
    "mixed questions": ([A, member("b", prompt="Another one?")], {}, "answer one prompt"),
    "a member twice": ([A, B, A], {}, "'a' is in the group twice"),
    "too many": ([A, B, C], {"key": "g", "size": 2}, "2 members, and the request 3 rows"),
    "none": ([], {"key": "g", "size": 3}, "3 members, and the request 0 rows"),
    "too large": ([member(str(n)) for n in range(65)], {}, "not 65"),
    "a part without a key": ([A], {"size": 3}, "needs a 'key'"),
    "a part without ids": ([{"prompt": "q", "completion": "x"}], {"key": "g", "size": 3}, "'id'"),
    "a negative size": ([A, B], {"size": -2}, "not -2"),
    "a typo": ([A, B], {"keys": "g"}, "keys"),
}


@pytest.mark.parametrize(("rows", "group", "problem"), BAD_GROUPS.values(), ids=BAD_GROUPS)
async def test_what_is_no_group_is_refused(
    tmp_path: Path, spec: str, rows: list[Any], group: dict[str, Any], problem: str
) -> None:
    async with serving(spec, folder=tmp_path) as client:
        found = await ask(client, rows, **group)
        assert client.service.snapshot().text().count("plaudit_rows_total") == 0
    assert found.status == 400
    assert problem in found.body["error"]["message"]


async def test_a_part_that_contradicts_the_others_is_refused(tmp_path: Path, spec: str) -> None:
    async with serving(spec, folder=tmp_path) as client:
        first = asyncio.create_task(ask(client, [A], key="g", size=3))
        while not client.service.open_requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        other = await ask(client, [member("b", prompt="Another one?")], key="g", size=3)
        size = await ask(client, [B], key="g", size=4)
        twice = await ask(client, [member("a", "Another river")], key="g", size=3)
        last = await ask(client, [B, C], key="g", size=3)
        assert (await first).status == last.status == 200
    problems = [one.body["error"]["message"] for one in (other, size, twice)]
    assert [one.status for one in (other, size, twice)] == [400] * 3
    assert "answer one prompt" in problems[0]
    assert "'g' has 3 members" in problems[1]
    assert "another member 'a'" in problems[2]


async def test_the_mean_of_a_group_stands_for_what_is_unscored(tmp_path: Path) -> None:
    spec = '[serve.r]\nrewards = "r.toml"\n[dialect.native]\nwhen_unscored = "group-mean"\n'
    (tmp_path / "r.toml").write_text('[rewards.correctness]\nby = "rules"\n')
    right = {"prompt": "2+2?", "completion": "4", "answer": "4"}
    wrong, unknown = right | {"completion": "5"}, right | {"answer": None}
    async with serving(spec, folder=tmp_path) as client:
        body = {"group": {}, "rows": [right, wrong, unknown]}
        group = await client.post("/v1/score/r", body)
        rows = await client.post("/v1/score/r", [right, unknown])
        none = await client.post("/v1/score/r", {"group": {}, "rows": [unknown, unknown]})
        other = right | {"prompt": "3+3?"}
        mixed = await client.post("/v1/score/r", {"group": {}, "rows": [unknown, other]})
    assert mixed.status == 400
    assert [row["value"] for row in group.body] == [1.0, 0.0, 0.5]
    assert group.body[2]["status"] == "abstained"
    assert [row["value"] for row in rows.body] == [1.0, None]
    assert none.status == 422
    assert json.dumps(none.body).count("no_reference") >= 2
