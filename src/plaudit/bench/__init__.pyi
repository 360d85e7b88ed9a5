"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit.bench.sampling import draw_rows as draw_rows
from plaudit.bench.datasets import load_dataset as load_dataset
from plaudit.bench.figures import measure_outcomes as measure_outcomes
from plaudit.bench.scores import official_score as official_score
from plaudit.bench.outcomes import outcome_of as outcome_of
from plaudit.bench.outcomes import outcome_of_scores as outcome_of_scores
from plaudit.bench.outcomes import outcomes_of_file as outcomes_of_file
from plaudit.bench.figures import paired_differences as paired_differences
from plaudit.bench.datasets import place_sides as place_sides
from plaudit.judges.feedback import polarity as polarity
from plaudit.bench.replays import replay as replay

__all__ = [
    "draw_rows",
    "load_dataset",
    "measure_outcomes",
    "official_score",
    "outcome_of",
    "outcome_of_scores",
    "outcomes_of_file",
    "paired_differences",
    "place_sides",
    "polarity",
    "replay",
]
