"""Draws from a set: spread over subsets, the same for the same content and seed."""

import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from plaudit.bench.sampling import draw_rows
from plaudit.errors import ArgumentError


def rows_of(**sizes: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{name}-{n}", "prompt": f"question {n}", "subset": name}
        for name, size in sizes.items()
        for n in range(size)
    ]


def items_of(count: int, pairs: int, subset: str = "chat") -> list[dict[str, Any]]:
    return [
        {"id": f"{n}-{m}", "subset": subset, "cluster": f"{subset}-{n}",
         "tags": {"item": str(n), "pairs": pairs}}
        for n in range(count)
        for m in range(pairs)
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 40, 99, 100, 101, 5_000])
def test_no_more_rows_than_the_limit_and_all_that_there_are(limit: int) -> None:
    drawn = draw_rows(rows_of(a=60, b=37, c=3), limit)
    assert len(drawn) == min(limit, 100)
    assert len({row["id"] for row in drawn}) == len(drawn)


def test_each_subset_gets_its_share_and_at_least_one() -> None:
    drawn = Counter(row["subset"] for row in draw_rows(rows_of(a=600, b=300, c=98, d=2), 50))
    assert drawn.keys() == {"a", "b", "c", "d"}
    assert drawn["d"] == 1
    assert abs(drawn["a"] - 30) <= 1
    assert abs(drawn["b"] - 15) <= 1


def test_under_one_a_subset_the_largest_are_drawn_from() -> None:
    drawn = Counter(row["subset"] for row in draw_rows(rows_of(a=2, b=9, c=5), 2))
    assert drawn == {"b": 1, "c": 1}


def test_a_draw_depends_on_content_and_seed_and_keeps_the_order() -> None:
    rows = rows_of(a=200, b=100)
    shuffled = rows[:]
    random.Random(4).shuffle(shuffled)
    drawn = draw_rows(rows, 30)
    assert drawn == [row for row in rows if row in drawn]
    again = draw_rows(shuffled, 30)
    assert again == [row for row in shuffled if row in again]
    assert {row["id"] for row in again} == {row["id"] for row in drawn}
    assert draw_rows(rows, 30) == drawn
    assert draw_rows(rows, 30, seed=1) != drawn


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    rows = rows_of(a=100, b=50)
    small, large = draw_rows(rows, 15), draw_rows(rows, 60)
    assert all(row in large for row in small)


def test_rows_of_an_item_are_drawn_together() -> None:
    rows = items_of(20, 9) + items_of(20, 9, "code")
    drawn = draw_rows(rows, 40)
    assert Counter(Counter(row["cluster"] for row in drawn).values()) == {9: 4}
    assert Counter(row["subset"] for row in drawn) == {"chat": 18, "code": 18}
    with pytest.raises(ArgumentError, match="limit 8 is too small: an item here has 9 rows"):
        draw_rows(rows, 8)


def test_items_of_one_prompt_that_are_apart_are_drawn_together() -> None:
    rows = [
        {"id": f"{kind}:{n}", "subset": "Ties", "cluster": f"Ties-{n}",
         "tags": {"item": f"{kind}:{n}", "pairs": 1}}
        for kind in ("ref", "tied")
        for n in range(50)
    ]  # fmt: skip
    drawn = Counter(row["cluster"] for row in draw_rows(rows, 20))
    assert set(drawn.values()) == {2}


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ArgumentError, match="limit must be at least 1, not 0"):
        draw_rows(rows_of(a=3), 0)


def test_an_empty_set_gives_an_empty_draw() -> None:
    assert draw_rows([], 5) == []


def test_memory_grows_with_the_limit_and_not_with_the_set() -> None:
    def many(count: int) -> Iterator[dict[str, Any]]:
        return ({"id": str(n), "text": f"{n} " * 200, "subset": str(n % 3)} for n in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        draw_rows(many(count), 10)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(100)
    assert peak(6_000) < 2 * peak(600)
