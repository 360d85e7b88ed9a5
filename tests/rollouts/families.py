"""Small models' folders of our own making, in the published form of four model families.

A folder holds a `tokenizer.json` trained on a few sentences, with the family's kind of tokenizer
and its special tokens, and a chat template that writes what the family's own writes.
"""

import datetime
import json
from pathlib import Path

import msgspec
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from plaudit.rollouts.tokens.rendering import Renderer, load_renderer

TEMPLATES = Path(__file__).parent / "templates"
TEXT = (
    "The keeper of the lighthouse wrote down the weather every evening at six.",
    "Rain fell on the harbour; the boats came home early, and nobody complained.",
    'A call is written as {"name": "search", "arguments": {"query": "harbour", "k": 2}}.',
    "user system assistant model tool think answer search results, by line:\n\n1. one\n2. two",
    "Der Leuchtturm steht noch. Grüße! 灯台は丘の上にある。",
)
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Family(msgspec.Struct, frozen=True):
    name: str
    control: tuple[str, ...]
    marks: tuple[str, ...] = ()
    """Tokens of their own that are not special, as the family's tokenizer lists them."""
    bos: str = ""
    eos: str = ""
    bytes_spelled: bool = False
    """Whether bytes are tokens such as `<0x0A>` (sentencepiece) instead of letters (byte level)."""


LLAMA3 = Family(
    "llama3",
    (
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
    ),
    bos="<|begin_of_text|>",
    eos="<|eot_id|>",
)
QWEN3 = Family(
    "qwen3",
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
    eos="<|im_end|>",
)
MISTRAL = Family(
    "mistral",
    (
        "<unk>",
        "<s>",
        "</s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "[TOOL_CALLS]",
    ),
    bos="<s>",
    eos="</s>",
    bytes_spelled=True,
)
GEMMA = Family(
    "gemma",
    ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
    ("\n\n", "\n\n\n", "▁▁", "▁▁▁", "<table>", "</table>"),
    bos="<bos>",
    eos="<eos>",
    bytes_spelled=True,
)
FAMILIES = (LLAMA3, QWEN3, MISTRAL, GEMMA)
DAY = datetime.datetime(2026, 3, 1)

_made: dict[str, Path] = {}


def folder_of(family: Family, factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a family's model, written on first use."""
    if family.name not in _made:
        _made[family.name] = make(family, factory.mktemp(family.name))
    return _made[family.name]


def renderer_of(family: Family, factory: pytest.TempPathFactory) -> Renderer:
    """Return what renders for a family's model."""
    return load_renderer(folder_of(family, factory), DAY)


def make(family: Family, folder: Path) -> Path:
    """Write the folder of a family's model."""
    source = (TEMPLATES / f"{family.name}.jinja").read_text(encoding="utf-8")
    return make_with(family, folder, source)


def make_with(family: Family, folder: Path, source: str) -> Path:
    """Write the folder of a family's model with another chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(family).save(str(folder / "tokenizer.json"))
    config = {
        "chat_template": source,
        "bos_token": family.bos or None,
        "eos_token": {"content": family.eos, "special": True},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _tokenizer(family: Family) -> Tokenizer:
    made = _spelled(family) if family.bytes_spelled else _byte_level()
    made.add_special_tokens([AddedToken(text, normalized=False) for text in family.control])
    made.add_tokens([AddedToken(text, normalized=False) for text in family.marks])
    return made


def _byte_level() -> Tokenizer:
    made = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_SPLIT), "isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, letters])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXT, BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    return made


def _spelled(family: Family) -> Tokenizer:
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if family is GEMMA:
        made.normalizer = normalizers.Replace(" ", "▁")
        made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    made.train_from_iterator(
        TEXT, BpeTrainer(vocab_size=200, limit_alphabet=60, show_progress=False)
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    whole = json.loads(made.to_str())
    vocabulary = whole["model"]["vocab"]
    for text in (*family.control, *(f"<0x{byte:02X}>" for byte in range(256))):
        vocabulary.setdefault(text, len(vocabulary))
    return Tokenizer.from_str(json.dumps(whole))
