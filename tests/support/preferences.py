"""Preference rows of our own making."""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from plaudit.preferences.types import Preference

CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "search", "arguments": '{"query": "hut", "k": 3}'},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}
LOOKED_UP = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "31 metres"},
    {"role": "assistant", "content": "31 metres."},
]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def pair(
    example_id: str | int = "e1",
    prompt: Any = "How high did the hut stand?",
    chosen: Any = "31 metres above the sea.",
    rejected: Any = "I cannot tell.",
    **fields: Any,
) -> Preference:
    given: dict[str, Any] = {
        "turn_id": 0,
        "chosen_score": 0.9,
        "chosen_index": 0,
        "rejected_score": 0.4,
        "rejected_index": 1,
        "num_candidates": 2,
        "margin": 0.5,
        "reward": 0.5,
    }
    texts = {"prompt": raw(prompt), "chosen": raw(chosen), "rejected": raw(rejected)}
    metadata = {name: raw(value) for name, value in fields.pop("metadata", {}).items()}
    return Preference(example_id=example_id, **texts, metadata=metadata, **(given | fields))


WORDS = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty"]


def question(number: int) -> str:
    """A question that is unlike all others."""
    said = " ".join(WORDS[(number * k + number // k) % len(WORDS)] for k in range(1, 9))
    return f"{number} {said}: which is {number * 7919}?"


def many(count: int, each: int = 2) -> list[Preference]:
    """Pairs of `count` examples, `each` of every one."""
    return [
        pair(f"e{n}", question(n), f"It is {n}.{k}.", f"I cannot tell {k}.", chosen_index=k)
        for n in range(count)
        for k in range(each)
    ]


def chat(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def write(path: Path, rows: Any) -> str:
    """Write rows, or lines as they are."""
    lines = [row if isinstance(row, bytes) else msgspec.json.encode(row) for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)
