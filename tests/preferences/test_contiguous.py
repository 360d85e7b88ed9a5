import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.contiguous import TurnsApartError, contiguous_turns
from plaudit.preferences.grouping import CandidateGroups
from plaudit.preferences.pairing import MOST_CANDIDATES
from tests.preferences.making import candidate


def batches(candidates: list[Candidate], size: int) -> list[list[Candidate]]:
    return [candidates[start : start + size] for start in range(0, len(candidates), size)]


def gathered(candidates: list[Candidate]) -> list[list[Candidate]]:
    turns = CandidateGroups()
    turns.add(candidates, 0)
    return list(turns)


def turn(number: int, count: int) -> list[Candidate]:
    return [candidate(n / 10, example_id="e", turn_id=number) for n in range(count)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=12), st.integers(1, 9))
def test_turns_come_as_they_would_if_all_were_gathered(counts: list[int], size: int) -> None:
    rows = [one for number, count in enumerate(counts) for one in turn(number, count)]
    assert list(contiguous_turns(batches(rows, size))) == gathered(rows)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 9))
def test_in_any_order_they_are_the_same_or_told_to_lie_apart(ids: list[int], size: int) -> None:
    rows = [candidate(n / 100, example_id="e", turn_id=t) for n, t in enumerate(ids)]
    try:
        assert list(contiguous_turns(batches(rows, size))) == gathered(rows)
    except TurnsApartError:
        assert len(rows) > size  # Within a batch any order will do.


def test_a_turn_comes_once_the_next_one_begins() -> None:
    rows = [turn(number, 3) for number in range(4)]
    turns = contiguous_turns(iter(rows))
    assert next(turns) == rows[0]


def test_within_a_batch_any_order_will_do() -> None:
    rows = [one for number in range(5) for one in turn(number, 3)]
    random.Random(1).shuffle(rows)
    assert list(contiguous_turns([rows])) == gathered(rows)


def test_a_turn_that_goes_on_after_it_was_given_out_is_told() -> None:
    rows = [*turn(1, 2), *turn(2, 2), *turn(3, 2), *turn(1, 1)]
    with pytest.raises(TurnsApartError):
        list(contiguous_turns(batches(rows, 3)))


def test_a_turn_of_too_many_is_refused_before_all_are_read() -> None:
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 100
            yield [candidate(0.5)] * 100

    with pytest.raises(InputError, match="more than 10,000 candidates"):
        list(contiguous_turns(endless()))
    assert read <= MOST_CANDIDATES + 200
