import pytest

from plaudit.errors import Cause, UsageError
from tests.judges.making import GOOD, decide, make, over, say, starting


@pytest.mark.parametrize(("score", "reward"), [(1, 0.0), (10, 1.0), (8, 7 / 9), (7.0, 6 / 9)])
async def test_a_score_is_scaled_to_a_reward(score, reward: float) -> None:
    verdict = await decide(
        make("pointwise", readout="json"), say(GOOD["pointwise"] | {"score": score})
    )
    assert verdict.status == "ok"
    assert isinstance(verdict.value, int)
    assert verdict.value == score
    assert verdict.reward == pytest.approx(reward)
    assert verdict.confidence is None
    assert verdict.fields["expected_score"] == score
    assert verdict.fields["weaknesses"] == "w"


async def test_the_value_is_the_mode_and_the_reward_the_expectation() -> None:
    task = make("pointwise", readout="logprob")
    verdict = await decide(task, over(task, starting(task.labels, "10", 0.55)))
    expected = 0.55 * 10 + 0.05 * 45
    assert verdict.value == 10
    assert verdict.fields["expected_score"] == pytest.approx(expected)
    assert verdict.reward == pytest.approx((expected - 1) / 9)
    assert verdict.confidence == pytest.approx(0.55)


async def test_a_gate_without_a_confidence_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot be gated"):
        make("pointwise", readout="json", gate=0.5)
    task = make("pointwise", readout="logprob", gate=0.6)
    verdict = await decide(task, over(task, starting(task.labels, "9", 0.5)))
    assert (verdict.status, verdict.error.cause, verdict.value) == (
        "abstained",
        Cause.BELOW_GATE,
        9,
    )


async def test_there_is_no_gate_by_default() -> None:
    task = make("pointwise", readout="logprob")
    verdict = await decide(task, over(task, starting(task.labels, "9", 0.11)))
    assert verdict.status == "ok"
