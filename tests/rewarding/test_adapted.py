"""A reward as adapters hold it, in process and behind a real server."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import EngineUnusableError, UsageError
from plaudit.judge import Judge
from plaudit.rewarding.adapted import RowReward
from plaudit.rewarding.grouped import GroupReward
from plaudit.rewarding.remote import RemoteScorer
from plaudit.rewarding.rows import TRACE, RowCause, trace_of_row
from plaudit.rollouts.trace import Trace
from tests.support.serving import RIGHT, RULES, UNKNOWN, WRONG, serving

ROWS = [RIGHT, WRONG, UNKNOWN, {"prompt": "p", "completion": 7}]


def spec_in(folder: Path) -> Path:
    path = folder / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def slow(trace: Trace) -> float:
    import time

    time.sleep(30 if trace.final_answer == "5" else 0)
    return 1.0


async def test_rows_become_answers_in_their_order(tmp_path: Path) -> None:
    reward = RowReward(str(spec_in(tmp_path)))
    answers = await reward.ascore(ROWS)
    assert reward.name == "rules"
    assert [one.value for one in answers] == [1.0, 0.0, None, None]
    assert answers[3].status == "rejected"
    assert answers[3].cause == RowCause.BAD_ROW


def test_sync_code_in_another_process_gets_the_same(tmp_path: Path) -> None:
    reward = pickle.loads(pickle.dumps(RowReward(str(spec_in(tmp_path)), name="r", deadline=60)))
    assert (reward.name, reward.deadline) == ("r", 60)
    assert [one.value for one in reward.score(ROWS)] == [1.0, 0.0, None, None]


async def test_a_row_that_takes_too_long_costs_no_other_its_value() -> None:
    reward = RowReward(slow, deadline=2.0)
    answers = await reward.ascore([RIGHT, WRONG])
    assert [one.value for one in answers] == [1.0, None]
    assert answers[1].cause == RowCause.DEADLINE


def test_a_deadline_is_above_zero() -> None:
    with pytest.raises(UsageError, match="deadline must be more than 0"):
        RowReward(slow, deadline=0)


async def test_no_rows_are_no_answers(tmp_path: Path) -> None:
    assert await RowReward(str(spec_in(tmp_path)), deadline=1).ascore([]) == []


async def test_a_server_gives_the_same_answers(tmp_path: Path) -> None:
    local = await RowReward(str(spec_in(tmp_path))).ascore(ROWS)
    async with serving(RULES, folder=tmp_path) as client:
        reward = RowReward(f"{client.address.url}/v1/score/rewards")
        assert reward.name == "rewards"
        remote = await reward.ascore(ROWS)
        traced = await reward.ascore([{TRACE: trace_of_row(row)} for row in ROWS[:3]])
    assert remote == local
    assert [one.value for one in traced] == [1.0, 0.0, None]


async def test_a_number_in_place_of_a_value_is_no_value(tmp_path: Path) -> None:
    async with serving(RULES, "native", folder=tmp_path, when_unscored="-1") as client:
        url = f"{client.address.url}/v1/score/rewards"
        sent = await client.post("/v1/score/rewards", UNKNOWN)
        (answer,) = await RowReward(url).ascore([UNKNOWN])
    assert answer.value is None
    assert sent.status == 200


async def test_what_is_no_JSON_is_rejected_and_costs_no_other_row_its_value(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        reward = RowReward(f"{client.address.url}/v1/score/rewards")
        bad: Any = {**RIGHT, "image": object()}
        answers = await reward.ascore([bad, RIGHT])
    assert [one.value for one in answers] == [None, 1.0]
    assert answers[0].status == "rejected"


async def test_without_a_server_rows_have_no_value_and_say_why() -> None:
    reward = RowReward("http://127.0.0.1:9/v1/score/rewards", deadline=0.5)
    answers = await reward.ascore([RIGHT, WRONG])
    assert [one.value for one in answers] == [None, None]
    assert {one.cause for one in answers} == {RowCause.SERVER_DOWN}
    assert "127.0.0.1:9" in answers[0].reason


async def test_a_server_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        port = client.address.port
    reward = RowReward(f"http://127.0.0.1:{port}/v1/score/rewards", deadline=60)
    asking = asyncio.ensure_future(reward.ascore([RIGHT]))
    await asyncio.sleep(0.2)
    async with serving(RULES, folder=tmp_path, port=port):
        assert [one.value for one in await asking] == [1.0]


@pytest.mark.parametrize("path", ["/v1/score/other", "/v1/judge/feedback"])
async def test_a_reward_that_is_not_there_ends_the_work(tmp_path: Path, path: str) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        with pytest.raises(EngineUnusableError, match="has no such reward"):
            await RowReward(f"{client.address.url}{path}").ascore([RIGHT])


async def test_the_token_comes_from_the_URL_and_is_in_no_message(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path, token="s3cret-token-0000") as client:
        place = f"127.0.0.1:{client.address.port}/v1/score/rewards"
        answers = await RowReward(f"http://any:s3cret-token-0000@{place}").ascore([RIGHT])
        assert [one.value for one in answers] == [1.0]
        with pytest.raises(EngineUnusableError, match="wants another token") as refused:
            await RowReward(f"http://any:another-token-1111@{place}").ascore([RIGHT])
    assert "token-1111" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http:///v1/score/x", "https://h/score/x"]
)
def test_a_URL_that_names_no_reward_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="/v1/score/NAME"):
        RemoteScorer(url)


def test_a_pairwise_judge_needs_whole_groups(tmp_path: Path) -> None:
    script = tmp_path / "judge.jsonl"
    script.write_text("", encoding="utf-8")
    judge = Judge("pairwise", engine=f"scripted:{script}")
    with pytest.raises(UsageError, match="scores each answer for itself"):
        RowReward(judge)
    assert GroupReward(judge).name == "pairwise"
