"""A model of 100,000 weights that was taught one habit: it searches, then answers.

Imported by the contract tests only: it needs torch and transformers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
START_ID, END_ID, PAD_ID = range(3)
PLACES = {"compass": "tent", "kettle": "sledge", "map": "hut", "rope": "boat"}
"""All that there is to be known: where things were found."""

Lesson = tuple[list[int], list[int]]
"""Ids of a whole chat, and a mask of what the model is to learn to say."""


def search(query: str) -> str:
    """Search the notes.

    Args:
        query: a thing.
    """
    place = PLACES.get(query)
    return "nothing was found" if place is None else f"the {query} was in the {place}"


def question(thing: str) -> str:
    return f"Where was the {thing}?"


def tokenizer_of(texts: Sequence[str], template: str) -> PreTrainedTokenizerFast:
    """Make a byte-level tokenizer, fitted to texts."""
    native = Tokenizer(models.BPE())
    native.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    native.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[START, END, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    native.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=native, eos_token=END, pad_token=PAD)
    tokenizer.chat_template = template
    return tokenizer


def lesson(tokenizer: Any, messages: Sequence[dict[str, Any]], tools: Sequence[Any]) -> Lesson:
    """Return a chat as ids; what the assistant says is to be learned, its end token included."""
    ids: list[int] = []
    mask: list[int] = []

    def read(count: int, prompt: bool, learned: int) -> None:
        text = tokenizer.apply_chat_template(
            messages[:count], tools=tools, tokenize=False, add_generation_prompt=prompt
        )
        whole = tokenizer.encode(text, add_special_tokens=False)
        assert whole[: len(ids)] == ids
        new = whole[len(ids) :]
        if learned:
            new = new[: new.index(END_ID) + 1]
        ids.extend(new)
        mask.extend([learned] * len(new))

    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            read(place, True, 0)
            read(place + 1, False, 1)
    return ids, mask


def taught(vocabulary: int, lessons: Sequence[Lesson], steps: int = 60) -> LlamaForCausalLM:
    """Make a model of two layers and fit it to lessons."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            bos_token_id=None,
            eos_token_id=END_ID,
            pad_token_id=PAD_ID,
            tie_word_embeddings=True,
        )
    )
    width = max(len(ids) for ids, _ in lessons)
    rows = [ids + [PAD_ID] * (width - len(ids)) for ids, _ in lessons]
    labels = [
        [i if learned else -100 for i, learned in zip(ids, mask, strict=True)]
        + [-100] * (width - len(ids))
        for ids, mask in lessons
    ]
    _fit(model, torch.tensor(rows), torch.tensor(labels), steps)
    return model


def _fit(model: Any, rows: Any, labels: Any, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(steps):
        model(input_ids=rows, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def save(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Write both as a folder that transformers loads."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
