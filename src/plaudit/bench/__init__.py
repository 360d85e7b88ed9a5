"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit._util.public import lazy_names

_MODULES = {
    "load_dataset": "plaudit.bench.datasets",
    "measure_outcomes": "plaudit.bench.figures",
    "outcome_of": "plaudit.bench.outcomes",
    "outcome_of_scores": "plaudit.bench.outcomes",
    "outcomes_of_file": "plaudit.bench.outcomes",
    "paired_differences": "plaudit.bench.figures",
    "place_sides": "plaudit.bench.datasets",
    "polarity": "plaudit.judges.feedback",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
