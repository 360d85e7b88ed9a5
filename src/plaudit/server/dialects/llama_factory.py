"""LLaMA-Factory 0.9: PPO with `reward_model_type: api`.

Its client sends decoded texts, prompt and response in one, without a reference. It has no time-out
and reads `scores` whatever the status is: null raises a TypeError there, an error a KeyError.
"""

from collections.abc import Sequence

import msgspec

from plaudit.rewarding.rows import Row
from plaudit.rewarding.texts import cut_chat
from plaudit.server.dialects.base import Answers, Dialect, NoPrompt, ScoringRoute


class LlamaFactoryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What its client posts."""

    messages: list[str]
    """Chats of one turn, as the model's template renders them."""
    model: str = ""


class LlamaFactoryReply(msgspec.Struct, frozen=True, kw_only=True):
    """What its client reads."""

    scores: list[float]


def row_of_text(text: str) -> Row | NoPrompt:
    """Return a rendered chat of one turn as a row."""
    cut = cut_chat(text)
    return NoPrompt({"text": text}) if cut is None else {"prompt": cut[0], "completion": cut[1]}


def _rows(body: LlamaFactoryRequest) -> Sequence[Row | NoPrompt]:
    return [row_of_text(text) for text in body.messages]


def _answer(body: LlamaFactoryRequest, answers: Answers) -> LlamaFactoryReply:
    del body
    return LlamaFactoryReply(scores=[value for value in answers.values if value is not None])


LLAMA_FACTORY = Dialect(
    name="llama-factory",
    title="LLaMA-Factory's reward model behind an API",
    choices=("error", "number"),
    deadline=600.0,
    scoring=[
        ScoringRoute("/llama-factory", LlamaFactoryRequest, LlamaFactoryReply, _rows, _answer)
    ],
)
