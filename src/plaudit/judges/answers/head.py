"""The answer head: P(correct) of an answer beside its references, from boosted trees.

Gradient-boosted trees (Friedman 2001, doi:10.1214/aos/1013203451) over the numbers that
`plaudit.judges.answers.features` measures, then Platt scaling (Platt 1999). One forest knows human
verdicts alone, another one answers made to cheat as well: an answer is as likely to be right as the
stricter of the two finds it. All were fitted by
`scripts/bench answer_head`; the weights ship as JSON, are read on first use, and need no NumPy.
"""

import hashlib
import math
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal

import msgspec

from plaudit.judges.answers.base import AnswerCase, Extracted
from plaudit.judges.answers.features import measure

_WEIGHTS = resources.files("plaudit.scoring") / "heads" / "answers.json"
_UNREADABLE = 0.5
"""P(correct) where no reference holds a word: nothing is known."""
_LARGE = 700.0
"""Whose exponential is still a number."""


_Node = tuple[int, float, Any, Any]
"""The feature that a node asks for or -1 for a leaf, its value, and its children as nodes."""


class Tree(msgspec.Struct, frozen=True, array_like=True):
    """A regression tree in preorder: the left child of a node is the next one."""

    feature: list[int]
    """Per node the position of the feature that it asks for; -1: a leaf."""
    value: list[float]
    """The threshold up to which a node goes left, or the log-odds that a leaf adds."""
    right: list[int]
    """Per node the position of its right child; 0 for a leaf."""

    def root(self) -> _Node:
        """Return the tree as nested nodes, which are faster to walk than lists."""
        made: dict[int, _Node] = {}
        for n in range(len(self.feature) - 1, -1, -1):
            is_leaf = self.feature[n] < 0
            children = (None, None) if is_leaf else (made[n + 1], made[self.right[n]])
            made[n] = (self.feature[n], self.value[n], *children)
        return made[0]


class Forest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Boosted trees, and the line that makes log-odds of being right of their sum."""

    bias: float
    trees: list[Tree]
    slope: float
    intercept: float

    @cached_property
    def _roots(self) -> list[_Node]:
        return [tree.root() for tree in self.trees]

    def log_odds(self, values: tuple[float, ...]) -> float:
        """Return the log-odds of an answer's being right."""
        total = 0.0
        for asked, value, left, right in self._roots:
            while asked >= 0:
                asked, value, left, right = left if values[asked] <= value else right  # noqa: PLW2901
            total += value
        return self.slope * (self.bias + total) + self.intercept


class Head(msgspec.Struct, frozen=True, kw_only=True):
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

    def log_odds(self, values: tuple[float, ...]) -> float:
        """Return the lowest log-odds of any forest, before calibration."""
        return min(forest.log_odds(values) for forest in self.forests)

    def calibrated(self, log_odds: float) -> float:
        """Return the measured chance of being right."""
        score = self.slope * log_odds + self.intercept
        return 1 / (1 + math.exp(-min(max(score, -_LARGE), _LARGE)))


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
def load_head() -> Head:
    """Return the shipped weights."""
    return msgspec.json.decode(_WEIGHTS.read_bytes(), type=Head)


@cache
def digest() -> str:
    """Return the SHA-256 of the shipped weights, in hexadecimal digits."""
    return hashlib.sha256(_WEIGHTS.read_bytes()).hexdigest()
