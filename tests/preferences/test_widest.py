"""The widest margins of a turn: the first of all its pairs, without keeping the others."""

import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.preferences.pairing import pair_turn
from plaudit.preferences.types import Candidate, CandidateGroup, PairOptions, Tally
from tests.preferences.making import candidate
from tests.support.examples import drawn

GRID = st.integers(0, 5).map(lambda n: 0.1 * n)
SCORES = st.one_of(GRID, GRID, st.floats(-9, 9), st.sampled_from([1e308, -1e308, 0.1 + 0.2, 5e6]))
CANDIDATES = st.lists(
    st.tuples(SCORES, st.sampled_from("abcdefghijklmnop"), st.one_of(st.none(), st.integers(0, 9))),
    min_size=2,
    max_size=14,
)
OPTIONS = st.builds(
    PairOptions,
    max_per_turn=st.integers(1, 9),
    min_margin=st.sampled_from([0.0, 0.1, 0.3]),
    contradictions=st.sampled_from(["drop", "keep"]),
)


def paired(turn: list[Candidate], options: PairOptions) -> tuple[CandidateGroup | None, Tally]:
    tally = Tally()
    return pair_turn(turn, options, tally), tally


@settings(max_examples=drawn(80), deadline=None, derandomize=True)
@given(CANDIDATES, OPTIONS)
def test_defect_31_a_cap_keeps_the_first_of_all_pairs(
    rows: list[tuple[float, str, int | None]], options: PairOptions
) -> None:
    turn = [candidate(score, text, index=index) for score, text, index in rows]
    capped, counted = paired(turn, options)
    whole, tally = paired(turn, msgspec.structs.replace(options, max_per_turn=None))
    assert capped is not None
    assert whole is not None
    assert capped.picks == whole.picks[: options.max_per_turn]
    tally.withdraw("over_cap", len(whole.picks) - len(capped.picks))
    assert counted == tally
    assert tally.adds_up


def good(one: Any, other: Any, least: float) -> bool:
    """Worked out apart from the code, with whole numbers: scores here have four decimals."""
    margin = round(one[0] * 1e4) - round(other[0] * 1e4)
    return one[1] != other[1] and margin > 0 and margin >= round(least * 1e4)


@pytest.mark.parametrize("seed", range(20))
def test_defect_31_the_order_is_by_margin_then_indices(seed: int) -> None:
    draw = random.Random(seed)
    decimals = draw.choice([1, 2, 4])
    rows = [(round(draw.random(), decimals), str(n)) for n in range(60)]
    least, cap = draw.choice([0.0, 0.2]), draw.choice([1, 7, 100])
    wanted = sorted(
        (round(rows[j][0] * 1e4) - round(rows[i][0] * 1e4), i, j)
        for i in range(60)
        for j in range(60)
        if good(rows[i], rows[j], least)
    )
    options = PairOptions(max_per_turn=cap, min_margin=least)
    made, tally = paired([candidate(*row) for row in rows], options)
    assert made is not None
    assert [pick[1:3] for pick in made.picks] == [(i, j) for _, i, j in wanted[:cap]]
    assert tally.dropped_pairs.get("over_cap", 0) == max(len(wanted) - cap, 0)


@pytest.mark.parametrize("kind", ["apart", "grid", "repeated"])
def test_defect_31_memory_does_not_grow_with_the_pairs_of_a_capped_turn(kind: str) -> None:
    count = 1_000
    makes: dict[str, tuple[Callable[[int], float], Callable[[int], str]]] = {
        "apart": (float, str),
        "grid": (lambda n: n % 7 / 10, str),
        "repeated": (float, lambda n: str(n % 700)),
    }
    score, text = makes[kind]
    turn = [candidate(score(n), text(n)) for n in range(count)]
    tracemalloc.start()
    tally = Tally()
    made = pair_turn(turn, PairOptions(max_per_turn=5, contradictions="keep"), tally)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made is not None
    assert len(made.picks) == 5
    assert tally.possible == count * (count - 1) // 2
    assert tally.adds_up
    assert peak < 5 * 2**20  # A list of all pairs takes 50 MiB and more.
