"""Tokens a second from plain chats to ids and masks, beside the tokenizers library's encoding.

    scripts/bench masks [--chats 1000] [--ids 20000000] [--tokenizer FOLDER] [--json]

- chats: messages are rendered, made safe, encoded and masked (`tokenize_chats`). Chats are of some
  1,200 tokens in six turns, of words drawn from plaudit's own documents;
- alone: `Tokenizer.encode_batch` on the same texts, rendered before, all in one call; `ratio` is
  against it. `alone_fast` is `encode_batch_fast`, which keeps no offsets, and `ratio_fast` is
  against that;
- mask: `assistant_mask` on ids alone, laid end to end.

The tokenizer is made here, of byte-level BPE with 8,000 tokens and a ChatML template, where no
model's folder is given. Rounds alternate and are short, and medians are given, since shared
machines are noisy; a ratio is the median of the rounds' ratios. The last line is JSON.
"""

import argparse
import itertools
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from judge import ROOT
from throughput import machine
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from plaudit.engines.chat_template import ChatTemplate
from plaudit.rollouts.tokens.chats import tokenize_chats
from plaudit.rollouts.tokens.masks import assistant_mask, find_markers
from plaudit.rollouts.tokens.safe_template import SafeTemplate
from plaudit.rollouts.tokens.tokenizer import load_tokenizer

RESULTS = ROOT / "benchmarks" / "results" / "masks.json"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
Chat = list[dict[str, str]]


def documents() -> str:
    """Return plaudit's own documents."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def make_model(folder: Path, text: str) -> None:
    """Write a folder with a tokenizer and a chat template."""
    made = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, letters])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=8000, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([text], trainer)
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made.save(str(folder / "tokenizer.json"))
    config = {"chat_template": TEMPLATE, "eos_token": "<|im_end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def make_chats(count: int, text: str) -> list[Chat]:
    """Draw chats of some 1,200 tokens."""
    source, words = random.Random(0), re.findall(r"\S+", text)

    def draw(most: int) -> str:
        return " ".join(source.choices(words, k=source.randint(most // 2, most)))

    def chat() -> Chat:
        turns = [{"role": role, "content": draw(140)} for role in ("user", "assistant") * 3]
        return [{"role": "system", "content": draw(40)}, *turns]

    return [chat() for _ in range(count)]


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure_chats(folder: Path, chats: list[Chat], rounds: int) -> dict[str, Any]:
    """Measure rendering, encoding and masking together, and encoding alone."""
    tokenizer, template = load_tokenizer(folder), ChatTemplate.load(folder)
    safe = SafeTemplate(template, tokenizer)
    texts = [safe.render(safe.chat(chat)) for chat in chats]
    native = tokenizer.native
    total = sum(map(len, tokenizer.encode_batch(texts)))
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        alone = seconds(lambda: native.encode_batch(texts, add_special_tokens=False))
        whole = seconds(lambda: [*tokenize_chats(chats, tokenizer, template)])
        fast = seconds(lambda: native.encode_batch_fast(texts, add_special_tokens=False))
        times = {"chats": whole, "alone": alone, "alone_fast": fast}
        found.append({name: round(total / spent) for name, spent in times.items()})
        found[-1] |= {"ratio": alone / whole, "ratio_fast": fast / whole}
        print(found[-1], file=sys.stderr)
    medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {"tokens": total} | {name: round(value, 3) for name, value in medians.items()}


def measure_mask(folder: Path, chats: list[Chat], most: int, rounds: int) -> dict[str, Any]:
    """Measure masks from ids alone."""
    tokenizer, template = load_tokenizer(folder), ChatTemplate.load(folder)
    markers = find_markers(SafeTemplate(template, tokenizer), tokenizer)
    assert markers is not None
    once = [tokens.ids for tokens in tokenize_chats(chats, tokenizer, template)]
    lengths = list(map(len, once))
    flat = numpy.array(list(itertools.chain.from_iterable(once)), dtype=numpy.int32)
    times = max(1, most // len(flat))
    ids, lengths = numpy.tile(flat, times), lengths * times
    spent = [seconds(lambda: assistant_mask(ids, markers, lengths)) for _ in range(rounds)]
    return {"ids": len(ids), "mask": round(len(ids) / statistics.median(spent))}


def main() -> None:
    """Run what was asked for; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chats", type=int, default=1_000)
    parser.add_argument("--ids", type=int, default=20_000_000)
    parser.add_argument("--tokenizer", type=Path, help="a model's folder")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    text = documents()
    chats = make_chats(options.chats, text)
    with tempfile.TemporaryDirectory() as name:
        folder = options.tokenizer or Path(name)
        if folder == Path(name):
            make_model(folder, text)
        report = measure_chats(folder, chats, options.rounds)
        report |= measure_mask(folder, chats, options.ids, options.rounds)
    report["machine"] = machine()
    if not options.json:
        print(
            f"chats: {report['chats'] / 1e6:.2f} M tokens/s, encoding alone "
            f"{report['alone'] / 1e6:.2f} M/s; masks from ids: {report['mask'] / 1e6:.0f} M/s"
        )
    print(json.dumps(report))
    if options.write:
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
