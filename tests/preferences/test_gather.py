import random
import sqlite3
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, StoreError
from plaudit.preferences.gather import (
    MOST_CANDIDATES,
    CandidateGroups,
    ReadAgainError,
    SeenKeys,
    contiguous_turns,
)
from plaudit.preferences.types import Candidate
from tests.preferences.making import candidate


def grouped(candidates: list[Candidate], budget: int, size: int = 100) -> list[list[Candidate]]:
    turns = CandidateGroups(budget)
    for start in range(0, len(candidates), 7):
        some = candidates[start : start + 7]
        turns.add(some, size * len(some))
    return list(turns)


def rows(count: int, seed: int = 0) -> list[Candidate]:
    draw = random.Random(seed)
    return [
        candidate(
            draw.random(), example_id=draw.choice(["a", 1, "1", 2]), turn_id=draw.randrange(40),
            metadata=draw.choice([None, {"n": n}]), index=draw.choice([None, n]),
            confidence=draw.choice([None, 0.5]),
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("budget", [0, 500, 5_000, 20_000])
def test_beyond_memory_the_turns_are_the_same_in_the_same_order(budget: int) -> None:
    given = rows(1_000)
    within = grouped(given, 10**9)
    assert grouped(given, budget) == within
    assert sum(map(len, within)) == 1_000
    firsts = [given.index(turn[0]) for turn in within]
    assert firsts == sorted(firsts)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.integers(0, 900))
def test_turns_in_any_order(ids: list[tuple[int, int]], budget: int) -> None:
    given = [candidate(n / 100, example_id=e, turn_id=t) for n, (e, t) in enumerate(ids)]
    assert grouped(given, budget, 30) == grouped(given, 10**9)


def test_D2_ids_that_look_alike_are_two() -> None:
    ids = (("a::b", "c"), ("a", "b::c"), (1, "1"), ("1", 1))
    given = [candidate(example_id=example, turn_id=turn) for example, turn in ids]
    assert len(grouped(given, 10**9)) == len(grouped(given, 0)) == 4


@pytest.mark.parametrize("budget", [0, 10**9])
def test_a_gathered_turn_of_too_many_is_refused(budget: int) -> None:
    turns = CandidateGroups(budget)
    with pytest.raises(InputError, match="more than 10,000 candidates"):
        for _ in range(MOST_CANDIDATES // 100 + 3):
            turns.add([candidate(0.5)] * 100, 10_000)
        list(turns)


def batches(candidates: list[Candidate], size: int) -> list[list[Candidate]]:
    return [candidates[start : start + size] for start in range(0, len(candidates), size)]


def gathered(candidates: list[Candidate]) -> list[list[Candidate]]:
    turns = CandidateGroups()
    turns.add(candidates, 0)
    return list(turns)


def turn_of(number: int, count: int) -> list[Candidate]:
    return [candidate(n / 10, example_id="e", turn_id=number) for n in range(count)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=12), st.integers(1, 9))
def test_turns_come_as_they_would_if_all_were_gathered(counts: list[int], size: int) -> None:
    rows = [one for number, count in enumerate(counts) for one in turn_of(number, count)]
    assert list(contiguous_turns(batches(rows, size))) == gathered(rows)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 9))
def test_in_any_order_turns_are_the_same_or_lie_apart(ids: list[int], size: int) -> None:
    rows = [candidate(n / 100, example_id="e", turn_id=t) for n, t in enumerate(ids)]
    try:
        assert list(contiguous_turns(batches(rows, size))) == gathered(rows)
    except ReadAgainError:
        assert len(rows) > size  # Within a batch any order will do.


def test_a_turn_comes_once_the_next_one_begins() -> None:
    rows = [turn_of(number, 3) for number in range(4)]
    turns = contiguous_turns(iter(rows))
    assert next(turns) == rows[0]


def test_within_a_batch_any_order_will_do() -> None:
    rows = [one for number in range(5) for one in turn_of(number, 3)]
    random.Random(1).shuffle(rows)
    assert list(contiguous_turns([rows])) == gathered(rows)


def test_a_turn_that_goes_on_after_its_end_is_an_error() -> None:
    rows = [*turn_of(1, 2), *turn_of(2, 2), *turn_of(3, 2), *turn_of(1, 1)]
    with pytest.raises(ReadAgainError):
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


def test_a_key_is_new_once() -> None:
    seen = SeenKeys()
    assert [seen.are_new((key,)) for key in (b"a", b"b", b"a", 1, -(2**63), 1)] == [
        True, True, False, True, True, False,
    ]  # fmt: skip
    seen.close()


def test_several_are_new_if_none_was_seen_and_no_two_are_the_same() -> None:
    seen = SeenKeys()
    assert seen.are_new(array("q", [1, 2, 3]))
    assert seen.are_new([])
    assert not seen.are_new([4, 3])
    assert not seen.are_new([5, 5])
    assert seen.are_new([6])
    seen.close()


def test_where_there_is_no_room_the_error_names_the_place_to_free() -> None:
    seen = SeenKeys(most_pages=2)
    with pytest.raises(StoreError, match="TMPDIR") as reported:
        for start in range(0, 10_000, 100):
            seen.are_new(range(start, start + 100))
    assert isinstance(reported.value.__cause__, sqlite3.Error)
    seen.close()


def test_no_file_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    turns = CandidateGroups(0)
    for _ in range(40):
        turns.add(rows(500), 50_000)
    assert sum(map(len, turns)) == 20_000
    assert list(tmp_path.iterdir()) == []
