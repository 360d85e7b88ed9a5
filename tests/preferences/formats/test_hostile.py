"""Whatever a row holds, it is read or refused with a reason."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import InputError
from plaudit.preferences.formats import detect
from plaudit.preferences.formats.base import CandidateFormat, ReadOptions
from plaudit.preferences.formats.pairwise import Comparisons
from plaudit.preferences.formats.rows import CandidateRows, PairRows, ResponseLists
from plaudit.preferences.formats.traces import Steps, Traces
from plaudit.preferences.formats.verdicts import Feedback, VerdictFormat
from plaudit.preferences.types import PairOptions, Tally

MESSAGES = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]


def verdict(kind: str, **judged: Any) -> dict[str, Any]:
    return {
        "id": "v#1",
        "status": "ok",
        "value": "neg_correction",
        "judge": f"{kind}/0",
        "reward": 0.5,
        "confidence": 0.5,
        "fields": {"p_a": 0.5},
        "metadata": {"example_id": 1, "turn_id": "t", "candidate_index": 0},
        "input": judged,
    }


FORMATS: dict[str, tuple[Callable[[], CandidateFormat], dict[str, Any]]] = {
    "rows": (
        CandidateRows,
        {"example_id": 1, "turn_id": 2, "candidate_index": 0, "prompt": "p", "response": "r",
         "score": 0.5, "confidence": 0.5, "metadata": {}},
    ),
    "pairs": (
        PairRows,
        {"example_id": 1, "turn_id": 2, "prompt": MESSAGES[:1], "chosen": MESSAGES, "rejected": "b",
         "chosen_score": 0.5, "rejected_score": 0.2, "margin": 0.3, "chosen_index": 0,
         "metadata": {"chosen": {}}},
    ),
    "lists": (
        ResponseLists,
        {"prompt": "p", "generations": ["a", {"response": "b", "overall_score": 3}],
         "ratings": [1, 2], "metadata": {}},
    ),
    "pointwise": (
        lambda: VerdictFormat("pointwise"), verdict("pointwise", prompt=MESSAGES[:1], response="r")
    ),
    "conversation": (
        lambda: VerdictFormat("pointwise"), verdict("pointwise", conversation=MESSAGES)
    ),
    "verify": (lambda: VerdictFormat("verify"), verdict("verify", question="q", answer="a")),
    "pairwise": (
        lambda: Comparisons("direct"),
        verdict("pairwise", prompt="p", response_a="a", response_b="b"),
    ),
    "strengths": (
        lambda: Comparisons("bradley-terry"),
        verdict("pairwise", conversation_A=MESSAGES, conversation_B=MESSAGES),
    ),
    "feedback": (Feedback, verdict("feedback", query="q", answer="a", follow_up="f")),
    "traces": (
        Traces,
        {"schema": 1, "question_id": "q", "group": "g", "draw": 0, "messages": MESSAGES,
         "rewards": {"total": {"value": 0.5}}},
    ),
    "steps": (
        Steps,
        {"id": 1, "intermediate_steps": [{"payload": {
            "event_type": "TTC_END", "name": "dpo_candidate_move", "metadata": {},
            "data": {"turn_id": "t", "candidate_index": 0, "score": 1, "input": "p", "output": "r"},
        }}]},
    ),
}  # fmt: skip

HUGE, DEEP = "@huge@", "@deep@"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from([HUGE, DEEP, "", "{}", "[", "null", '{"a": 1e999}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=5,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where something stands in a row."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [here, *(path for key, one in inner for path in paths(one, (*here, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    changed = value.copy()
    changed[path[0]] = replaced(value[path[0]], path[1:], other)
    return changed


def line(row: Any) -> bytes:
    text = json.dumps(row).replace(f'"{HUGE}"', "1e999")
    return text.replace(f'"{DEEP}"', "[" * 500 + "]" * 500).encode()


@pytest.mark.parametrize("name", FORMATS)
@given(st.data())
def test_a_row_is_read_or_refused(name: str, data: st.DataObject) -> None:
    make, row = FORMATS[name]
    path = data.draw(st.sampled_from(paths(row)))
    found = make()
    try:
        candidates = [*found.read(line(replaced(row, path, data.draw(VALUES))), 0), *found.end()]
    except InputError as error:
        assert len(str(error)) < 500
        return
    for one in candidates:
        assert one.score is None or math.isfinite(one.score)
        assert isinstance(one.example_id, (str, int))
        assert isinstance(one.turn_id, (str, int))
    if candidates:
        tally = Tally()
        found.pair(candidates, PairOptions(), tally)
        assert tally.adds_up


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_as_it_should_be_is_read_and_its_format_known(name: str) -> None:
    make, row = FORMATS[name]
    found = make()
    assert found.read(line(row), 0) or name == "feedback"
    assert detect(line(row), ReadOptions()).name == found.name


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_the_format_of_any_row_is_known_or_refused(row: dict[str, Any]) -> None:
    try:
        found = detect(line(row), ReadOptions())
    except InputError:
        return
    assert found.nothing_found()
