"""Histograms of numbers on a grid, and of others."""

import random

import numpy as np
import pytest

from plaudit.preferences.report.measures import distribution


def counts_of(values: list[float], *, signed: bool = False) -> tuple[list[int], list[float]]:
    found = distribution(np.array(values), 0.0, signed=signed)
    assert len(found.edges) == len(found.counts) + 1
    assert sum(found.counts) == len(values) or found.cut
    return list(found.counts), list(found.edges)


@pytest.mark.parametrize("steps", [2, 3, 7, 9, 10, 37, 39, 40, 41, 97, 100, 101, 121, 199, 997])
@pytest.mark.parametrize("step", [1.0, 0.1, 0.05, 1 / 3, 0.01, 1e-6])
def test_defect_38_even_margins_on_a_grid_have_even_bars(steps: int, step: float) -> None:
    values = [(1.0 + place * step) - 1.0 for place in range(1, steps + 1)]
    values += [place * step for place in range(1, steps + 1)]
    counts, edges = counts_of(values)
    assert len(set(counts[:-1])) <= 1
    assert counts[-1] >= 0.5 * counts[0]
    assert 2 <= len(counts) <= 120
    assert edges == sorted(edges)


def test_defect_38_differences_of_scores_from_one_to_ten() -> None:
    counts, edges = counts_of([(a - b) / 10 for a in range(1, 11) for b in range(1, a)])
    assert counts == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert edges == pytest.approx([place / 10 + 0.05 for place in range(10)])


def test_numbers_on_no_grid_have_forty_bars_from_the_least_to_the_greatest() -> None:
    draw = random.Random(0)
    values = [draw.random() for _ in range(20_000)]
    counts, edges = counts_of(values)
    assert len(counts) == 40
    assert (edges[0], edges[-1]) == (min(values), max(values))
    assert max(counts) < 1.3 * min(counts)


@pytest.mark.parametrize("reach", [1, 3, 7, 19, 20, 21, 40, 57, 1_000])
def test_defect_38_differences_in_length_have_even_bars(reach: int) -> None:
    counts, edges = counts_of([float(n) for n in range(-reach, reach + 1)], signed=True)
    assert 0 in edges
    assert edges == [-edge for edge in reversed(edges)]
    inner = counts[len(counts) // 2 : -1]
    assert len(set(inner)) <= 1


def test_a_number_that_never_changes_is_one_bar() -> None:
    assert counts_of([0.3, 0.1 + 0.2]) == ([2], [pytest.approx(-0.2), pytest.approx(0.8)])
