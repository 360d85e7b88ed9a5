"""Rewards for the trajectory groups of ART, as it is installed: scripts/contracts art."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

art = pytest.importorskip("art", reason="ART is not installed: scripts/contracts art has it")
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(600)]

from openai.types.chat.chat_completion import Choice  # noqa: E402
from pydantic import ValidationError  # noqa: E402
from scripts import docs  # noqa: E402

from plaudit.integrations.art import as_art_reward  # noqa: E402
from plaudit.rewarding.unscored import UnscoredError  # noqa: E402
from tests.support.equality import in_process  # noqa: E402
from tests.support.equality.runs import Run  # noqa: E402

Message = dict[str, Any]

RULES = {"rewards": {"correctness": {"by": "rules"}}}
ASKED = [{"role": "user", "content": "What is 2 + 2?"}]


def trajectory_of(prompt: Sequence[Message], wrote: Sequence[Message], **metadata: Any) -> Any:
    """A trajectory whose messages of the assistant were sampled."""
    items = [_choice(one) if one["role"] == "assistant" else one for one in wrote]
    return art.Trajectory(messages_and_choices=[*prompt, *items], metadata=metadata)


def _choice(message: Message) -> Choice:
    return Choice.model_validate({"index": 0, "finish_reason": "stop", "message": message})


def said(text: str, reward: float = 0.0, **metadata: Any) -> Any:
    found = trajectory_of(ASKED, [{"role": "assistant", "content": text}], **metadata)
    found.reward = reward
    return found


async def gather(*groups: Any, **options: Any) -> list[Any]:
    """Gather groups as ART does, with the reward over each."""
    reward = as_art_reward(RULES, name="sums", **options)

    async def made(group: Any) -> Any:
        return group

    return await art.gather_trajectory_groups(map(made, groups), pbar_desc=None, after_each=reward)


async def test_real_trajectories_have_the_values_of_plaudit_score(runs: dict[str, Run]) -> None:
    for run in runs.values():
        found = await in_process.art(run.spec, run.rows, trajectory_of, art.TrajectoryGroup)
        assert run.differences(found) == []


async def test_gathering_scores_each_group_and_drops_what_has_no_value() -> None:
    scored = [said("4", 0.25), said("5"), said("It is 4.", answer=None)]
    lost = [said("4"), said("4")]
    groups = [
        art.TrajectoryGroup(scored, metadata={"answer": "4"}),
        art.TrajectoryGroup(lost),  # No reference: no value, and so no group.
    ]
    (found,) = await gather(*groups)
    assert [one.reward for one in found] == [1, 0]
    assert found.trajectories[0].metrics == {
        "independent_reward": 0.25,
        "sums": 1,
        "sums/correctness": 1,
        "sums/unscored": 0,
    }
    assert found.metrics == {"sums/unscored": pytest.approx(1 / 3)}
    assert any("no_reference" in line for line in found.logs)
    assert [one.reward for one in scored] == [0.25, 0, 0]


async def test_a_group_keeps_what_gathering_noted() -> None:
    group = art.TrajectoryGroup([said("4"), said("5")], metadata={"answer": "4"})
    group.exceptions = art.TrajectoryGroup([], exceptions=[OSError("lost")]).exceptions
    (found,) = await gather(group)
    assert [one.message for one in found.exceptions] == ["lost"]
    assert found.metadata == {"answer": "4"}


async def test_an_error_ends_the_gathering_and_a_mean_can_stand_in() -> None:
    group = art.TrajectoryGroup([said("4"), said("5"), said("4", answer=None)])
    for one in group.trajectories[:2]:
        one.metadata["answer"] = "4"
    with pytest.raises(UnscoredError):
        await gather(group, when_unscored="error")
    (found,) = await gather(group, when_unscored="group-mean")
    assert [one.reward for one in found] == [1, 0, 0.5]


def test_art_still_takes_no_none_but_takes_nan() -> None:
    """Why rows are dropped, and why the adapter never hands out NaN."""
    with pytest.raises(ValidationError):
        art.Trajectory(reward=None)
    assert math.isnan(art.Trajectory(reward=math.nan).reward)


def test_the_page_shows_what_happens() -> None:
    assert docs.run_page(docs.DOCS / "reference" / "other-trainers.md") == []
