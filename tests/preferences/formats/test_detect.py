"""The format of a file is found by a row."""

import json
from typing import Any

import pytest

from plaudit.errors import InputError
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import CandidateFormat, ReadOptions
from plaudit.preferences.formats.traces import Steps


def of(row: Any, **options: Any) -> CandidateFormat:
    return detect(json.dumps(row).encode(), ReadOptions(**options))


def verdict(kind: str) -> dict[str, Any]:
    return {"judge": f"{kind}/0", "id": "a", "status": "ok", "reward": 1.0, "input": {"a": 1}}


PAIR = {"prompt": "p", "response": "r"}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (PAIR | {"score": 1}, "rows"),
        (PAIR, "rows"),
        (PAIR | {"score": 1, "payload": {}}, "rows"),
        (PAIR | {"id": 1, "intermediate_steps": []}, "steps"),
        ({"id": 1, "trajectory": []}, "steps"),
        ({"payload": {}}, "steps"),
        ({"event_type": "TTC_END"}, "steps"),
        ({"messages": [], "schema": 1}, "traces"),
        ({"messages": [], "rewards": {}}, "traces"),
        (verdict("pointwise"), "pointwise verdicts"),
        (verdict("verify"), "verify verdicts"),
        (verdict("pairwise"), "pairwise verdicts"),
        (verdict("feedback"), "feedback verdicts"),
        (verdict("my_kind"), "my_kind verdicts"),
    ],
)
def test_each_format_is_known_by_its_columns(row: dict[str, Any], name: str) -> None:
    assert of(row).name == name


def test_options_reach_their_format() -> None:
    assert "'mine'" in of({"payload": {}}, step_name="mine").nothing_found()
    assert isinstance(of({"payload": {}}), Steps)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "t", "points": 1}, "its columns are text, points"),
        ({}, "none at all"),
        ({"chosen": "a", "rejected": "b"}, "a pair needs prompt"),
        ({"messages": [], "score": 1}, "plaudit judge pointwise"),
        ({"conversation": [], "score": 1}, "plaudit judge pointwise"),
        ({"prompt": "p", "response_a": "x", "response_b": "y"}, "plaudit judge pairwise"),
        ({"query": "q", "answer": "a", "follow_up": "f"}, "plaudit judge feedback"),
        ({"question": "q", "answer": "a"}, "plaudit judge verify"),
        ([], "not a row"),
        ("text", "not a row"),
    ],
)
def test_a_row_of_no_format_is_refused_with_what_it_has(row: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        of(row)


def test_of_many_columns_the_first_are_named() -> None:
    with pytest.raises(InputError) as caught:
        of({f"column-{n}": n for n in range(1_000)})
    assert "column-19, ..." in str(caught.value)
    assert len(str(caught.value)) < 1_000
