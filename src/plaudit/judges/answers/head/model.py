"""The answer head: P(correct) of an answer beside its references, from boosted trees.

Gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451) over the numbers that
`plaudit.judges.answers.head.features` measures, then Platt scaling (Platt 1999). One forest knows
human verdicts alone, another one answers made to cheat as well: an answer is as likely to be right
as the stricter of the two finds it. `scripts/bench answer_head` fitted both; the weights ship as
JSON, are read on first use, and need no NumPy.
"""

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from importlib import resources
from itertools import accumulate, islice
from struct import Struct
from typing import Literal

import msgspec

from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.head.features import measure

_WEIGHTS = resources.files("plaudit.scoring") / "heads" / "answers.json"
_UNREADABLE = 0.5
"""P(correct) where no reference holds a word: nothing is known."""
_LARGE = 700.0
"""Whose exponential is still a number."""
MOST_LEAVES = 16
"""Leaves of a tree, at most."""


class Tree(msgspec.Struct, frozen=True, array_like=True):
    """A regression tree in preorder: the left child of a node is the next one."""

    feature: list[int]
    """Per node the position of the feature that it asks for; -1: a leaf."""
    value: list[float]
    """The threshold up to which a node goes left, or the log-odds that a leaf adds."""
    right: list[int]
    """Per node the position of its right child; 0 for a leaf."""

    def cuts(self) -> Iterator[tuple[int, float, int]]:
        """Yield each node's feature, threshold and the leaves on its left, as bits of an integer.

        Leaves count from 0, from left to right.
        """
        before = list(accumulate((asked < 0 for asked in self.feature), initial=0))
        for node, asked in enumerate(self.feature):
            if asked >= 0:
                left = (1 << before[self.right[node]]) - (1 << before[node + 1])
                yield asked, self.value[node], left

    def leaves(self) -> list[float]:
        """Return what the leaves add, from left to right."""
        return [v for asked, v in zip(self.feature, self.value, strict=True) if asked < 0]


class Forest(msgspec.Struct, frozen=True, kw_only=True):
    """Boosted trees, and the line that makes log-odds of being right of their sum."""

    bias: float
    trees: list[Tree]
    slope: float
    intercept: float


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A fitted answer head. Plain data, shipped as JSON."""

    features: list[str]
    """Names of the features, in order."""
    forests: list[Forest]
    """Fitted on human verdicts alone, and on answers made to cheat as well; both must agree."""
    slope: float
    """Of the calibration: P = 1 / (1 + exp(-(slope * log-odds + intercept)))."""
    intercept: float
    gate_correct: float
    """P(correct) from which an answer is called correct."""
    gate_incorrect: float
    """P(correct) up to which an answer is called incorrect."""
    cap: float
    """Greatest P(correct) of an answer that contradicts or takes back; under `gate_correct`."""
    floor: float
    """Least P(correct) of an answer that may be right in other words; over `gate_incorrect`."""
    questions: int
    verdicts: int
    """Human verdicts that it was fitted on and calibrated by."""

    @cached_property
    def _scorer(self) -> "_Scorer":
        return _Scorer(self.forests)

    def log_odds(self, values: Sequence[float]) -> float:
        """Return the lowest log-odds of any forest, before calibration."""
        return self._scorer.lowest(values)

    def calibrated(self, log_odds: float) -> float:
        """Return the measured chance of being right."""
        score = self.slope * log_odds + self.intercept
        return 1 / (1 + math.exp(-min(max(score, -_LARGE), _LARGE)))


class _Scorer:
    """Forests laid out so that each feature is looked at once (QuickScorer, Lucchese et al. 2015).

    A tree has 16 bits of one integer, a bit a leaf. A value above a threshold rules out the leaves
    on that node's left; the lowest leaf that is left is the one that the tree comes to.
    """

    def __init__(self, forests: Sequence[Forest]) -> None:
        self._forests = forests
        trees = [tree for forest in forests for tree in forest.trees]
        ruled_out: dict[int, dict[float, int]] = {}
        for place, tree in enumerate(trees):
            for asked, threshold, left in tree.cuts():
                at = ruled_out.setdefault(asked, {})
                at[threshold] = at.get(threshold, 0) | left << MOST_LEAVES * place
        self._features = [(asked, *_summed(at)) for asked, at in sorted(ruled_out.items())]
        self._leaves = [{1 << n: v for n, v in enumerate(tree.leaves())} for tree in trees]
        self._all = (1 << MOST_LEAVES * len(trees)) - 1
        self._parts = Struct(f"<{len(trees)}H")

    def lowest(self, values: Sequence[float]) -> float:
        """Return the lowest log-odds that any forest gives."""
        out = 0
        for asked, thresholds, ruled_out in self._features:
            out |= ruled_out[bisect_left(thresholds, values[asked])]
        parts = self._parts.unpack((self._all ^ out).to_bytes(self._parts.size, "little"))
        added = iter([leaf[bits & -bits] for leaf, bits in zip(self._leaves, parts, strict=True)])
        return min(
            forest.slope * (forest.bias + sum(islice(added, len(forest.trees)))) + forest.intercept
            for forest in self._forests
        )


def _summed(ruled_out: dict[float, int]) -> tuple[list[float], list[int]]:
    """Return the thresholds in order, and the leaves that the first 0, 1, 2, ... rule out."""
    thresholds = sorted(ruled_out)
    return thresholds, list(accumulate((ruled_out[t] for t in thresholds), int.__or__, initial=0))


def probability(case: AnswerCase, found: Extracted) -> float:
    """Return the calibrated P(correct), 0 to 1, of an answer. Takes any text and never raises."""
    measured = measure(case, found)
    if not measured.comparable:
        return _UNREADABLE
    head = load_head()
    chance = head.calibrated(head.log_odds(measured.values))
    if measured.unknown:
        chance = max(chance, head.floor)
    return min(chance, head.cap) if measured.objection else chance


def decide(chance: float) -> Literal["correct", "incorrect"] | None:
    """Return what a P(correct) decides; None between the gates."""
    head = load_head()
    if chance >= head.gate_correct:
        return "correct"
    return "incorrect" if chance <= head.gate_incorrect else None


@cache
def load_head() -> AnswerHead:
    """Return the shipped weights."""
    return msgspec.json.decode(_WEIGHTS.read_bytes(), type=AnswerHead)


@cache
def digest() -> str:
    """Return the SHA-256 of the shipped weights, in hexadecimal digits."""
    return hashlib.sha256(_WEIGHTS.read_bytes()).hexdigest()
