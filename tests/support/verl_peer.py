"""What verl hands to a reward manager: rollouts of a ChatML model, and stand-ins for its objects.

That verl's own objects have these fields is tested in tests/contracts/test_verl.py.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tests.support.modules import stand_in_modules

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
TEMPLATE = """\
{%- for message in messages %}
{%- if message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content }}
{{- '\\n</tool_response><|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
"""ChatML, with results of tools as Qwen's templates write them."""

Message = dict[str, Any]


class Characters:
    """A stand-in for a tokenizer from Hugging Face: a token a character, and special tokens."""

    header, end = f"{START}assistant\n", f"{END}\n"

    def __init__(self, special: Sequence[str] = (START, END, PAD), eos: str = END) -> None:
        self.special = list(special)
        self.all_special_ids = list(range(len(special)))
        self.eos_token_id = self.special.index(eos)
        self.chat_template: str | None = TEMPLATE
        self._parts = re.compile("|".join(map(re.escape, special)) + "|(?s:.)")

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        assert not add_special_tokens
        return [self._id(part) for part in self._parts.findall(text)]

    def _id(self, part: str) -> int:
        return self.special.index(part) if part in self.special else ord(part) + len(self.special)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        special = [] if skip_special_tokens else self.special
        known = len(self.special)
        return "".join(
            "".join(special[one : one + 1]) if one < known else chr(one - known) for one in ids
        )

    def apply_chat_template(
        self, messages: Sequence[Message], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize
        turns = [f"{START}{one['role']}\n{one['content']}{self.end}" for one in messages]
        return "".join(turns) + (self.header if add_generation_prompt else "")


class Rollout(NamedTuple):
    """One rollout, as an agent loop of verl returns it."""

    prompt: list[Message]
    prompt_ids: list[int]
    ids: list[int]
    mask: list[int]
    """1 where the model sampled the token."""
    num_turns: int


def rollout(tokenizer: Any, prompt: Sequence[Message], wrote: Sequence[Message]) -> Rollout:
    """Return a chat as verl's loop with tools makes it, token by token."""
    asked = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    found = Rollout(list(prompt), _ids(tokenizer, asked), [], [], 0)
    rounds = 0
    for place, message in enumerate(wrote):
        if message["role"] == "assistant":
            _add(found, _ids(tokenizer, message["content"] + END), 1)
        else:
            first = wrote[place - 1]["role"] == "assistant"
            last = place + 1 == len(wrote) or wrote[place + 1]["role"] == "assistant"
            rounds += last
            _add(found, _ids(tokenizer, _result(message["content"], first, last)), 0)
    turns = sum(message["role"] == "assistant" for message in wrote)
    return found._replace(num_turns=turns + rounds + 1)


def _result(text: str, first: bool, last: bool) -> str:
    opening = f"\n{START}user" if first else ""
    closing = f"{END}\n{START}assistant\n" if last else ""
    return f"{opening}\n<tool_response>\n{text}\n</tool_response>{closing}"


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _add(found: Rollout, ids: list[int], mask: int) -> None:
    found.ids.extend(ids)
    found.mask.extend([mask] * len(ids))


def fields(made: Rollout, truth: Any, **beside: Any) -> dict[str, Any]:
    """Return what verl keeps of a rollout beside its tensors."""
    return {
        "data_source": "notes",
        "reward_model": {"ground_truth": truth, "style": "rule"},
        "raw_prompt": made.prompt,
        "extra_info": {"index": 0},
        "__num_turns__": made.num_turns,
        **beside,
    }


class Data(list[Any]):
    """A stand-in for a `DataProto`: its items have a `batch` and a `non_tensor_batch`."""


def data(made: Rollout, beside: Mapping[str, Any], *, pad: int = 0, **tensors: Any) -> Data:
    """Return a rollout as a manager gets it; `pad` tokens follow the response."""
    ids = made.ids + [0] * pad
    attended = [1] * (len(made.prompt_ids) + len(made.ids)) + [0] * pad
    batch = {"prompts": made.prompt_ids, "responses": ids, "attention_mask": attended} | tensors
    arrays = {name: np.array(value) for name, value in batch.items()}
    return Data([SimpleNamespace(batch=arrays, non_tensor_batch=dict(beside))])


class RewardManagerBase:
    """A stand-in for verl's class of that name."""


def standing_in() -> AbstractContextManager[None]:
    """Let `verl` be imported where it is not installed."""
    path = "verl.experimental.reward_loop.reward_manager.base"
    return stand_in_modules({path: {"RewardManagerBase": RewardManagerBase}})
