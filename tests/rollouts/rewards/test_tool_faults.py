"""Rewards that read tools have no value where a tool failed."""

import pytest

from plaudit.rollouts.rewards.measures import AnswerSupport, ChunkHit, SearchEffort
from plaudit.rollouts.rewards.spec import MEASURES
from plaudit.rollouts.trace import TOOL_FAULTS
from tests.rollouts.rewards.playing import Found, chunks, is_no_number, rollout

READ_TOOLS = (ChunkHit, SearchEffort, AnswerSupport)
FOUND = Found(data=chunks("c1"))


@pytest.mark.parametrize("status", sorted(TOOL_FAULTS))
@pytest.mark.parametrize("reward", READ_TOOLS)
async def test_defect_21_a_fault_of_a_tool_is_no_number(reward, status) -> None:
    for trace in (rollout(Found(status=status)), rollout(FOUND, Found(status=status))):
        assert is_no_number(await reward().score(trace), "tool_failed")
    unanswered = rollout(Found(status=status), answer=None)
    assert is_no_number(await reward().score(unanswered), "tool_failed")


@pytest.mark.parametrize(
    "status", ["declined", "malformed", "unknown_tool", "invalid_arguments", "over_limit"]
)
@pytest.mark.parametrize("reward", READ_TOOLS)
async def test_a_fault_of_the_model_is_a_number(reward, status) -> None:
    assert (await reward().score(rollout(Found(status=status)))).value == 0.0


@pytest.mark.parametrize("reward", [ChunkHit, SearchEffort])
async def test_a_fault_of_another_tool_is_of_no_account(reward) -> None:
    trace = rollout(FOUND, Found(tool="add", status="raised"))
    assert (await reward(tools=("search",)).score(trace)).value is not None
    assert is_no_number(await reward(tools=("add",)).score(trace), "tool_failed")


async def test_rewards_that_read_no_tool_are_scored() -> None:
    trace = rollout(Found(status="raised"))
    others = [MEASURES[name]() for name in ("format", "length", "repetition")]
    assert [(await reward.score(trace)).value for reward in others] == [1.0, 0.0, 0.0]
