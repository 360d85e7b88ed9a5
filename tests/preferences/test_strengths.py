"""The Bradley-Terry fit."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.preferences.strengths import PRIOR, Contest, bradley_terry


def slope(strengths: list[float], contests: list[Contest], one: int) -> float:
    """Derivative of the logarithm of the probability by the logarithm of a strength."""
    chance = lambda a, b: 1 / (1 + math.exp(b - a))  # noqa: E731
    total = PRIOR - 2 * PRIOR * chance(strengths[one], 0.0)
    for first, second, share in contests:
        won = share - chance(strengths[first], strengths[second])
        total += won if first == one else -won if second == one else 0.0
    return total


@given(st.integers(2, 6), st.data())
def test_no_strengths_are_more_probable(count: int, data: st.DataObject) -> None:
    chain = [(one, one + 1) for one in range(count - 1)]
    anyone = st.integers(0, count - 1)
    more = data.draw(st.lists(st.tuples(anyone, anyone).filter(lambda two: two[0] != two[1])))
    contests = [(a, b, data.draw(st.floats(0, 1))) for a, b in chain + more]
    strengths = [one for one in bradley_terry(count, contests) if one is not None]
    assert len(strengths) == count
    assert max(abs(slope(strengths, contests, one)) for one in range(count)) < 1e-4


def test_known_strengths_are_found_again() -> None:
    truth, draw = [1.5, 0.5, 0.0, -0.7, -1.3], random.Random(0)
    contests: list[Contest] = []
    for _ in range(20_000):
        a, b = draw.sample(range(5), 2)
        chance = 1 / (1 + math.exp(truth[b] - truth[a]))
        contests.append((a, b, float(draw.random() < chance)))
    found = [one or 0.0 for one in bradley_terry(5, contests)]
    assert [one - found[2] for one in found] == pytest.approx(truth, abs=0.1)


def test_what_never_lost_is_the_strongest_and_finite() -> None:
    found = bradley_terry(3, [(0, 1, 1.0)] * 50 + [(1, 2, 1.0)] * 50)
    assert None not in found
    best, middle, worst = (one or 0.0 for one in found)
    assert math.inf > best > middle > worst > -math.inf


def test_draws_make_equals() -> None:
    a, b = bradley_terry(2, [(0, 1, 0.5)] * 3)
    assert a == pytest.approx(b) == pytest.approx(0.0)


def test_only_what_is_connected_can_be_compared() -> None:
    found = bradley_terry(7, [(5, 6, 1.0), (0, 1, 1.0), (1, 2, 1.0), (3, 3, 1.0)])
    assert [one is None for one in found] == [False] * 3 + [True] * 4


def test_of_groups_of_one_size_the_first_is_taken() -> None:
    found = bradley_terry(4, [(2, 3, 1.0), (0, 1, 1.0)])
    assert [one is None for one in found] == [False, False, True, True]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_contests_there_are_no_strengths(count: int) -> None:
    assert bradley_terry(count, []) == [None] * count


@pytest.mark.parametrize("seed", range(40))
def test_defect_33_things_that_did_equally_well_are_equally_strong(seed: int) -> None:
    draw = random.Random(seed)
    contests: list[Contest] = []
    for other in range(2, draw.randrange(4, 9)):
        share = draw.random()
        contests += [(0, other, share), (other, 1, 1 - share), (2, other, draw.random())]
    draw.shuffle(contests)
    first, second, *_ = bradley_terry(9, contests)
    assert first is not None
    assert first == second
