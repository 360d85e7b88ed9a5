"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit.bench.metrics import counts as counts
from plaudit.bench.sampling import draw_rows as draw_rows
from plaudit.bench.datasets import load_dataset as load_dataset
from plaudit.bench.metrics import measure as measure
from plaudit.bench.outcomes import outcome_of as outcome_of
from plaudit.bench.scores import official_score as official_score
from plaudit.bench.datasets import place_sides as place_sides
from plaudit.judges.feedback import polarity as polarity
from plaudit.bench.replay import replay as replay

__all__ = [
    "counts",
    "draw_rows",
    "load_dataset",
    "measure",
    "outcome_of",
    "official_score",
    "place_sides",
    "polarity",
    "replay",
]
