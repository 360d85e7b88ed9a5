import pytest

from plaudit.errors import InputError
from plaudit.preferences import PairOptions, Tally, make_pairs

ROWS = [{"prompt": "Why?", "response": f"answer {n}", "score": n / 10} for n in range(4)]


def test_rows_become_pairs() -> None:
    tally = Tally()
    pairs = list(make_pairs(ROWS, PairOptions(mode="best-worst"), tally=tally))
    assert [(bytes(pair.chosen), pair.margin) for pair in pairs] == [(b'"answer 3"', 0.3)]
    assert tally.adds_up
    assert tally.candidates == 4


def test_a_wrong_row_is_named() -> None:
    with pytest.raises(InputError, match="row 2: not a candidate"):
        list(make_pairs([ROWS[0], {"prompt": "p"}]))


def test_no_rows_make_no_pairs() -> None:
    assert list(make_pairs([])) == []
