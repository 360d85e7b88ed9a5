"""Lengths are those of what the model wrote, in characters."""

import msgspec
import pytest
from msgspec import Raw

from plaudit.preferences.texts import length_of
from plaudit.types import Json

PARTS = [{"type": "text", "text": "ab"}, {"type": "image"}]
OBJECT = {"function": {"name": "f", "arguments": {"a": 1}}}
CALL = {"type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("response", "length"),
    [
        ("abc", 3),
        ("", 0),
        ('say "no"\n', 9),
        ("größer 😀", 8),
        (None, 0),
        ({"role": "assistant", "content": "four"}, 4),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, 11),
        ({"role": "assistant", "tool_calls": [OBJECT]}, 8),
        ([{"role": "assistant", "content": PARTS}], 2),
        ([{"role": "user", "content": "not counted"}, {"content": "counted"}], 7),
        ([{"role": "tool", "content": "a long result"}, {"role": "assistant", "content": "ok"}], 2),
        ({"answer": 42}, 13),
        (42, 2),
        ({"role": "assistant", "content": 5, "tool_calls": ["odd", {"function": None}]}, 0),
        ({"role": "assistant", "content": "x", "tool_calls": 3}, 1),
    ],
)  # fmt: skip
def test_length_of(response: Json, length: int) -> None:
    assert length_of(Raw(msgspec.json.encode(response))) == length


def test_escapes_count_as_what_they_stand_for() -> None:
    assert length_of(Raw(rb'"\u00e9\n\ud83d\ude00"')) == 3
