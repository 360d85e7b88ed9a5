"""Rewards over groups as ART calls them; tests/contracts has the installed one."""

import logging
from pathlib import Path
from typing import Any

import pytest

from plaudit import Judge
from plaudit.errors import UsageError
from plaudit.integrations.art import as_art_reward, row_of_trajectory
from plaudit.rewarding.unscored import UnscoredError
from tests.support.command import write_rows
from tests.support.judged import compared
from tests.support.peers import art_group, art_trajectory

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def trajectory(text: str, **metadata: Any) -> Any:
    return art_trajectory(ASKED, [{"role": "assistant", "content": text}], **metadata)


def group(*texts: str, unknown: int = 0) -> Any:
    known = [trajectory(text, answer="4") for text in texts]
    return art_group([*known, *(trajectory("4") for _ in range(unknown))])


async def test_unscored_trajectories_leave_the_group_and_are_counted() -> None:
    given = group("4", "5", unknown=2)
    given.trajectories[0].reward = 0.25
    found = await as_art_reward(RULES, name="sums")(given)
    assert [one.reward for one in found.trajectories] == [1, 0]
    assert found.trajectories[0].metrics["independent_reward"] == 0.25
    assert found.metrics == {"sums/unscored": 0.5}
    assert len(found.logs) == 2
    assert len(given.trajectories) == 4
    assert (given.trajectories[0].reward, given.metrics, given.logs) == (0.25, {}, [])


async def test_a_group_of_too_few_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert await as_art_reward(RULES)(group("4", unknown=3)) is None
    assert "a group is dropped: 1 of 4 have a value" in caplog.text
    found = await as_art_reward(RULES, minimum=1)(group("4", unknown=3))
    assert len(found.trajectories) == 1


@pytest.mark.parametrize(("choice", "rewards"), [("group-mean", [1, 0, 0.5]), (-2, [1, 0, -2])])
async def test_something_may_stand_for_a_missing_value(choice: Any, rewards: list[float]) -> None:
    found = await as_art_reward(RULES, when_unscored=choice)(group("4", "5", unknown=1))
    assert [one.reward for one in found.trajectories] == rewards


async def test_a_mean_of_nothing_drops_the_group_and_an_error_is_one() -> None:
    assert await as_art_reward(RULES, when_unscored="group-mean")(group(unknown=2)) is None
    with pytest.raises(UnscoredError):
        await as_art_reward(RULES, when_unscored="error")(group("4", unknown=1))
    with pytest.raises(UsageError, match="ART cannot carry null"):
        as_art_reward(RULES, when_unscored="null")


async def test_a_pairwise_judge_compares_the_group(tmp_path: Path) -> None:
    reply = {"match": {}, "replies": [{"text": compared("A++")}]}
    script = write_rows(tmp_path / "script.jsonl", [reply])
    judge = Judge("pairwise", engine=f"scripted:{script}", readout="json", swap=False, cache=False)
    found = await as_art_reward(judge)(group("4", "5"))
    first, second = (one.reward for one in found.trajectories)
    assert first == -second != 0


def test_what_was_not_sampled_is_not_the_models() -> None:
    shown = {"role": "assistant", "content": "As an example: 5."}
    one = art_trajectory([*ASKED, shown], [{"role": "assistant", "content": "4"}])
    one.messages_and_choices.append({"role": "assistant", "content": "5, says the harness."})
    row = row_of_trajectory(one, {"answer": "4"})
    assert [message["content"] for message in row["prompt"]] == ["What is 2 + 2?", shown["content"]]
    assert [message["content"] for message in row["completion"]] == ["4"]
    assert row["answer"] == "4"
    assert "completion" not in row_of_trajectory(art_trajectory(ASKED, []), {})
