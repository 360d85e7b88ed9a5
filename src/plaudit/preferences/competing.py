"""Candidates that can be in a pair, and a pair of them."""

from collections.abc import Sequence
from typing import NamedTuple

from plaudit.preferences.candidate import Candidate

Pick = tuple[float, int, int, int, int]
"""The margin, negative so that the widest comes first; the chosen and the rejected candidate's
index; and their places in `Turn.candidates`."""


class Competing(NamedTuple):
    """Candidates that can be in a pair: a list for each of their properties, which is fast."""

    candidates: Sequence[Candidate]
    numbers: list[int]
    scores: list[float]
    texts: list[bytes]
