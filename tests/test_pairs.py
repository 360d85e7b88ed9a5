import pytest

from plaudit.errors import InputError
from plaudit.preferences import PairOptions, ReadOptions, Tally, make_pairs

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


def test_defect_38_a_column_can_name_the_run_of_rows() -> None:
    rows = [{"prompt": "p", "response": str(n), "score": n, "seed": n % 2} for n in range(4)]
    pairs = list(make_pairs(rows, read=ReadOptions(run_column="seed")))
    assert [(pair.run, bytes(pair.chosen), bytes(pair.rejected)) for pair in pairs] == [
        (0, b'"2"', b'"0"'), (1, b'"3"', b'"1"'),
    ]  # fmt: skip
