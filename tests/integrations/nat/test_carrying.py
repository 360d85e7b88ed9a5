import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.integrations.nat.carrying import prompt_of, response_of

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
