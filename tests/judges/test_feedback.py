import math

import pytest

from plaudit.errors import Cause, UsageError
from plaudit.judges.feedback import REWARDS
from plaudit.types import reward_and_update
from tests.judges.making import GOOD, decide, make, over, say, starting


def reply(label: str, confidence: float = 0.9):
    return say(GOOD["feedback"] | {"label": label, "confidence": confidence})


@pytest.mark.parametrize(("label", "reward"), REWARDS.items())
async def test_each_label_has_its_reward(label: str, reward: float) -> None:
    verdict = await decide(make("feedback", readout="json"), reply(label))
    assert (verdict.status, verdict.value, verdict.reward) == ("ok", label, reward)
    assert verdict.fields == {"expected_reward": reward, "rationale": "r", "raw_confidence": 0.9}
    assert reward_and_update(verdict) == (reward, True)


async def test_a_change_of_topic_is_never_learned_from() -> None:
    verdict = await decide(make("feedback", readout="json"), reply("topic_shift", 1.0))
    assert (verdict.status, verdict.value, verdict.reward) == ("abstained", "topic_shift", None)
    assert verdict.error.cause == Cause.TOPIC_SHIFT
    assert reward_and_update(verdict) == (None, False)


async def test_the_reward_is_the_expectation_without_topic_shift() -> None:
    task = make("feedback", readout="logprob", gate=0)
    p = dict.fromkeys(task.labels, 0.1) | {"pos_praise": 0.4}
    verdict = await decide(task, over(task, p))
    expected = math.fsum(p[label] * reward for label, reward in REWARDS.items()) / 0.9
    assert verdict.reward == pytest.approx(expected, abs=1e-12)
    assert verdict.fields["expected_reward"] == verdict.reward
    assert verdict.value == "pos_praise"
    assert verdict.confidence == pytest.approx(0.4)


async def test_a_modal_change_of_topic_keeps_the_expected_reward_but_gives_none() -> None:
    task = make("feedback", readout="logprob", gate=0)
    p = starting(task.labels, "topic_shift", 0.7)
    verdict = await decide(task, over(task, p))
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.TOPIC_SHIFT)
    assert verdict.reward is None
    assert verdict.fields["expected_reward"] == pytest.approx(sum(REWARDS.values()) / 6)
    assert verdict.probabilities["topic_shift"] == pytest.approx(0.7)


async def test_nothing_but_a_change_of_topic_is_no_division_by_zero() -> None:
    task = make("feedback", readout="logprob")
    p = dict.fromkeys(task.labels, 0.0) | {"topic_shift": 1.0}
    verdict = await decide(task, over(task, p))
    assert (verdict.status, verdict.value) == ("abstained", "topic_shift")


@pytest.mark.parametrize("readout", ["json", "logprob"])
async def test_under_the_gate_the_value_is_kept_and_the_reward_is_not(readout: str) -> None:
    task = make("feedback", readout=readout)
    p = over(task, starting(task.labels, "pos_praise", 0.59))
    verdict = await decide(task, p if readout == "logprob" else reply("pos_praise", 0.59))
    assert (verdict.status, verdict.value, verdict.reward) == ("abstained", "pos_praise", None)
    assert verdict.error.cause == Cause.BELOW_GATE
    assert verdict.confidence == pytest.approx(0.59)
    assert verdict.fields["expected_reward"] > 0
    assert not verdict.should_update


@pytest.mark.parametrize(
    ("gate", "status"), [(None, "ok"), (0.6, "ok"), (0.61, "abstained"), (0, "ok")]
)
async def test_the_gate_is_inclusive_and_configurable(gate, status: str) -> None:
    verdict = await decide(make("feedback", readout="json", gate=gate), reply("neutral", 0.6))
    assert verdict.status == status


async def test_the_reward_map_is_configuration() -> None:
    rewards = dict.fromkeys(REWARDS, 0.0) | {"pos_praise": 5.0}
    verdict = await decide(
        make("feedback", readout="json", reward_map=rewards), reply("pos_praise")
    )
    assert verdict.reward == 5.0


@pytest.mark.parametrize(
    "rewards",
    [
        {},
        {"pos_praise": 1.0},
        dict(REWARDS) | {"topic_shift": 0.0},
        dict(REWARDS) | {"neutral": math.nan},
        dict(REWARDS) | {"neutral": math.inf},
    ],
)
def test_a_reward_map_with_holes_is_refused(rewards) -> None:
    with pytest.raises(UsageError, match="reward"):
        make("feedback", reward_map=rewards)
