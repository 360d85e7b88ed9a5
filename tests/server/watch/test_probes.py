"""Which rows of the traffic become probes, and what is put into them."""

import random
from typing import Any

import pytest

from plaudit.rewarding.rows import ScoredRow
from plaudit.server.watch.probes import LIVE_ROWS, LiveRows, live_answer

CHAT = [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "Nile"}]
SAID = [*CHAT[:1], {"role": "assistant", "content": ":"}]


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        ({"prompt": "a", "completion": "b", "id": "7"}, {"prompt": "a", "completion": ":"}),
        ({"prompt": CHAT[:1], "completion": CHAT[1:]}, {"prompt": CHAT[:1], "completion": ":"}),
        ({"prompt": "a", "response": "b"}, {"prompt": "a", "response": ":"}),
        (
            {"question": "a", "answer": "b", "reference": "c"},
            {"question": "a", "answer": ":", "reference": "c"},
        ),
        ({"messages": CHAT, "answer": "Nile"}, {"messages": SAID, "answer": "Nile"}),
        ({"conversation": CHAT}, {"conversation": SAID}),
    ],
)
def test_the_answer_of_a_row_is_exchanged(row: Any, changed: Any) -> None:
    live = live_answer(row, 1.0)
    assert live is not None
    assert live.saying(":") == changed


@pytest.mark.parametrize(
    "row",
    [
        {"schema": 1, "messages": CHAT},
        {"query": "a", "answer": "b", "follow_up": "c"},
        {"conversation_A": CHAT, "conversation_B": CHAT},
        {"messages": CHAT[:1]},
        {"messages": CHAT[1:]},
        {"messages": "none"},
        {"messages": [1, 2]},
        {"question": "a"},
        {},
    ],
)
def test_other_rows_are_left_alone(row: Any) -> None:
    assert live_answer(row, 1.0) is None


def live_rows(*rows: dict[str, Any]) -> LiveRows:
    found = LiveRows(random.Random(0))
    for row in rows:
        found.add([row], [ScoredRow(value=row.pop("value"), status="ok")])
    return found


def test_a_paid_answer_is_put_under_another_question() -> None:
    rows = live_rows(
        {"prompt": "2 + 2?", "completion": "4", "answer": "4", "value": 1.0},
        {"prompt": "2 + 3?", "completion": "6", "answer": "5", "value": 0.0},
        {"prompt": "8 / 2?", "completion": "9", "answer": ["4", " 4"], "value": 0.0},
    )
    for _ in range(20):
        made = rows.transplant(0.5)
        assert made in (None, {"prompt": "2 + 3?", "completion": "4", "answer": "5"})
    assert live_rows({"prompt": "a", "completion": "b", "value": 0.2}).transplant(0.5) is None


def test_few_rows_are_kept_and_none_that_is_large() -> None:
    rows = LiveRows(random.Random(1))
    assert rows.one() is None
    rows.add([{"prompt": "a" * 2**17, "completion": "b"}], [ScoredRow(value=1.0, status="ok")])
    assert rows.one() is None
    for n in range(2000):
        row: Any = {"prompt": f"q{n}", "completion": "a"}
        rows.add([row, row], [ScoredRow(value=1.0, status="ok")] * 2)
    seen = {rows.one().asked for _ in range(5000)}  # type: ignore[union-attr]
    assert len(seen) == LIVE_ROWS
    late = sum(int(str(asked)[1:]) >= 1000 for asked in seen)
    assert LIVE_ROWS / 4 < late < LIVE_ROWS * 3 / 4
    rows.begin_span()
    assert rows.one() is not None
