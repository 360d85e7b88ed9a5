import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import InputError, StoreError
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.grouping import CandidateGroups
from plaudit.preferences.pairing import MOST_CANDIDATES
from tests.preferences.making import candidate


def grouped(candidates: list[Candidate], budget: int, size: int = 100) -> list[list[Candidate]]:
    turns = CandidateGroups(None, budget)
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
def test_a_turn_of_too_many_is_refused_before_all_are_read(budget: int) -> None:
    turns = CandidateGroups(None, budget)
    with pytest.raises(InputError, match="more than 10,000 candidates"):
        for _ in range(MOST_CANDIDATES // 100 + 3):
            turns.add([candidate(0.5)] * 100, 10_000)
        list(turns)


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    turns = CandidateGroups(tmp_path, 0)
    turns.add(rows(50), 5_000)
    assert list(tmp_path.iterdir()) == []
    assert sum(map(len, turns)) == 50


def test_where_there_is_no_room_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        CandidateGroups(tmp_path / "nowhere", 0).add(rows(2), 200)
