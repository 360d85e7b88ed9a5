import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plaudit._util.loops import run_sync
from plaudit.errors import CallError, Cause
from plaudit.judges.pairwise import CHOICES
from tests.judges.making import (
    GOOD,
    Ask,
    decide,
    is_no_number,
    make,
    over,
    sample_of,
    say,
    show,
    text_of,
)
from tests.support.examples import drawn

OTHER = {"A": "B", "B": "A", "A=B": "A=B"}
CHOICE_OTHER = {"A++": "B++", "A+": "B+", "A=B": "A=B", "B+": "A+", "B++": "A++"}


def choice(name: str, **texts: str):
    return say(GOOD["pairwise"] | {"choice": name} | texts)


async def both(first: str, second: str):
    return await decide(make("pairwise", readout="json"), choice(first), choice(second))


@pytest.mark.parametrize(("name", "p_a"), CHOICES.items())
async def test_the_choices_have_their_places_on_the_scale(name: str, p_a: float) -> None:
    verdict = await decide(make("pairwise", readout="json", swap=False), choice(name))
    assert verdict.status == "ok"
    assert verdict.value == name.rstrip("+")
    assert verdict.fields["p_a"] == p_a
    assert verdict.fields["choice"] == name
    assert verdict.reward == pytest.approx(2 * p_a - 1)
    assert list(CHOICES.values()) == [0.95, 0.75, 0.5, 0.25, 0.05]


async def test_both_orders_are_asked_and_no_swap_asks_one() -> None:
    ask = Ask(choice("A+"), choice("B+"))
    verdict = await make("pairwise", readout="json").decide(sample_of("pairwise"), ask)
    assert [request.turn for request in ask.requests] == ["main", "swapped"]
    main, swapped = (text_of(request) for request in ask.requests)
    assert main.rindex("Seven.") < main.rindex("Nine.")
    assert swapped.rindex("Nine.") < swapped.rindex("Seven.")
    assert (verdict.status, verdict.value, verdict.fields["p_a"]) == ("ok", "A", 0.75)
    ask = Ask(choice("A+"))
    await make("pairwise", readout="json", swap=False).decide(sample_of("pairwise"), ask)
    assert len(ask.requests) == 1


async def test_the_texts_of_the_swapped_order_come_back_with_a_and_b_mapped_back() -> None:
    second = choice(
        "B+",
        **{
            "analysis of A": "A is vague.",
            "analysis of B": "B names it.",
            "reason of A=B": "A and B agree.",
            "reason of A>B": "A is short.",
            "reason of B>A": "B is right, unlike A.",
        },
    )
    verdict = await decide(make("pairwise", readout="json"), choice("A+"), second)
    first, back = verdict.fields["orders"]
    assert first["analysis of A"] == "1"
    assert back["analysis of A"] == "A names it."
    assert back["analysis of B"] == "B is vague."
    assert back["reason of A=B"] == "B and A agree."
    assert back["reason of A>B"] == "A is right, unlike B."
    assert back["reason of B>A"] == "B is short."
    assert (back["choice"], back["value"], back["p_a"]) == ("A+", "A", 0.75)
    assert verdict.raw == [choice("A+").text, second.text]


@pytest.mark.parametrize(("first", "second"), [("A+", "A++"), ("B++", "B+"), ("A++", "A++")])
async def test_orders_that_contradict_each_other_abstain(first: str, second: str) -> None:
    verdict = await both(first, second)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.ORDER_CONFLICT)
    assert verdict.reward is None
    mean = (CHOICES[first] + 1 - CHOICES[second]) / 2
    assert verdict.fields["p_a"] == pytest.approx(mean)
    assert verdict.fields["order_gap"] == pytest.approx(abs(CHOICES[first] - 1 + CHOICES[second]))


async def test_an_order_that_prefers_and_one_that_ties_do_not_contradict() -> None:
    verdict = await both("A=B", "B+")
    assert (verdict.status, verdict.value, verdict.fields["p_a"]) == ("ok", "A", 0.625)


async def test_if_one_order_fails_so_does_the_whole() -> None:
    task = make("pairwise", readout="json")
    lost = CallError(Cause.TIMEOUT, "no reply", attempts=2)
    for replies in ((lost, choice("B+")), (choice("A+"), lost)):
        verdict = await decide(task, *replies)
        assert is_no_number(verdict)
        assert (verdict.status, verdict.error.cause) == ("failed", Cause.TIMEOUT)
    verdict = await decide(task, choice("A+"), say("?"), say("?"))
    assert is_no_number(verdict)
    assert verdict.status == "invalid"
    assert verdict.raw == [choice("A+").text, "?", "?"]


@pytest.mark.parametrize(("first", "second"), [*itertools.product(CHOICES, CHOICES)])
async def test_swapping_the_responses_mirrors_the_verdict(first: str, second: str) -> None:
    there, back = await both(first, second), await both(second, first)
    assert there.fields["p_a"] + back.fields["p_a"] == pytest.approx(1, abs=1e-12)
    assert there.value == OTHER[back.value]
    assert there.status == back.status
    assert there.fields["choice"] == CHOICE_OTHER[back.fields["choice"]]


WEIGHTS = st.tuples(
    *[st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.9]) | st.floats(0.01, 1)] * 3
)


@settings(max_examples=drawn(60), deadline=None)
@given(WEIGHTS, WEIGHTS)
def test_swapping_the_responses_mirrors_the_distribution(first, second) -> None:
    task = make("pairwise", readout="logprob")
    replies = [
        over(task, {k: w / sum(weights) for k, w in zip(task.labels, weights, strict=True)})
        for weights in (first, second)
    ]
    there = run_sync(decide(task, *replies))
    back = run_sync(decide(task, *reversed(replies)))
    assert there.status == back.status
    assume(there.status != "invalid")  # a tie, of which a hidden spelling could be the winner
    assert there.fields["p_a"] + back.fields["p_a"] == pytest.approx(1, abs=1e-12)
    assert sum(there.probabilities.values()) == pytest.approx(1, abs=1e-12)
    for label, other in OTHER.items():
        assert there.probabilities[label] == pytest.approx(back.probabilities[other], abs=1e-12)
    ranked = sorted(there.probabilities.values())
    if ranked[-1] - ranked[-2] > 1e-9 or there.value == "A=B":
        assert there.value == OTHER[back.value]
    if there.reward is not None:
        assert there.reward == pytest.approx(2 * there.fields["p_a"] - 1)


async def test_a_bias_for_the_first_place_cancels_and_is_no_preference() -> None:
    task = make("pairwise", readout="logprob")
    biased = over(task, {"A": 0.8, "B": 0.15, "A=B": 0.05})
    verdict = await decide(task, biased, biased)
    assert (verdict.status, verdict.error.cause) == ("abstained", Cause.ORDER_CONFLICT)
    assert verdict.fields["p_a"] == pytest.approx(0.5, abs=1e-12)
    assert verdict.value == "A=B"


async def test_histories_that_differ_are_judged_whole() -> None:
    row = {
        "conversation_A": [
            {"role": "user", "content": "q-one"},
            {"role": "assistant", "content": "ans1"},
        ],
        "conversation_B": [
            {"role": "user", "content": "q-two"},
            {"role": "assistant", "content": "ans2"},
        ],
    }
    task = make("pairwise", readout="json")
    text = text_of(task.render(sample_of("pairwise", row)))
    shots = text_of(task.render(sample_of("pairwise")))
    for part in ("q-one", "q-two", "ans1", "ans2"):
        assert text.count(part) == shots.count(part) + 1
    shared = row | {"conversation_B": [row["conversation_A"][0], row["conversation_B"][1]]}
    assert text_of(task.render(sample_of("pairwise", shared))).count("q-one") == 1


async def test_hidden_options_of_the_swapped_order_are_named_in_the_right_order() -> None:
    task = make("pairwise", readout="logprob")
    words = {option.label: option.word for option in task.options}
    first = over(task, {"A": 0.8, "B": 0.1, "A=B": 0.1})
    second = show({f" {words['B']}": 0.9, f" {words['A=B']}": 0.05, " zzz": 1e-9})
    verdict = await decide(task, first, second)
    assert (verdict.status, verdict.value) == ("ok", "A")
    assert verdict.fields["censored"] == ["B"]
