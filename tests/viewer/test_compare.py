"""Two files of verdicts side by side."""

import pytest

from plaudit.errors import UsageError
from plaudit.viewer.compare import OTHERS, FileComparison, settings_apart
from plaudit.viewer.table import Table
from tests.viewer.conftest import Write, not_ok, verdict


def labelled(index: int, value: str, label: str = "praise", **changes: object) -> dict[str, object]:
    return verdict(index, value=value, metadata={"label": label}, **changes)


@pytest.fixture
def found(write: Write) -> FileComparison:
    first = write(
        labelled(0, "praise"),
        labelled(1, "praise", reward=0.9),
        labelled(2, "anger"),
        not_ok(3, "failed", "timeout"),
        verdict(9, id="only here"),
        name="one.jsonl",
    )
    second = write(
        labelled(2, "praise", reward=0.4),
        labelled(1, "anger", reward=-0.9),
        labelled(0, "praise"),
        labelled(3, "praise"),
        name="two.jsonl",
    )
    return FileComparison(Table(first), Table(second))


def test_rows_go_together_by_their_ids(found: FileComparison) -> None:
    assert (len(found), found.same) == (4, 1)
    assert [tuple(one) for one in found.page(all_rows=True).rows] == [
        (1, 1), (2, 0), (0, 2), (3, 3),
    ]  # fmt: skip


def test_flips_come_first_the_widest_difference_before_others(found: FileComparison) -> None:
    page = found.page()
    assert page.total == 3
    assert [one.first for one in page.rows] == [1, 2, 3]


def test_pages_of_flips_follow_each_other(found: FileComparison) -> None:
    first = found.page(size=2)
    second = found.page(size=2, start=first.next or 0)
    assert [one.first for one in (*first.rows, *second.rows)] == [1, 2, 3]
    assert (first.previous, second.previous, second.next) == (None, 0, None)


def test_the_matrix_counts_each_shared_row_once(found: FileComparison) -> None:
    words, cells = found.confusion()
    assert sum(map(sum, cells)) == 4
    by_words = {
        (one, other): cells[a][b] for a, one in enumerate(words) for b, other in enumerate(words)
    }
    assert by_words["praise", "anger"] == 1
    assert by_words["(failed)", "praise"] == 1
    assert [one.first for one in found.page(("praise", "anger")).rows] == [1]
    assert found.page(("never", "said")).rows == []


def test_many_words_share_a_row_of_the_matrix(write: Write) -> None:
    rows = [verdict(n, value=f"word {n % 20}") for n in range(60)]
    found = FileComparison(Table(write(*rows, name="a.jsonl")), Table(write(*rows, name="b.jsonl")))
    words, cells = found.confusion()
    assert words[-1] == OTHERS
    assert sum(map(sum, cells)) == 60
    assert found.page((OTHERS, OTHERS)).total == cells[-1][-1] == 24


def test_mcnemar_counts_rows_of_which_one_judge_alone_is_right(write: Write) -> None:
    values = [("praise", "anger")] * 9 + [("anger", "praise")] * 2 + [("praise", "praise")] * 5
    one = write(*(labelled(n, a) for n, (a, _) in enumerate(values)), name="a.jsonl")
    other = write(*(labelled(n, b) for n, (_, b) in enumerate(values)), name="b.jsonl")
    test = FileComparison(Table(one), Table(other)).mcnemar()
    assert test is not None
    assert (test.both, test.only_first, test.only_second, test.neither) == (5, 9, 2, 0)
    # 2 * (C(11,0) + C(11,1) + C(11,2)) / 2^11
    assert test.p_value == pytest.approx(2 * (1 + 11 + 55) / 2**11)


def test_no_labels_no_mcnemar(write: Write) -> None:
    path = write(verdict(0), verdict(1))
    assert FileComparison(Table(path), Table(path)).mcnemar() is None


def test_the_difference_in_reward_has_its_interval(found: FileComparison) -> None:
    gap = found.difference()
    assert gap is not None
    assert (gap.rows, gap.mean) == (3, pytest.approx((0 - 1.8 - 0.1) / 3))
    assert gap.low < gap.mean < gap.high


def test_a_repeated_id_goes_with_its_own_occurrence(write: Write) -> None:
    one = write(*(verdict(n, id="same", value=f"v{n}") for n in range(3)), name="a.jsonl")
    other = write(*(verdict(n, id="same", value=f"v{n}") for n in range(2)), name="b.jsonl")
    found = FileComparison(Table(one), Table(other))
    assert (len(found), found.same) == (2, 2)


def test_files_without_a_common_row_or_verdicts_say_so(write: Write) -> None:
    one, other = write(verdict(0), name="a.jsonl"), write(verdict(1), name="b.jsonl")
    with pytest.raises(UsageError, match=r"a\.jsonl and b\.jsonl have no row in common"):
        FileComparison(Table(one), Table(other))
    pairs = write({"chosen": "a", "rejected": "b"}, name="pairs.jsonl")
    with pytest.raises(UsageError, match=r"pairs\.jsonl holds pairs, and no verdicts"):
        FileComparison(Table(one), Table(pairs))


def test_what_differs_between_settings_is_named() -> None:
    one = {"judge": {"kind": "feedback", "gate": None}, "engine": "local"}
    other = {"judge": {"kind": "feedback", "gate": 0.5}, "engine": "local", "panel": 1}
    assert settings_apart(one, other) == [("judge.gate", None, 0.5), ("panel", None, 1)]
