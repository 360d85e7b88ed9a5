import sqlite3
from array import array

import pytest

from plaudit.errors import StoreError
from plaudit.preferences.seen import Seen


def test_a_key_is_new_once() -> None:
    seen = Seen()
    assert [seen.is_new(key) for key in (b"a", b"b", b"a", 1, -(2**63), 1)] == [
        True, True, False, True, True, False,
    ]  # fmt: skip
    seen.close()


def test_several_are_new_if_none_was_seen_and_no_two_are_the_same() -> None:
    seen = Seen()
    assert seen.are_new(array("q", [1, 2, 3]))
    assert seen.are_new([])
    assert not seen.are_new([4, 3])
    assert not seen.are_new([5, 5])
    assert seen.are_new([6])
    seen.close()


def test_where_there_is_no_room_it_is_said_which_place_to_free() -> None:
    seen = Seen()
    seen._table.execute("PRAGMA max_page_count = 2")
    with pytest.raises(StoreError, match="TMPDIR") as reported:
        for start in range(0, 10_000, 100):
            seen.are_new(range(start, start + 100))
    assert isinstance(reported.value.__cause__, sqlite3.Error)
    seen.close()
