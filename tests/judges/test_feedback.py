"""The feedback judge: labels, rewards, and how a reaction sounds."""

import math

import pytest

from plaudit.errors import Cause, UsageError
from plaudit.judges.feedback import REWARDS, is_english, lexicon, polarity, sentiment
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


# Sentiment.


ANSWER = "There is a room for 60 pounds."


def heard(follow_up: str, answer: str = ANSWER) -> float:
    return sentiment(answer, follow_up)["sentiment"]


@pytest.mark.parametrize(
    "text",
    [
        "Perfect, thank you!",
        "thx",
        "that's not what i asked for",
        "It was Picasso, not Dalí.",
        "👍",
    ],
)
def test_english_is_recognised(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Danke, das war sehr gut.",
        "Merci beaucoup, c'est parfait",
        "Muchas gracias por todo",
        "Grazie mille, ottimo",
        "Muito obrigado",
        "非常感谢!",
        "ありがとう",
        "Спасибо",
    ],
)
def test_other_languages_have_no_sentiment(text: str) -> None:
    assert not is_english(text)
    assert heard(text) == 0


def test_sentiment_has_the_sign_of_the_words() -> None:
    assert heard("Great, thanks a lot!") > 0.5
    assert heard("This is terrible.") < -0.3
    assert heard("At seven.") == 0


def test_a_no_of_its_own_turns_nothing_round() -> None:
    assert heard("No, thank you, that was all.") == polarity("thank you, that was all.") > 0
    assert heard("No problem.") == polarity("No problem.")


def test_courtesy_after_a_refusal_counts_for_nothing() -> None:
    refusal = "I'm sorry, there are no rooms left."
    assert heard("Okay, thanks anyway.", refusal) == 0
    assert heard("This is terrible.", refusal) < 0


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "!" * 10**6, "no " * 10**6, "❤️" * 10**6])
def test_any_text_has_a_sentiment(text: str) -> None:
    assert -1 <= heard(text, text) <= 1


def test_the_lexicon_is_named_with_its_version() -> None:
    assert lexicon().startswith("nltk-vader-sentiment 1.")
