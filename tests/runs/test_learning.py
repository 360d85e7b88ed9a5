"""Weights of a jury, learned from the verdicts that it wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import InputError, PlauditError, UsageError
from plaudit.runs.learning import learn_from
from tests.support.command import write_rows


def verdict(values: dict[str, Any], label: Any = None, kind: str = "feedback") -> dict[str, Any]:
    members = [
        {"name": n, "judge": f"{kind}/{n}", "status": "ok" if v else "failed", "value": v}
        for n, v in values.items()
    ]
    metadata = {} if label is None else {"label": label}
    return {"index": 0, "fields": {"members": members}, "metadata": metadata}


def learn(tmp_path: Path, rows: list[Any]):
    return learn_from(str(write_rows(tmp_path / "v.jsonl", rows)))


def test_only_labelled_rows_and_usable_votes_count(tmp_path: Path) -> None:
    right, wrong = {"a": "neutral", "b": "neutral"}, {"a": "neutral", "b": "pos_praise"}
    rows = [verdict(right, "neutral")] * 6 + [verdict(wrong, "neutral")] * 4
    rows += [verdict({"a": "neutral", "b": None}, "neutral"), verdict(wrong)]
    found = learn(tmp_path, rows)
    assert [(n, w.judge, w.samples, w.accuracy) for n, w in found.items()] == [
        ("a", "feedback/a", 11, 1.0), ("b", "feedback/b", 10, 0.6)
    ]  # fmt: skip
    assert found["a"].weight > found["b"].weight > 0


def test_columns_of_parquet_are_json_text(tmp_path: Path) -> None:
    row = verdict({"a": "neutral", "b": "neutral"}, "neutral")
    texts = row | {name: json.dumps(row[name]) for name in ("fields", "metadata")}
    assert learn(tmp_path, [texts]) == learn(tmp_path, [row])


def test_scores_are_learned_by_their_error(tmp_path: Path) -> None:
    rows = [verdict({"a": score, "b": 11 - score}, score, "pointwise") for score in (2, 5, 9)]
    found = learn(tmp_path, rows)
    assert found["a"].weight > found["b"].weight
    assert (found["a"].error, found["a"].accuracy) == (0.0, None)


BOTH = {"a": "neutral", "b": "neutral"}


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([verdict(BOTH)], UsageError, "no sample has a label"),
        ([verdict(BOTH, "great")], InputError, "'great' is no value of the feedback judge"),
        ([verdict({"a": 3, "b": 4}, "3", "pointwise")], InputError, "'3' is no score"),
        ([verdict(BOTH, "neutral"), verdict({"a": "neutral"}, "neutral")], InputError, "same jury"),
        ([{"metadata": {"label": "x"}, "fields": {}}], InputError, "not a jury's verdict"),
        (
            [{"metadata": {"label": "x"}, "fields": {"step": "a", "members": []}}],
            InputError,
            "not a",
        ),
        ([{"metadata": {"label": "x"}, "fields": {"members": []}}], InputError, "not a"),
        ([{"metadata": {"label": "x"}, "fields": {"members": [{}]}}], InputError, "not a"),
        ([verdict(BOTH, "neutral", "tasting")], InputError, "not a jury's"),
        ([{"label": "x"}], UsageError, "no sample has a label"),
    ],
)
def test_what_nothing_can_be_learned_from(
    tmp_path: Path, rows: list[Any], error: type[PlauditError], message: str
) -> None:
    with pytest.raises(error, match=message):
        learn(tmp_path, rows)
