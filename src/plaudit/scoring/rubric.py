"""Choosing criteria: those that raise agreement with people's choices, one after the other."""

import random
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

_LEVEL = 1e-9
"""Least difference between two scores that is one; what is less is rounding."""

Side = Literal["A", "B"]
Margin = float | None
"""By how much A's score exceeds B's; None where either could not be scored."""


class Step(msgspec.Struct, frozen=True):
    """One criterion that was kept, and what it added."""

    name: str
    accuracy: float
    """Share of the validation pairs that the criteria so far, this one included, get right."""
    gain: float
    """By how much that exceeds the criteria before it."""


def accuracy(margins: Sequence[Margin], labels: Sequence[Side]) -> float:
    """Return the share of pairs whose higher score is on the labelled side.

    A pair without a score, and a pair with level scores, is not right.
    """
    return sum(map(is_right, margins, labels)) / len(labels)


def is_right(margin: Margin, label: Side) -> bool:
    """Return whether a margin is on the labelled side."""
    if margin is None or abs(margin) < _LEVEL:
        return False
    return (margin > 0) == (label == "A")


def mean_margins(columns: Sequence[Sequence[Margin]]) -> list[Margin]:
    """Average several criteria, pair by pair; None where one of them has no score."""
    return [
        None if None in row else sum(x for x in row if x is not None) / len(row)
        for row in zip(*columns, strict=True)
    ]


def choose(
    start: str, margins: Mapping[str, Sequence[Margin]], labels: Sequence[Side]
) -> list[Step]:
    """Add the criterion that raises accuracy the most, again and again, until none does.

    Args:
        start: the criterion that the others must improve on; it is the first step.
        margins: by criterion, one number a pair. Of two that raise it alike, the first is taken.
        labels: the side that people preferred, one a pair, at least one.
    """
    best = accuracy(margins[start], labels)
    steps = [Step(start, best, best)]
    while True:
        kept = [margins[step.name] for step in steps]
        left = [name for name in margins if name not in {step.name for step in steps}]
        tried = {n: accuracy(mean_margins([*kept, margins[n]]), labels) for n in left}
        name = max(tried, key=tried.__getitem__, default=start)
        if tried.get(name, 0.0) <= best:
            return steps
        steps.append(Step(name, tried[name], tried[name] - best))
        best = tried[name]


def split(count: int, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Split positions at random into thirds: to propose from, to choose on, to report on."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    third = count // 3
    return sorted(order[:third]), sorted(order[third : 2 * third]), sorted(order[2 * third :])
