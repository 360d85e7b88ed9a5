"""Rewards for groups and histories of tinker-cookbook; tests/contracts has the installed one."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from plaudit.errors import UsageError
from plaudit.integrations.tinker import (
    RewardedGroupBuilder,
    TinkerReward,
    row_of_history,
    row_of_problem,
)
from plaudit.rewarding.unscored import UnscoredError
from tests.support import peers

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ASKED = {"role": "user", "content": "What is 2 + 2?"}
FOUR = {"role": "assistant", "content": "4"}


def rows(*truths: str | None) -> list[dict[str, Any]]:
    return [{"prompt": [ASKED], "completion": "4", "answer": truth} for truth in truths]


async def test_members_get_values_and_metrics() -> None:
    reward = TinkerReward(RULES, name="sums", when_unscored="group-mean")
    first, second, third = await reward.rewards(rows("4", "5", None))
    assert first == (1, {"sums": 1, "sums/correctness": 1, "sums/unscored": 0})
    assert (second[0], third) == (0, (0.5, {"sums/unscored": 1}))


async def test_a_group_that_cannot_be_rewarded_is_an_error() -> None:
    with pytest.raises(UnscoredError):
        await TinkerReward(RULES, when_unscored="error").rewards(rows("4", None))
    with pytest.raises(UnscoredError):
        await TinkerReward(RULES, when_unscored="group-mean").rewards(rows(None, None))


def test_something_must_be_chosen_and_a_history_is_no_group() -> None:
    with pytest.raises(UsageError, match="tinker: its trainer takes no null"):
        TinkerReward(RULES)
    with pytest.raises(UsageError, match="cannot carry group-mean"):
        TinkerReward(RULES, when_unscored="group-mean").for_history(answer="4")


async def test_a_builder_pickles_with_its_reward() -> None:
    envs = (peers.ProblemEnv("What is 2 + 2?", "4"),) * 2
    reward = TinkerReward(RULES, name="sums", when_unscored=-1)
    builder = RewardedGroupBuilder(peers.GroupBuilder(envs), reward)
    builder = pickle.loads(pickle.dumps(builder))
    made = [peers.tinker_trajectory("4"), peers.tinker_trajectory("5")]
    found = await builder.compute_group_rewards(made, await builder.make_envs())
    assert [value for value, _ in found] == [1, 0]
    assert builder.logging_tags() == ["sums"]
    await builder.cleanup()


def test_a_history_is_cut_after_the_last_message_of_the_user() -> None:
    again = {"role": "user", "content": "Again?"}
    row = row_of_history([ASKED, FOUR, again, FOUR], {"answer": "4"})
    assert (row["prompt"], row["completion"]) == ([ASKED, FOUR, again], [FOUR])
    row = row_of_history([FOUR], {"answer": "4"})  # Without what the environment began with.
    assert (row["prompt"], row["completion"]) == ([], [FOUR])
    assert "completion" not in row_of_history([ASKED], {"answer": "4"})


def test_an_environment_of_messages_has_its_history() -> None:
    env = SimpleNamespace(
        message_env=SimpleNamespace(history=[ASKED, FOUR], columns={"answer": "4"})
    )
    row = row_of_problem(env, peers.tinker_trajectory("nothing"))
    assert (row["completion"], row["answer"]) == ([FOUR], "4")
