import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.integrations.nat.collecting import Collected, collect, prompt_of, response_of

CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function"}]}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
USER = {"role": "user", "content": "q"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "x"]), inner)
    ),
    max_leaves=8,
)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("prompt", "carried"),
    [
        ("q", "q"),
        (None, ""),
        ([], []),
        (USER, [USER]),
        ([USER], [USER]),
        ([USER | {"name": None, "tool_calls": [], "id": "m1"}], [USER]),
        ([{"role": "assistant", "content": None}], [{"role": "assistant", "content": ""}]),
        ([{"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}],
         [{"role": "user", "content": "ab"}]),
        ({"board": ["x", None]}, '{"board":["x",null]}'),
        ([1, 2], "[1,2]"),
    ],
)  # fmt: skip
def test_what_fits_into_text_and_roles(prompt: Any, carried: Any) -> None:
    assert prompt_of(raw(prompt)) == carried


@pytest.mark.parametrize(
    "prompt",
    [
        [USER, CALL],
        [USER, {"role": "tool", "content": "found", "tool_call_id": "1"}],
        [USER | {"name": "Ann"}],
        [{"role": "user", "content": [PICTURE]}],
        [{"role": "user", "content": [{"type": "text", "text": "see"}, PICTURE]}],
        [{"role": "user", "content": {"text": "q"}}],
        [{"role": "user", "content": 3}],
        [USER, "and a text"],
    ],
)
def test_D3_what_does_not_fit_is_none(prompt: Any) -> None:
    assert prompt_of(raw(prompt)) is None
    assert response_of(raw(prompt)) is None


@pytest.mark.parametrize(
    ("response", "carried"),
    [
        ("a", "a"),
        ({"role": "assistant", "content": "a"}, "a"),
        ([{"role": "assistant", "content": "a"}], "a"),
        ([], ""),
        (None, ""),
        ({"move": 3}, '{"move":3}'),
        (4.5, "4.5"),
        ([USER, USER], None),
        ([CALL], None),
    ],
)
def test_a_response_is_text(response: Any, carried: str | None) -> None:
    assert response_of(raw(response)) == carried


@given(JSON)
def test_D3_nothing_becomes_pythons_repr(value: Any) -> None:
    """Text is text that was there, or JSON that says the same."""
    carried = prompt_of(raw(value))
    if isinstance(carried, str):
        assert (
            carried == (value or "")
            if isinstance(value, str | None)
            else (json.loads(carried) == value)
        )
    elif carried is not None:
        messages = value if isinstance(value, list) else [value]
        assert [one["role"] for one in carried] == [one["role"] for one in messages]


def step(name: str = "move", kind: str = "TTC_END", **data: Any) -> Any:
    data = {"turn_id": "t", "candidate_index": None, "score": 0.5, "input": "q"} | data
    payload = {"event_type": kind, "name": name, "metadata": None, "UUID": "u"}
    return SimpleNamespace(payload=SimpleNamespace(**payload, data=Data(**data)))


class Data(SimpleNamespace):
    def model_dump(self, mode: str) -> dict[str, Any]:
        assert mode == "json"
        return dict(vars(self))


def item(identity: Any, *steps: Any) -> Any:
    return SimpleNamespace(id=identity, trajectory=list(steps))


def found(*items: Any) -> Collected:
    return collect(items, "move")


def test_candidates_are_steps_of_the_name_that_ended() -> None:
    got = found(
        item("e", step(output="a"), step("other"), step(kind="TTC_START"), step(output="b"))
    )
    assert [[bytes(one.response) for one in turn] for turn in got.turns] == [[b'"a"', b'"b"']]
    assert got.seen == {("TTC_END", "move"): 2, ("TTC_END", "other"): 1, ("TTC_START", "move"): 1}


def test_D2_turns_are_those_of_an_item_and_nothing_is_joined_or_lost() -> None:
    got = found(
        item("a::b", step(output="1"), step(output="2", turn_id="u")),
        item("a", step(output="3", turn_id="b::t")),
        item("a", step(output="4", turn_id="b::t")),
        item(1, step(output="5")),
        item("1", step(output="6")),
    )
    assert [len(turn) for turn in got.turns] == [1] * 6
    assert [turn[0].example_id for turn in got.turns] == ["a::b", "a::b", "a", "a", 1, "1"]


@pytest.mark.parametrize("identity", [None, True, 2.5, ("a", 1)])
def test_any_id_is_kept_as_text(identity: Any) -> None:
    assert found(item(identity, step(output="x"))).turns[0][0].example_id == str(identity)


def test_D2_what_is_skipped_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    got = found(
        item("e", step(turn_id=None), step(score=[1]), step(output=object()), step(output="a"))
    )
    assert (got.unread, [len(turn) for turn in got.turns]) == (3, [1])
    assert caplog.text.count("step u of example 'e' is left out") == 3


def test_D3_a_candidate_that_does_not_fit_keeps_its_place_without_a_score() -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "1"}]}
    got = found(item("e", step(output=[call]), step(output="a")))
    assert [one.score for one in got.turns[0]] == [None, 0.5]
    assert got.not_text == 1
