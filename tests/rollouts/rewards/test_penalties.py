"""Penalties fall on what the model wrote, and on nothing else."""

import pytest

from plaudit.errors import UsageError
from plaudit.rollouts.rewards.measures import Length, Repetition
from plaudit.rollouts.trace import Score, StopReason
from plaudit.types import Message
from tests.rollouts.rewards.playing import PASSAGE, RIGHT, Found, chat, is_no_number, rollout

PROSE = (
    "The pilot had been exposed to measles a week before. Nobody knew whether he would fall ill, "
    "and the crew could not do without him on the way home, so the flight surgeons had him stay."
)


def repetition(answer: str, **fields) -> Score:
    return Repetition().measure(rollout(answer=answer, **fields))


@pytest.mark.parametrize(
    ("length", "value"),
    [(0, 0.0), (600, 0.0), (601, -1 / 1800), (1500, -0.5), (2400, -1.0), (9999, -1.0)],
)
def test_the_curve_of_length(length: int, value: float) -> None:
    assert Length().measure(rollout(answer="x" * length)).value == pytest.approx(value)


def test_length_falls_on_the_answer_or_on_everything_written() -> None:
    trace = rollout(Found(text=PASSAGE * 500), answer=RIGHT, thoughts="hm " * 2000)
    assert Length().measure(trace).value == 0.0
    assert Length(of="all").measure(trace).value == -1.0


def test_a_long_search_result_costs_nothing() -> None:
    trace = rollout(*[Found(f"{n}", text=PASSAGE * 500) for n in range(5)])
    for penalty in (Length(), Length(of="all"), Repetition()):
        assert penalty.measure(trace).value == 0.0


def test_length_cannot_be_hidden_by_leaving_out_spaces() -> None:
    assert Length().measure(rollout(answer="a" * 5000)).value == -1.0


def test_prose_does_not_repeat_itself() -> None:
    assert repetition(PROSE, thoughts=PROSE).value == 0.0
    assert repetition("").value == 0.0
    assert repetition(RIGHT).value == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "Jack Swigert. " * 50,
        "It was Jack Swigert who flew. " * 50,
        "Swigert " * 50,
        "JACK swigert! jack SWIGERT? " * 25,
        "a" * 2000,
        "ab" * 1000,
        "飛行士 " * 50,
    ],
)
def test_an_answer_said_fifty_times_costs_nearly_all(answer: str) -> None:
    assert -1.0 <= repetition(answer).value < -0.8


def test_thoughts_count_too() -> None:
    assert repetition(RIGHT, thoughts="Let me see once more. " * 50).value < -0.8


def test_repetition_rises_with_the_share() -> None:
    values = [repetition(f"{PROSE} " * n).value for n in range(1, 12)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 0.0


def test_the_texts_of_calls_are_not_what_is_repeated() -> None:
    trace = rollout(*[Found("pilot")] * 50)
    assert Repetition().measure(trace).value == 0.0


def test_a_plain_chat_counts_what_the_assistant_says() -> None:
    trace = chat(Message("user", "a b c d " * 99), Message("assistant", "a b c d " * 99))
    assert Repetition().measure(trace).value < -0.9
    assert Repetition().measure(chat(Message("user", "a b c d " * 99))).value == 0.0


@pytest.mark.parametrize("penalty", [Length(), Repetition()])
async def test_what_was_broken_off_is_not_told(penalty) -> None:
    broken = rollout(answer="x " * 9999, stop=StopReason.DEADLINE)
    assert is_no_number(await penalty.score(broken), "broken_off")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Length(free=-1),
        lambda: Length(free=10, full=10),
        lambda: Repetition(free=1.0),
        lambda: Repetition(free=-0.1),
    ],
)
def test_a_curve_without_a_slope_is_refused(make) -> None:
    with pytest.raises(UsageError, match="must be"):
        make()
