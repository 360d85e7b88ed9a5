"""What is measured of pairs, as data."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from plaudit.preferences.types import Id, Tally
from plaudit.scoring.stats import Estimate

SCHEMA = 1

Bias = Literal["longer", "shorter", "slight", "none", "unknown"]
"""Which responses are chosen more often. `slight`: a share that is not chance, but too near to one
half to matter; `unknown`: no two lengths differ."""


class Count(msgspec.Struct, frozen=True):
    """A number of different things."""

    value: int
    exact: bool = True
    """True: all are counted."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How one number a pair is spread."""

    mean: float
    least: float
    most: float
    quantiles: dict[str, float]
    """By percent: 1, 5, 25, 50, 75, 95, 99."""
    edges: Sequence[float]
    """Of the histogram, one more than `counts`; from the 1st to the 99th percentile where `cut`."""
    counts: Sequence[int]
    cut: bool
    """Whether what lies outside of the edges is left out."""
    drawn: None = None
    """None: quantiles and histogram are of all pairs."""


class LengthBin(msgspec.Struct, frozen=True):
    """Pairs whose lengths differ by `least` to `most` characters."""

    least: int
    most: int
    longer: int
    """Of them, those whose chosen response is the longer."""
    shorter: int


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """Characters of the chosen response against those of the rejected."""

    chosen_mean: float
    rejected_mean: float
    longer: int
    """Pairs whose chosen response is the longer."""
    shorter: int
    equal: int
    longer_share: Estimate | None
    """Of the pairs whose lengths differ; the interval is over examples, since the pairs of one
    example are alike. None where there are none."""
    difference: Distribution
    """Chosen minus rejected."""
    bins: Sequence[LengthBin]
    correlation: float | None
    """Of margin and difference (Pearson), -1 to 1; None where one of them never changes."""
    bias: Bias
    statement: str
    """The same in a sentence or two."""


class Duplicates(msgspec.Struct, frozen=True, kw_only=True):
    """What occurs more than once."""

    repeated_pairs: Count
    """Pairs whose prompt and responses are those of an earlier one."""
    prompts: Count
    shared_prompts: Count
    """Prompts of more than one example: a split by example does not keep them apart."""


class HeavyExample(msgspec.Struct, frozen=True):
    """An example with many pairs."""

    example_id: Id
    pairs: int
    most: int
    """The same number."""


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs per example: each is a vote on what the model learns."""

    examples: Count
    mean: float
    quantiles: dict[str, float]
    """Of pairs per example, by percent: 25, 50, 75, 95, 99, 100."""
    top_share: float
    """Share of all pairs that the heaviest 1 % of the examples have (at least one example)."""
    gini: float
    """0 (each example has as many) to 1 (one has all)."""
    curve: Sequence[float]
    """Share of the pairs that the heaviest 0 %, 1 %, ... 100 % of the examples have."""
    exact: bool = True
    """True: all examples are counted."""
    heaviest: Sequence[HeavyExample]


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs whose judge was asked in both orders."""

    pairs: int
    agree: int
    """Of `reported`, those whose two orders gave the same answer."""
    reported: int
    """Pairs whose metadata has both answers."""
    gap: Distribution
    """Difference of the probability that a response is better, between the orders: 0 to 1."""


class ShownPair(msgspec.Struct, frozen=True, kw_only=True):
    """A pair, drawn at random, for people to look at."""

    example_id: Id
    turn_id: Id
    margin: float | None
    prompt: str
    chosen: str
    rejected: str
    chosen_length: int
    rejected_length: int


class ReportNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """All that is measured; written as `report.json`."""

    pairs: int
    seed: int
    margins: Distribution | None
    """None: no pair has a margin. The following are None where there are no pairs."""
    lengths: Lengths | None
    duplicates: Duplicates | None
    weights: Weights | None
    orders: Orders | None
    """None where no pair was judged in both orders."""
    tally: Tally | None
    shown: Sequence[ShownPair]
    schema: int = SCHEMA
