"""Balanced lengths: exact within each bin, seeded, and harmless to what is balanced already."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.preferences.balance import LengthBalance

Lengths = tuple[int, int]


def balanced(pairs: list[Lengths], seed: int = 0) -> tuple[list[Lengths], LengthBalance]:
    balance = LengthBalance(seed)
    for chosen, rejected in pairs:
        balance.count(chosen, rejected)
    kept = [p for n, p in enumerate(pairs) if balance.keeps(str(n).encode(), *p)]
    return kept, balance


def drawn(number: int, longer: float, seed: int = 3) -> list[Lengths]:
    """Pairs whose longer response is chosen with this chance, more often the more it is longer."""
    draw = random.Random(seed)
    found: list[Lengths] = []
    for _ in range(number):
        short, more = draw.randrange(400), int(draw.paretovariate(0.7))
        tall = draw.random() < min(longer * (1 + 0.02 * more.bit_length()), 1)
        found.append((short + more, short) if tall else (short, short + more))
    return found


def sides(pairs: list[Lengths]) -> Counter[tuple[int, bool]]:
    return Counter((abs(c - r).bit_length(), c > r) for c, r in pairs if c != r)


def test_a_biased_set_ends_balanced_overall_and_in_each_bin() -> None:
    pairs = drawn(20_000, 0.75)
    longer = sum(c > r for c, r in pairs)
    assert longer > 14_000
    kept, balance = balanced(pairs)
    assert sum(c > r for c, r in kept) * 2 == len(kept)
    counts = sides(kept)
    assert len({bin_ for bin_, _ in counts}) > 8
    for bin_, _ in counts:
        assert counts[bin_, True] == counts[bin_, False]
    assert len(pairs) - len(kept) == balance.dropped
    assert len(kept) > 8_000  # Twice the smaller side, which nothing was taken from.


def test_what_is_kept_is_spread_over_the_input() -> None:
    kept, _ = balanced([(9, 8)] * 3_000 + [(8, 9)] * 1_000)
    pairs = [(9, 8)] * 3_000
    balance = LengthBalance(seed=1)
    for pair in [*pairs, *[(8, 9)] * 1_000]:
        balance.count(*pair)
    places = [n for n, p in enumerate(pairs) if balance.keeps(b"%d" % n, *p)]
    assert len(places) == 1_000
    assert all(280 < sum(s <= p < s + 1_000 for p in places) < 390 for s in (0, 1_000, 2_000))
    assert len(kept) == 2_000


def test_a_balanced_set_loses_nearly_nothing() -> None:
    draw = random.Random(5)
    pairs = [(a, b) for a, b in ((draw.randrange(900), draw.randrange(900)) for _ in range(20_000))]
    kept, _ = balanced(pairs)
    assert len(kept) > 0.97 * len(pairs)
    mirrored = [*pairs, *((b, a) for a, b in pairs)]
    assert balanced(mirrored)[0] == mirrored


def test_the_seed_decides_and_nothing_else_does() -> None:
    pairs = drawn(2_000, 0.8)
    first, again, other = (balanced(pairs, seed)[0] for seed in (1, 1, -2))
    assert first == again
    assert first != other
    assert sides(first) == sides(other)


def test_pairs_of_equal_lengths_are_all_kept() -> None:
    assert balanced([(5, 5)] * 7)[0] == [(5, 5)] * 7


def test_a_side_without_a_counterpart_is_dropped_whole() -> None:
    kept, balance = balanced([(900, 1)] * 5 + [(3, 3)])
    assert kept == [(3, 3)]
    assert balance.dropped == 5


def test_an_input_that_changed_is_said_to_have_changed() -> None:
    balance = LengthBalance()
    balance.count(5, 4)
    balance.keeps(b"a", 5, 4)
    with pytest.raises(InputError, match="did the input change"):
        balance.keeps(b"b", 5, 4)


def test_counting_ends_where_choosing_begins() -> None:
    balance = LengthBalance()
    balance.count(5, 4)
    balance.keeps(b"a", 5, 4)
    with pytest.raises(RuntimeError, match="before any"):
        balance.count(5, 4)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))), st.integers(-9, 9))
def test_every_set_ends_balanced(pairs: list[Lengths], seed: int) -> None:
    kept, balance = balanced(pairs, seed)
    counts = sides(kept)
    before = sides(pairs)
    for bin_ in {bin_ for bin_, _ in before}:
        expected = min(before[bin_, True], before[bin_, False])
        assert counts[bin_, True] == counts[bin_, False] == expected
    assert len(pairs) - len(kept) == balance.dropped
