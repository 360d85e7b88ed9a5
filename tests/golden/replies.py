"""Scripts for the judges: every reply can be read as JSON and by log-probabilities."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"

_ANALYSES = dict.fromkeys(
    ("analysis of A", "analysis of B", "reason of A=B", "reason of A>B", "reason of B>A"), "Words."
)
_POINTS = dict.fromkeys(("intent", "checklist", "strengths", "weaknesses"), "Some words.")
CRITERIA = [
    {"name": "right", "description": "Is everything that it says true?", "weight": 3},
    {"name": "short", "description": "Does it say no more than was asked?", "scale": [0, 4]},
]
_BY_CRITERIA: Mapping[str, dict[str, Any]] = {
    "pointwise": _POINTS | {"scores": {"right": 8, "short": 3}},
    "pairwise": _ANALYSES | {"choices": {"right": "A+", "short": "B+"}},
}
WORDS: Mapping[str, tuple[str, ...]] = {
    "feedback": (
        "praise", "correction", "next", "requirement", "confusion", "neutral", "unrelated",
    ),
    "pointwise": ("eight", "two", "five", "one", "three", "four", "six", "seven", "nine", "ten",
        "zero"),
    "pairwise": ("first", "second", "equal"),
    "verify": ("right", "wrong"),
}  # fmt: skip
JSON: Mapping[str, tuple[dict[str, Any], ...]] = {
    "feedback": (
        {"rationale": "The user says thanks.", "label": "pos_praise", "confidence": 0.9},
        {"rationale": "The user objects.", "label": "neg_correction", "confidence": 0.7},
        {"rationale": "The user objects.", "label": "neg_correction", "confidence": 0.4},
    ),
    "pointwise": tuple(_POINTS | {"score": score} for score in (8, 3, 6)),
    "pairwise": (
        _ANALYSES | {"choice": "A+"},
        _ANALYSES | {"choice": "B++"},
        _ANALYSES | {"choice": "A=B"},
    ),
    "verify": (
        {"reasoning": "It says the same.", "verdict": "correct", "confidence": 0.8},
        {"reasoning": "It says another thing.", "verdict": "incorrect", "confidence": 0.9},
        {"reasoning": "It says the same.", "verdict": "correct", "confidence": 0.6},
    ),
}


def rows(kind: str, count: int = 3) -> list[dict[str, Any]]:
    """Return the first rows of the judge's example file."""
    text = (EXAMPLES / f"{kind}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()[:count]]


def _reply(kind: str, number: int, first: float = 0.8) -> dict[str, Any]:
    words = WORDS[kind]
    order = [words[(number + n) % len(words)] for n in range(len(words))]
    chances = [first if n == 0 else (0.99 - first) / (len(words) - 1) for n in range(len(words))]
    logprobs = {
        " " + word: round(math.log(chance), 6) for word, chance in zip(order, chances, strict=True)
    }
    text = json.dumps(JSON[kind][number % len(JSON[kind])])
    return {"text": text, "logprobs": logprobs}


def script(kind: str) -> list[dict[str, Any]]:
    """Return a script: each of the first rows has replies of its own, by draw; so has the rest.

    The second order of a pair gets the opposite reply.
    """
    lines: list[dict[str, Any]] = []
    for n, row in enumerate(rows(kind)):
        match = {"sample_id": row["id"]}
        if kind == "pairwise":
            swapped = [_reply(kind, (1, 0, 2)[(n + k) % 3]) for k in (0, 0, 0, 1)]
            lines.append({"match": match | {"turn": "swapped"}, "replies": swapped})
        replies = [_reply(kind, (n + k) % 3) for k in (0, 0, 0, 1)]
        lines.append({"match": match, "replies": replies})
    if kind in _BY_CRITERIA:
        reply = _reply(kind, 0) | {"text": json.dumps(_BY_CRITERIA[kind])}
        lines.insert(0, {"match": {"contains": CRITERIA[1]["description"]}, "replies": [reply]})
    return [*lines, {"match": {}, "replies": [_reply(kind, 0, first=0.3)]}]
