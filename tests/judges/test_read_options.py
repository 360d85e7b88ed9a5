"""The logprob readout: what is shown is summed, and what is hidden never decides."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plaudit.engines.base import Completion
from plaudit.errors import Cause, ReplyError, UsageError
from plaudit.judges.load import KINDS
from plaudit.judges.readout import (
    Bounds,
    censored,
    check_words,
    distribution,
    mean_bounds,
    options_of,
    read_options,
)
from tests.judges.making import show

WORDS = ("wrong", "thanks", "neutral")
LABELS = ("bad", "good", "none")


def read(candidates, prior: Bounds | None = None, words=WORDS, labels=LABELS) -> dict[str, float]:
    return distribution(read_options(show(candidates), words), prior, labels)


def cause_of(call, *args) -> Cause:
    with pytest.raises(ReplyError) as caught:
        call(*args)
    return caught.value.cause


def test_space_and_case_variants_are_summed() -> None:
    shown = {"thanks": 0.1, " thanks": 0.2, "Thanks": 0.05, " THANKS": 0.05, "wrong": 0.3, "x": 0.1}
    low = read_options(show(shown), WORDS).low
    assert low == pytest.approx((0.3, 0.4, 0.0))


def option_of(token: str, words: tuple[str, ...]) -> int | None:
    return options_of([token], words)[0]


@pytest.mark.parametrize(
    "token", ["tha", " Than", "thank", "\u2581thanks", "\u0120Thanks", "\nthanks"]
)
def test_a_telling_beginning_of_a_word_counts(token: str) -> None:
    assert option_of(token, ("no", "thanks")) == 1


@pytest.mark.parametrize(
    "token", ["", " ", "t", "th", " Th", "thanksgiving", "hanks", "than ks", "'thanks"]
)
def test_what_is_not_telling_does_not_count(token: str) -> None:
    assert option_of(token, ("no", "thanks")) is None


@pytest.mark.parametrize("token", ["1", " 1", "10", "0", "t", "te", " Te"])
def test_ten_can_never_be_misread_as_one(token: str) -> None:
    words = tuple(option.word for option in KINDS["pointwise"].options)
    assert option_of(token, words) is None


def test_each_beginning_of_a_score_names_that_score_only() -> None:
    words = tuple(option.word for option in KINDS["pointwise"].options)
    for number, word in enumerate(words):
        for end in range(3, len(word) + 1):
            assert option_of(word[:end], words) == number


@pytest.mark.parametrize("kind", KINDS)
def test_the_options_of_every_judge_are_told_apart_by_one_token(kind: str) -> None:
    check_words([option.word for option in KINDS[kind].options])


def test_words_that_begin_alike_are_refused() -> None:
    with pytest.raises(UsageError, match="begin alike"):
        check_words(["wrong", "Wrongly", "right"])


def test_little_probability_on_the_options_is_no_verdict() -> None:
    assert cause_of(read, {"The": 0.9, "thanks": 0.04}) == Cause.LOW_OPTION_MASS
    assert cause_of(read, {"The": 0.9}) == Cause.LOW_OPTION_MASS


@pytest.mark.parametrize("logprobs", [None, ()])
def test_a_reply_without_log_probabilities_is_no_verdict(logprobs) -> None:
    reply = Completion(text="thanks", logprobs=logprobs)
    assert cause_of(read_options, reply, WORDS) == Cause.OPTIONS_NOT_VISIBLE


def test_a_hidden_option_that_could_win_is_not_passed_over() -> None:
    assert cause_of(read, {"thanks": 0.3, "The": 0.2, "A": 0.15}) == Cause.OPTIONS_NOT_VISIBLE


def test_hidden_spellings_that_could_win_together_are_not_passed_over() -> None:
    assert cause_of(read, {"thanks": 0.3, "wrong": 0.2, "A": 0.05}) == Cause.OPTIONS_NOT_VISIBLE


def test_a_hidden_option_that_cannot_win_is_listed() -> None:
    bounds = read_options(show({"thanks": 0.6, "wrong": 0.3, "A": 0.001}), WORDS)
    assert censored(bounds, LABELS) == ["none"]
    probabilities = distribution(bounds, None, LABELS)
    assert max(probabilities, key=probabilities.__getitem__) == "good"
    assert math.fsum(probabilities.values()) == pytest.approx(1, abs=1e-12)


def test_masked_tokens_do_not_count() -> None:
    shown = {"thanks": 0.6, "wrong": 0.4, "neutral": 0.0, "x": 0.0}
    assert read(shown) == pytest.approx({"good": 0.6, "bad": 0.4, "none": 0.0})


def test_the_floor_of_a_trimmed_reply_bounds_what_is_hidden() -> None:
    reply = show({"thanks": 0.6, "wrong": 0.3}, logprob_floor=math.log(1e-6))
    assert read_options(reply, WORDS).high[2] == pytest.approx(6e-6)


# The prior.


def test_the_prior_is_divided_out() -> None:
    prior = Bounds((0.1, 0.6, 0.3), (0.1, 0.6, 0.3))
    probabilities = read({"wrong": 0.2, "thanks": 0.5, "neutral": 0.3}, prior)
    weights = (2.0, 0.5 / 0.6, 1.0)
    expected = {label: w / sum(weights) for label, w in zip(LABELS, weights, strict=True)}
    assert probabilities == pytest.approx(expected)


def test_a_prior_that_is_not_known_well_enough_is_no_verdict() -> None:
    prior = Bounds((0.1, 0.6, 0.01), (0.1, 0.6, 0.3))
    shown = {"wrong": 0.2, "thanks": 0.5, "neutral": 0.3}
    assert cause_of(read, shown, prior) == Cause.OPTIONS_NOT_VISIBLE


def test_a_hidden_option_with_a_small_prior_could_win() -> None:
    prior = Bounds((0.4, 0.6, 0.001), (0.4, 0.6, 0.001))
    assert (
        cause_of(read, {"wrong": 0.4, "thanks": 0.5, "a": 0.01}, prior) == Cause.OPTIONS_NOT_VISIBLE
    )


def test_a_prior_of_nothing_is_never_divided_by() -> None:
    bounds = mean_bounds([Bounds((0.0, 0.5, 0.0), (0.0, 0.5, 0.0))] * 2)
    assert min(bounds.low) > 0
    read({"wrong": 0.2, "thanks": 0.5, "neutral": 0.3}, bounds)


# A full distribution, cut to its first candidates, never changes the winner.

NOISE = [" The", "A", "\n", "I", " User", "#", "1", " well", "It", "</s>"]


def spellings(word: str) -> list[str]:
    cased = (word, word.title(), word.upper())
    return [space + text for space in ("", " ") for text in cased]


@st.composite
def tokens(draw) -> list[str]:
    """One token for each spelling of each word, as a tokenizer has it, and others."""
    found = list(NOISE)
    for word in WORDS:
        for spelled in spellings(word):
            cut = draw(st.integers(0, len(word) - 3))
            found.append(spelled[: len(spelled) - cut])
    return found


@st.composite
def full_replies(draw, count: int) -> list[list[tuple[str, float]]]:
    """Distributions over all tokens, most probable first."""
    names = draw(tokens())
    replies = []
    for _ in range(count):
        peak = draw(st.sampled_from([1, 3, 8]))
        weights = draw(st.lists(st.floats(0.001, 1), min_size=len(names), max_size=len(names)))
        total = math.fsum(w**peak for w in weights)
        pairs = [(name, w**peak / total) for name, w in zip(names, weights, strict=True)]
        replies.append(sorted(pairs, key=lambda pair: -pair[1]))
    return replies


def truth(reply, prior: list[float] | None) -> list[float]:
    masses = [math.fsum(p for t, p in reply if option_of(t, WORDS) == n) for n in range(len(WORDS))]
    return masses if prior is None else [m / q for m, q in zip(masses, prior, strict=True)]


@settings(deadline=None)
@given(full_replies(1), st.integers(1, 28))
def test_the_shown_winner_is_the_winner_of_the_full_distribution(replies, k: int) -> None:
    (reply,) = replies
    exact = truth(reply, None)
    try:
        probabilities = read(reply[:k])
    except ReplyError as error:
        assert error.cause in (Cause.OPTIONS_NOT_VISIBLE, Cause.LOW_OPTION_MASS)
        return
    winner = max(LABELS, key=probabilities.__getitem__)
    assert exact[LABELS.index(winner)] >= max(exact) - 1e-9
    assert math.fsum(probabilities.values()) == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(full_replies(3), st.integers(1, 28), st.integers(1, 28))
def test_the_shown_winner_is_the_true_one_with_a_prior(replies, k: int, prior_k: int) -> None:
    reply, *blank = replies
    masses = [truth(b, None) for b in blank]
    true_prior = [max(1e-3, math.fsum(column) / len(blank)) for column in zip(*masses, strict=True)]
    exact = truth(reply, true_prior)
    try:
        prior = mean_bounds([read_options(show(b[:prior_k]), WORDS) for b in blank])
        probabilities = read(reply[:k], prior)
    except ReplyError as error:
        assert error.cause in (Cause.OPTIONS_NOT_VISIBLE, Cause.LOW_OPTION_MASS)
        return
    winner = max(LABELS, key=probabilities.__getitem__)
    assert exact[LABELS.index(winner)] >= max(exact) * (1 - 1e-9)


@settings(deadline=None)
@given(full_replies(1))
def test_a_reply_that_shows_everything_is_read_exactly(replies) -> None:
    (reply,) = replies
    masses = truth(reply, None)
    assume(sum(masses) > 0.06)
    assume(sorted(masses)[-1] - sorted(masses)[-2] > 1e-6)
    probabilities = read(reply)
    assert list(probabilities.values()) == pytest.approx([m / sum(masses) for m in masses])
