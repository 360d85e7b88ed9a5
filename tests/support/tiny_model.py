"""A model of a few thousand weights that was taught one habit: it searches, then answers.

Imported by the contract tests only: it needs torch and transformers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{{ call.function | tojson }}
</tool_call>
{%- endfor -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def tokenizer_of(texts: Sequence[str], size: int = 400) -> PreTrainedTokenizerFast:
    """Make a byte-level tokenizer with a chat template, fitted to texts."""
    native = Tokenizer(models.BPE())
    native.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    native.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[START, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    native.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=native, eos_token=END, pad_token=PAD)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def model_of(vocabulary: int, seed: int = 0) -> LlamaForCausalLM:
    """Make a model of two layers with random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=2,
            tie_word_embeddings=True,
        )
    )


def teach(model: Any, sequences: Sequence[tuple[list[int], list[int]]], steps: int) -> float:
    """Fit a model to ids, where their mask is 1; return the last loss, in nats a token."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    width = max(len(ids) for ids, _ in sequences)
    rows = torch.tensor([ids + [2] * (width - len(ids)) for ids, _ in sequences])
    labels = torch.tensor(
        [
            [i if m else -100 for i, m in zip(ids, mask, strict=True)] + [-100] * (width - len(ids))
            for ids, mask in sequences
        ]
    )
    model.train()
    loss = torch.zeros(())
    for _ in range(steps):
        loss = model(input_ids=rows, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return float(loss)


def save(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Write both as a folder that transformers loads."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
