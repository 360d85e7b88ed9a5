"""Tokens of a trace as a strip: which of them are learned from."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from plaudit.types import Json


class TokenRun(NamedTuple):
    """Tokens that follow each other and are alike."""

    trained: bool
    length: int
    start: int


class TokenStrip(NamedTuple):
    """Which tokens are learned from."""

    runs: list[TokenRun]
    total: int
    sampled: int
    prompt: int
    forks: int
    truncated: int
    exactness: str


def strip_of(tokens: Mapping[str, Json]) -> TokenStrip | None:
    """Return the strip of a trace's tokens; None where it has none."""
    mask = tokens.get("mask")
    if not isinstance(mask, list) or not mask:
        return None
    runs: list[TokenRun] = []
    sampled = [bool(one) for one in cast("list[Any]", mask)]
    start = 0
    for number in range(1, len(sampled) + 1):
        if number == len(sampled) or sampled[number] != sampled[start]:
            runs.append(TokenRun(sampled[start], number - start, start))
            start = number
    return TokenStrip(
        runs,
        len(sampled),
        sum(sampled),
        int(tokens.get("prompt_length") or 0),
        int(tokens.get("forks") or 0),
        int(tokens.get("truncated") or 0),
        str(tokens.get("exactness") or ""),
    )
