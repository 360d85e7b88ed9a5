"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit.bench.metrics import counts as counts
from plaudit.bench.datasets import load_dataset as load_dataset
from plaudit.bench.metrics import measure as measure
from plaudit.bench.outcomes import outcome_of as outcome_of
from plaudit.bench.datasets import place_sides as place_sides
from plaudit.judges.feedback import polarity as polarity

__all__ = [
    "counts",
    "load_dataset",
    "measure",
    "outcome_of",
    "place_sides",
    "polarity",
]
