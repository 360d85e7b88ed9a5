"""Sketches are exact while there is little, and near the truth and honest where there is much."""

import random
from collections import Counter

import numpy as np
import pytest

from plaudit.preferences.report.sketches import HashSums, Heaviest, Moments, RowSample


def hashes(number: int, seed: int = 0) -> "np.ndarray":
    return np.random.default_rng(seed).integers(0, 2**64 - 1, number, np.uint64)


def test_few_keys_are_summed_exactly() -> None:
    sums = HashSums(1, most=1_000)
    keys = hashes(500)
    for part in np.array_split(np.concatenate([keys, keys[:100]]), 7):
        sums.add(part, np.ones((len(part), 1)))
    sums.settle()
    assert sums.exact
    assert len(sums.keys) == 500
    assert sums.sums.sum() == 600


def test_of_many_keys_a_share_is_kept_whose_sums_are_whole() -> None:
    sums = HashSums(1, most=1_000)
    keys = hashes(50_000)
    for turn in range(3):
        for part in np.array_split(keys, 40):
            sums.add(part, np.full((len(part), 1), turn + 1.0))
    sums.settle()
    assert not sums.exact
    assert len(sums.keys) <= 1_000
    assert len(sums.keys) / sums.share == pytest.approx(50_000, rel=0.15)
    assert set(sums.sums[:, 0]) == {6.0}


def test_a_sample_of_rows_is_of_all_of_them_and_seeded() -> None:
    rows = np.arange(30_000.0)[:, None]

    def drawn(seed: int) -> RowSample:
        sample = RowSample(1, seed, most=2_000)
        for part in np.array_split(rows, 11):
            sample.add(part)
        return sample

    first = drawn(1)
    assert (first.seen, first.drawn, len(first.rows)) == (30_000, 2_000, 2_000)
    assert np.mean(first.rows) == pytest.approx(15_000, rel=0.05)
    assert np.array_equal(first.rows, drawn(1).rows)
    assert not np.array_equal(first.rows, drawn(-2).rows)
    assert len(np.unique(first.rows)) == 2_000


def test_heavy_keys_are_found_among_very_many_with_true_bounds() -> None:
    draw = random.Random(4)
    keys = [f"light-{n}" for n in range(20_000)] + ["heavy"] * 3_000 + ["second"] * 900
    draw.shuffle(keys)
    found = Heaviest(most=100)
    for key in keys:
        found.add(key, 1)
    (first, count), (second, _) = found.top(2)
    assert (first, second) == ("heavy", "second")
    assert count <= 3_000 <= count + found.missed
    assert found.missed < 300


def test_few_keys_are_counted_exactly() -> None:
    found = Heaviest(most=10)
    keys = random.Random(2).choices(range(20), k=500)
    for key in keys:
        found.add(key, 2)
    assert found.missed == 0
    assert dict(found.top(20)) == {key: 2 * n for key, n in Counter(keys).items()}


def test_moments_are_those_of_all_rows() -> None:
    rows = np.random.default_rng(3).normal(5, 2, (5_000, 2)) @ np.array([[1, 0.5], [0, 1]])
    moments = Moments()
    for part in np.array_split(rows, 13):
        moments.add(part)
    assert moments.means == pytest.approx(tuple(rows.mean(axis=0)))
    assert moments.correlation == pytest.approx(np.corrcoef(rows.T)[0, 1])


def test_no_correlation_where_a_column_never_changes() -> None:
    moments = Moments()
    moments.add(np.array([[1.0, 2.0], [1.0, 3.0]]))
    assert moments.correlation is None
