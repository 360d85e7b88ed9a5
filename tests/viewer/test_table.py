"""Tables: filters, orders, pages by key, counts, and search."""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from plaudit.errors import InputError, UsageError
from plaudit.viewer.filters import NumberRange, TableView, read_view
from plaudit.viewer.kinds import VERDICTS
from plaudit.viewer.table import Table
from tests.viewer.conftest import Write, lines, not_ok, verdict

ROWS = [
    verdict(0, reward=0.3, value="praise", metadata={"label": "praise"}),
    verdict(1, reward=-0.7, value="anger", metadata={"label": "praise"}),
    not_ok(2, "failed", "timeout"),
    verdict(3, reward=0.9, value="praise"),
    not_ok(4, "abstained", "below_gate", value="anger", confidence=0.4),
    verdict(5, reward=0.3, value="praise", confidence=0.2),
]


@pytest.fixture
def table(write: Write) -> Table:
    return Table(write(*ROWS))


def shown(table: Table, *query: tuple[str, str], size: int = 50) -> list[int]:
    return table.page(read_view(table.kind, query), size).rows


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        ([("status", "ok")], [0, 1, 3, 5]),
        ([("status", "failed"), ("status", "abstained")], [2, 4]),
        ([("status", "ok"), ("value", "anger")], [1]),
        ([("cause", "")], [0, 1, 3, 5]),
        ([("agrees", "no")], [1]),
        ([("agrees", "yes")], [0]),
        ([("value", "never said")], []),
        ([("reward", "0.3..0.9")], [0, 3, 5]),
        ([("reward", "..0")], [1]),
        ([("confidence", "0.3..0.5")], [4]),
        ([("id", "s-3")], [3]),
        ([("text", "TEXT 4")], [4]),
        ([("text", "text 5")], [5]),
        ([("sort", "reward")], [1, 0, 5, 3, 2, 4]),
        ([("sort", "-reward")], [3, 0, 5, 1, 2, 4]),
        ([("sort", "value"), ("status", "ok")], [1, 0, 3, 5]),
    ],
)
def test_filters_and_orders(table: Table, query: list[tuple[str, str]], rows: list[int]) -> None:
    assert shown(table, *query) == rows


def test_missing_values_come_last_in_either_order(table: Table) -> None:
    assert shown(table, ("sort", "confidence"))[-1] == 2
    assert shown(table, ("sort", "-confidence"))[-1] == 2


@pytest.mark.parametrize("sort", ["", "reward", "-reward", "value", "-status"])
def test_pages_by_key_are_the_whole_forwards_and_backwards(table: Table, sort: str) -> None:
    view = TableView(sort=sort)
    whole = table.page(view).rows
    forwards: list[int] = []
    page = table.page(view, 2)
    while True:
        forwards += page.rows
        if page.next is None:
            break
        page = table.page(view._replace(after=page.next), 2)
    assert forwards == whole
    backwards = page.rows
    while page.previous is not None:
        page = table.page(view._replace(before=page.previous), 2)
        backwards = page.rows + backwards
    assert backwards == whole


def test_what_a_filter_lets_in_is_counted(table: Table) -> None:
    counts = table.counts(read_view(VERDICTS, [("value", "praise")]).filter)
    assert counts.rows == 3
    assert counts.facets["value"] == [("praise", 3), ("anger", 2), ("", 1)]
    assert counts.facets["status"] == [("ok", 3)]
    assert counts.mean == pytest.approx(0.5)
    assert sum(bar.rows for bar in counts.histogram) == 3
    assert counts.histogram[0].bounds.low == -0.7


def test_a_bar_is_a_filter_for_its_rows(table: Table) -> None:
    view = TableView()
    for bar in table.counts(view.filter).histogram:
        ranged = view.ranged("reward", bar.bounds)
        assert len(table.page(read_view(VERDICTS, _pairs(ranged))).rows) >= bar.rows


def _pairs(view: TableView) -> list[tuple[str, str]]:
    return parse_qsl(view.query(), keep_blank_values=True)


def test_a_view_is_its_url(table: Table) -> None:
    query = [("status", "ok"), ("value", ""), ("reward", "-0.5..0.25"), ("text", "a&b"),
             ("sort", "-reward"), ("columns", "status,reward")]  # fmt: skip
    view = read_view(VERDICTS, query)
    assert read_view(VERDICTS, _pairs(view)) == view
    assert dict(_pairs(view.ranged("reward", NumberRange(0, 1))))["reward"] == "0..1"
    assert view.toggled("status", "ok").filter.words == (("value", ("",)),)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (("colour", "red"), "no column 'colour'; there are status"),
        (("sort", "colour"), "no column 'colour'"),
        (("columns", "status,colour"), "no column 'colour'"),
        (("reward", "high"), "reward='high': write a range"),
        (("reward", "nan..1"), "write a range"),
        (("after", "-1"), "after='-1' is no row"),
        (("after", "9" * 40), "is no row"),
    ],
)
def test_a_url_that_cannot_be_read_says_so(query: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        read_view(VERDICTS, [query])


def test_a_search_that_pauses_goes_on_where_it_was(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(write(*(verdict(n) for n in range(2_000)), verdict(9, id="needle")))
    clock = iter(range(10_000))
    monkeypatch.setattr("plaudit.viewer.table.time.monotonic", lambda: float(next(clock)))
    view, rounds, found = read_view(VERDICTS, [("text", "NEEDLE")]), 0, list[int]()
    while True:
        page = table.page(view)
        found += page.rows
        rounds += 1
        if page.searched is None:
            break
        view = view._replace(after=page.searched)
    assert (found, rounds > 2) == ([2_000], True)


def test_text_that_json_writes_otherwise_is_found(write: Write) -> None:
    row = verdict(0, input={"query": 'say "yes"\nnow', "answer": "Ärger", "follow_up": ""})
    table = Table(write(row, verdict(1)))
    assert shown(table, ("text", 'say "yes"\nnow')) == [0]
    assert shown(table, ("text", "Ärger")) == [0]


def test_how_the_file_is_now(write: Write, tmp_path: Path) -> None:
    path = write(verdict(0))
    table = Table(path)
    assert table.status == "same"
    with path.open("ab") as file:
        file.write(lines([verdict(1)]))
    assert table.status == "grown"
    path.write_bytes(b"")
    assert table.status == "cut"
    with pytest.raises(InputError, match="was cut after it was indexed"):
        table.line(0)
    path.unlink()
    assert table.status == "gone"


def test_a_row_that_is_not_there(table: Table) -> None:
    with pytest.raises(InputError, match="has 6 rows, and no row 6"):
        table.line(6)
