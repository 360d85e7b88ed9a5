"""Messages as trainers hold them, in the OpenAI format."""

from typing import Any

import pytest

from plaudit.rewarding.messages import as_message, plain, split_at

SAID = {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], {"content": "ab"}),
        (
            [{"type": "thinking", "thinking": "So."}, {"type": "text", "text": "4"}],
            {"content": "4", "reasoning_content": "So."},
        ),
        (
            [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}],
            {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]},
        ),
    ],
)
def test_parts_of_a_content(content: list[Any], found: dict[str, Any]) -> None:
    assert as_message({"role": "assistant", "content": content}) == {"role": "assistant"} | found


def test_flat_calls_get_a_function_and_others_stay() -> None:
    function = {"name": "search", "arguments": "{}"}
    whole = {"id": "c", "type": "function", "function": function}
    flat = {"id": "c", "type": "function", **function}
    for call in (whole, flat):
        assert as_message(SAID | {"tool_calls": [call]})["tool_calls"] == [whole]


def test_what_is_none_is_left_out() -> None:
    assert plain({"a": None, "b": [{"c": None, "d": (1, None)}]}) == {"b": [{"d": [1, None]}]}


def test_a_chat_is_cut_into_prompt_and_completion() -> None:
    asked = {"role": "user", "content": "?"}
    assert split_at([asked, SAID], 1) == {"prompt": [asked], "completion": [SAID]}
