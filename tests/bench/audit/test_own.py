"""Labelled rows of the user become items, or are counted with a reason."""

from pathlib import Path
from typing import Any

import pytest

from plaudit.bench.audit.items import AuditBase
from plaudit.bench.audit.own import read_base
from plaudit.errors import InputError, UsageError
from plaudit.io.sources import RowReader
from tests.support.command import EXAMPLES, write_rows


def base(path: Path | str, kind: str = "", most: int = 60, seed: int = 0) -> AuditBase:
    with RowReader(path) as rows:
        return read_base(rows, Path(path).name, kind, most, seed)


@pytest.mark.parametrize("kind", ["pairwise", "pointwise", "verify", "feedback"])
def test_the_kind_is_seen_from_the_columns_of_the_examples(kind: str) -> None:
    found = base(EXAMPLES / f"{kind}.jsonl")
    assert found.kind == kind
    assert found.items
    assert len({item.id for item in found.items}) == len(found.items)


def pair(n: int, label: Any, **more: Any) -> dict[str, Any]:
    return {"id": f"p{n}", "prompt": f"q{n}", "response_a": "a", "response_b": "b",
            "label": label, **more}  # fmt: skip


def test_pairs_have_the_right_and_the_wrong_side_of_their_label(tmp_path: Path) -> None:
    rows = [pair(1, "A"), pair(2, "B"), pair(3, "A=B"), pair(4, "first"), pair(5, None)]
    found = base(write_rows(tmp_path / "in.jsonl", rows))
    assert [(item.right, item.wrong) for item in found.items] == [("a", "b"), ("b", "a")]
    assert found.left_out == {
        "a tie has no right side": 1,
        "the label 'first', where A or B is wanted": 1,
        "no label, where A or B is wanted": 1,
    }


def test_scores_and_words_say_whether_a_response_is_good(tmp_path: Path) -> None:
    labels = [9, 2, "good", "wrong", True, 5.5]
    rows = [{"prompt": f"q{n}", "response": "r", "label": one} for n, one in enumerate(labels)]
    found = base(write_rows(tmp_path / "in.jsonl", rows))
    assert [item.sides[0] for item in found.items] == [
        "right", "wrong", "right", "wrong", "right", "wrong",
    ]  # fmt: skip


def test_answers_without_a_wrong_one_borrow_that_of_another_question(tmp_path: Path) -> None:
    rows = [
        {"question": "q1", "answer": "x", "reference": "x"},
        {"question": "q2", "answer": "no", "reference": "y", "label": "incorrect"},
        {"question": "q3", "answer": "z", "reference": ["z", "Z"], "label": "correct"},
    ]
    found = base(write_rows(tmp_path / "in.jsonl", rows))
    assert [(item.right, item.wrong) for item in found.items] == [
        ("x", "y"), ("y", "no"), ("z", "x"),
    ]  # fmt: skip


def test_reactions_that_are_neither_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "answer": "a", "follow_up": f"f{n}", "label": label}
        for n, label in enumerate(["pos_praise", "neg_correction", "neutral", "positive"])
    ]
    found = base(write_rows(tmp_path / "in.jsonl", rows))
    assert [bool(item.praise) for item in found.items] == [True, False, True]
    assert sum(found.left_out.values()) == 1


def test_rows_without_labels_are_refused_with_the_reason_of_the_first(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [pair(1, None), pair(2, None)])
    with pytest.raises(InputError, match=r"in\.jsonl: no row can be an item.*no label"):
        base(path)


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [pair(1, "A")])
    with pytest.raises(InputError, match=r"'answer'|'question'"):
        base(path, "verify")
    path = write_rows(tmp_path / "other.jsonl", [{"text": "t", "label": 1}])
    with pytest.raises(UsageError, match=r"'text', 'label' do not say.*--kind"):
        base(path)


def test_ids_that_occur_again_are_made_unique_and_a_draw_keeps_the_order(tmp_path: Path) -> None:
    rows = [pair(1, "A"), pair(1, "B"), *(pair(n, "A") for n in range(2, 30))]
    path = write_rows(tmp_path / "in.jsonl", rows)
    assert [item.id for item in base(path).items][:3] == ["p1", "p1#2", "p2"]
    some = [item.id for item in base(path, most=10).items]
    assert len(some) == 10
    assert some == [item.id for item in base(path, most=10).items]
    assert some != [item.id for item in base(path, most=10, seed=1).items]


def test_the_history_of_a_conversation_stays(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"},
               {"role": "user", "content": "and now?"}]  # fmt: skip
    sides = [[*history, {"role": "assistant", "content": text}] for text in ("x", "y")]
    row = {"conversation_A": sides[0], "conversation_B": sides[1], "label": "B"}
    (item,) = base(write_rows(tmp_path / "in.jsonl", [row])).items
    assert (item.right, item.wrong, item.cluster) == ("y", "x", "and now?")
    assert len(item.prompt) == 3
