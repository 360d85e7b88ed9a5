"""The log of one rollout's ids: nothing in it is rewritten, and its three columns stay together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import CallError, Cause, EmptyMaskError, ReplyError
from plaudit.rollouts.tokens.log import TokenLog
from plaudit.rollouts.trace import Tokens


def test_a_rollout_as_it_is_written() -> None:
    log = TokenLog()
    log.begin([1, 2, 3])
    log.sampled([4, 5], [-0.25, -1.5])
    log.append([6])
    log.sampled([7])
    assert (log.ids, len(log)) == ((1, 2, 3, 4, 5, 6, 7), 7)
    tokens = log.finish("exact")
    assert tokens == Tokens(
        ids=[1, 2, 3, 4, 5, 6, 7],
        mask=[0, 0, 0, 1, 1, 0, 1],
        logprobs=[None, None, None, -0.25, -1.5, None, None],
        exactness="exact",
        prompt_length=3,
    )
    assert (tokens.prompt_ids, tokens.completion_ids) == ([1, 2, 3], [4, 5, 6, 7])


def test_what_the_engine_read_goes_on_from_what_is_written() -> None:
    log = TokenLog()
    log.observe([1, 2])
    log.sampled([3])
    log.observe([1, 2, 3, 4])
    log.sampled([5], [-1.0])
    tokens = log.finish("exact")
    assert (tokens.ids, tokens.mask) == ([1, 2, 3, 4, 5], [0, 0, 1, 0, 1])
    assert (tokens.prompt_length, tokens.forks) == (2, 0)


@pytest.mark.parametrize(
    "read",
    [[1, 2, 9, 4], [1, 2], [9], [1, 2, 4]],
    ids=["other id", "shorter", "nothing alike", "sampled id left out"],
)
def test_a_mismatch_forks_and_is_counted(read: list[int]) -> None:
    log = TokenLog()
    log.observe([1, 2])
    log.sampled([3], [-1.0])
    log.observe(read)
    log.sampled([5], [-2.0])
    tokens = log.finish("exact")
    assert tokens.ids == [*read, 5]
    assert tokens.mask == [0] * len(read) + [1]
    assert tokens.logprobs == [None] * len(read) + [-2.0]
    assert (tokens.prompt_length, tokens.forks) == (len(read), 1)


def test_every_fork_counts() -> None:
    log = TokenLog()
    for first in range(4):
        log.observe([first])
        log.sampled([9])
    assert log.finish("exact").forks == 3


def test_R4_truncation_cuts_ids_mask_and_logprobs_together_and_says_so() -> None:
    log = TokenLog()
    log.begin([1, 2])
    log.sampled([3, 4, 5], [-1.0, -2.0, -3.0])
    log.append([6])
    log.truncate(4)
    tokens = log.finish("exact")
    assert (tokens.ids, tokens.mask) == ([1, 2, 3, 4], [0, 0, 1, 1])
    assert tokens.logprobs == [None, None, -1.0, -2.0]
    assert tokens.truncated == 2
    log.truncate(4)
    log.truncate(3)
    assert log.finish("exact").truncated == 3


def test_a_log_that_is_short_enough_is_not_cut() -> None:
    log = TokenLog()
    log.begin([1])
    log.sampled([2])
    log.truncate(2)
    assert log.finish("exact").truncated == 0


def test_truncation_below_the_prompt_leaves_nothing_to_learn() -> None:
    log = TokenLog()
    log.begin([1, 2, 3])
    log.sampled([4])
    log.truncate(2)
    with pytest.raises(EmptyMaskError, match=r"among the 2 cut off. Allow more tokens") as caught:
        log.finish("exact")
    assert caught.value.cause is Cause.CUT_OFF


@pytest.mark.parametrize("ids", [[], [1, 2]])
def test_R4_an_all_zero_mask_is_an_error(ids: list[int]) -> None:
    log = TokenLog()
    log.begin(ids)
    log.sampled([])
    with pytest.raises(EmptyMaskError, match=r"none of the . tokens was sampled by the model") as e:
        log.finish("exact")
    assert isinstance(e.value, ReplyError)


def test_a_wrong_number_of_logprobs_is_refused_before_anything_is_written() -> None:
    log = TokenLog()
    log.begin([1])
    with pytest.raises(CallError, match="2 sampled ids came with 1 log-probabilities") as caught:
        log.sampled([2, 3], [-1.0])
    assert caught.value.cause is Cause.BAD_RESPONSE
    assert log.ids == (1,)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_logprob_that_is_no_number_is_not_known(value: float) -> None:
    log = TokenLog()
    log.sampled([1, 2], [value, -1.0])
    assert log.finish("exact").logprobs == [None, -1.0]


def test_a_finished_log_can_go_on_without_changing_what_was_given() -> None:
    log = TokenLog()
    log.begin([1])
    log.sampled([2])
    first = log.finish("exact")
    log.append([3])
    assert first.ids == [1, 2]
    assert log.finish("approximate").ids == [1, 2, 3]


IDS = st.lists(st.integers(0, 3), max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from(["sampled", "append", "observe", "truncate"]), IDS), max_size=12
)


@given(STEPS)
def test_columns_stay_together_and_only_sampled_ids_are_in_the_mask(
    steps: list[tuple[str, list[int]]],
) -> None:
    log = TokenLog()
    written: list[tuple[int, int, float | None]] = []
    prompt, forks, cut = 0, 0, 0
    for number, (step, ids) in enumerate(steps):
        if step == "sampled":
            log.sampled(ids, [-float(number)] * len(ids))
            written += [(token, 1, -float(number)) for token in ids]
        elif step == "append":
            log.append(ids)
            written += [(token, 0, None) for token in ids]
        elif step == "truncate":
            log.truncate(len(ids) + 2)
            cut += max(0, len(written) - len(ids) - 2)
            written = written[: len(ids) + 2]
            prompt = min(prompt, len(written))
        else:
            before = [token for token, _, _ in written]
            if ids[: len(before)] == before and before:
                written += [(token, 0, None) for token in ids[len(before) :]]
            else:
                forks += bool(before)
                written = [(token, 0, None) for token in ids]
                prompt = len(ids)
            log.observe(ids)
    if not any(kept for _, kept, _ in written):
        with pytest.raises(EmptyMaskError):
            log.finish("exact")
        return
    tokens = log.finish("exact")
    assert list(zip(tokens.ids, tokens.mask, tokens.logprobs, strict=True)) == written
    assert (tokens.prompt_length, tokens.forks, tokens.truncated) == (prompt, forks, cut)
