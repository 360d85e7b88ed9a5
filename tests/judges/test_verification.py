import math

import pytest

from plaudit.errors import Cause, UsageError
from tests.judges.making import GOOD, Ask, decide, make, over, sample_of, say


def row(answer: str, reference) -> dict:
    return {"question": "Who?", "answer": answer, "reference": reference}


@pytest.mark.parametrize("readout", ["json", "logprob"])
@pytest.mark.parametrize(
    ("answer", "reference", "value", "by"),
    [
        ("Shelley.", "shelley", "correct", "rule"),
        ("1,200", ["12", "1200"], "correct", "rule"),
        ("7", "5", "incorrect", "rule"),
        ("", "5", "incorrect", "guard"),
        ("Thought process:", "5", "incorrect", "guard"),
    ],
)
async def test_a_rule_decides_without_asking(answer, reference, value, by, readout) -> None:
    task = make("verify", readout=readout)
    ask = Ask(AssertionError("asked"))
    sample = sample_of("verify", row(answer, reference))
    verdict = await task.decide(sample, ask)
    assert (verdict.status, verdict.value, verdict.fields["decided_by"]) == ("ok", value, by)
    assert verdict.reward == (1.0 if value == "correct" else 0.0)
    assert (ask.requests, task.requests(sample), verdict.raw) == ([], [], [])


@pytest.mark.parametrize("value", ["correct", "incorrect"])
async def test_what_the_rules_leave_open_is_asked(value: str) -> None:
    verdict = await decide(make("verify", readout="json"), say(GOOD["verify"] | {"verdict": value}))
    assert (verdict.status, verdict.value) == ("ok", value)
    assert verdict.reward == (1.0 if value == "correct" else 0.0)
    assert verdict.fields["decided_by"] == "model"
    task = make("verify", readout="logprob")
    verdict = await decide(task, over(task, dict.fromkeys(task.labels, 0.1) | {value: 0.9}))
    assert (verdict.value, verdict.confidence) == (value, pytest.approx(0.9))


async def test_yes_in_a_no_is_not_a_yes() -> None:
    verdict = await decide(
        make("verify", readout="json"), say("No, it is not correct. Yes, yesterday.")
    )
    assert (verdict.status, verdict.reward) == ("invalid", None)


async def test_partial_credit_is_configuration() -> None:
    task = make("verify", readout="json", reward_map={"correct": 1.0, "incorrect": -0.5})
    assert (await decide(task, say("?"), row=row("7", "5"))).reward == -0.5


@pytest.mark.parametrize(
    "rewards",
    [{}, {"correct": 1.0}, {"correct": math.nan, "incorrect": 0.0}, {"right": 1, "wrong": 0}],
)
def test_a_reward_map_with_holes_is_refused(rewards) -> None:
    with pytest.raises(UsageError, match="reward"):
        make("verify", reward_map=rewards)


async def test_the_gate_abstains_and_keeps_the_value() -> None:
    task = make("verify", readout="json", gate=0.95)
    verdict = await decide(task, say(GOOD["verify"]))
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.BELOW_GATE)
    assert (verdict.value, verdict.reward, verdict.confidence) == ("correct", None, 0.9)
