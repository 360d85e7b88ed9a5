"""The split and the sample: each chunk by itself, whatever else there is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.corpus.checks import sample, side, text_key
from plaudit.errors import UsageError

KEYS = [text_key(f"text number {n}") for n in range(2000)]


def test_a_tenth_is_on_the_test_side_and_another_seed_is_another_tenth() -> None:
    one = {key for key in KEYS if side(key, 42, 0.1) == "test"}
    other = {key for key in KEYS if side(key, 43, 0.1) == "test"}
    assert 150 < len(one) < 250
    assert len(one & other) < 60
    assert {side(key, 42, 0.0) for key in KEYS} == {"train"}
    assert {side(key, 42, 1.0) for key in KEYS} == {"test"}


def test_a_larger_fraction_moves_none_back() -> None:
    small = {key for key in KEYS if side(key, 42, 0.1) == "test"}
    assert small < {key for key in KEYS if side(key, 42, 0.2) == "test"}


def test_sides_do_not_change_from_version_to_version() -> None:
    sides = "".join(side(key, 42, 0.3)[1] for key in KEYS[:24])
    assert sides == "eerrrrrrrerrrrrerrrerrer"


def test_the_same_words_are_on_the_same_side() -> None:
    assert text_key("The SAME words.") == text_key("the same\nwords")
    assert text_key("other words") != text_key("the same words")
    text_key("\ud800")


@given(st.integers(0, 60), st.integers(0, 60), st.integers())
def test_a_larger_sample_holds_the_smaller(few: int, many: int, seed: int) -> None:
    few, many = sorted((few, many))
    small, large = sample(KEYS[:50], seed, few), sample(KEYS[:50], seed, many)
    assert set(small) <= set(large)
    assert small == sorted(small)
    assert len(large) == min(many, 50)


def test_without_a_count_all_are_taken() -> None:
    assert sample(KEYS[:7], 1, None) == list(range(7))
    assert sample([], 1, 3) == []


def test_a_sample_says_nothing_of_the_split() -> None:
    picked = [KEYS[n] for n in sample(KEYS, 42, 500)]
    assert 25 < sum(side(key, 42, 0.1) == "test" for key in picked) < 80


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        side(b"", 42, fraction)
