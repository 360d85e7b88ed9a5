"""Ids of rollouts whose engine told texts alone."""

from typing import Any

import pytest

from plaudit.errors import EmptyMaskError, UsageError
from plaudit.rollouts.approximate import approximate_tokens
from plaudit.rollouts.trace import Turn
from plaudit.types import Message
from tests.rollouts.families import FAMILIES, QWEN3, renderer_of
from tests.rollouts.test_token_identity import TOOLS, runs_of_mask, simulate


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
async def test_they_are_those_of_a_model_that_samples_as_its_tokenizer_does(
    family: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    renderer = renderer_of(family, tmp_path_factory)
    messages, sampled, log = await simulate(family, renderer, 5, drift=False, questions=("Who?",))
    turns = [
        Turn(text=text.replace("[TOOL_CALLS]", ""), finish_reason="stop") for _, text, _ in sampled
    ]
    tokens = await approximate_tokens(messages, turns, renderer, TOOLS)
    assert (tokens.exactness, set(tokens.logprobs)) == ("approximate", {None})
    if family.name == "mistral":  # Its engines leave out the control token that begins a call.
        assert len(log) - len(tokens.ids) == 2
    else:
        assert tuple(tokens.ids) == log.ids
        assert runs_of_mask(tokens) == [ids for ids, _, _ in sampled]


def chat(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(role=roles[place % 2], content=text) for place, text in enumerate(texts)]


async def test_a_turn_that_was_cut_off_has_no_end_token_in_the_mask(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    renderer = renderer_of(QWEN3, tmp_path_factory)
    turns = [Turn(text="half", finish_reason="length"), Turn(text="whole")]
    tokens = await approximate_tokens(chat("a", "half", "b", "whole"), turns, renderer)
    texts = [await renderer.tokenizer.decode(ids) for ids in runs_of_mask(tokens)]
    assert texts == ["half", "whole<|im_end|>"]
    whole = await renderer.tokenizer.decode(tokens.ids)
    assert whole.count("<|im_end|>") == 4


async def test_assistant_messages_of_the_prompt_are_not_turns(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    renderer = renderer_of(QWEN3, tmp_path_factory)
    tokens = await approximate_tokens(chat("a", "b", "c", "d"), [Turn(text="d")], renderer)
    assert [await renderer.tokenizer.decode(ids) for ids in runs_of_mask(tokens)] == ["d<|im_end|>"]
    assert tokens.prompt_length == tokens.mask.index(1)


async def test_more_turns_than_messages_are_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    renderer = renderer_of(QWEN3, tmp_path_factory)
    with pytest.raises(UsageError, match="2 turns, but 1 assistant messages"):
        await approximate_tokens(chat("a", "b"), [Turn(text="b")] * 2, renderer)


async def test_what_is_cut_off_is_counted(tmp_path_factory: pytest.TempPathFactory) -> None:
    renderer = renderer_of(QWEN3, tmp_path_factory)
    whole = await approximate_tokens(chat("a", "b c d"), [Turn(text="b c d")], renderer)
    kept = len(whole.ids) - 2
    cut = await approximate_tokens(chat("a", "b c d"), [Turn(text="b c d")], renderer, (), kept)
    assert (cut.ids, cut.truncated) == (whole.ids[:kept], 2)
    with pytest.raises(EmptyMaskError, match="Allow more tokens"):
        await approximate_tokens(chat("a", "b c d"), [Turn(text="b c d")], renderer, (), 2)
    with pytest.raises(EmptyMaskError, match="none of the 0 tokens"):
        await approximate_tokens(chat("a"), [], renderer)
