"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit._util.public import lazy_names

_MODULES = {
    "draw_rows": "plaudit.bench.sampling",
    "load_dataset": "plaudit.bench.datasets",
    "measure_outcomes": "plaudit.bench.figures",
    "official_score": "plaudit.bench.scores",
    "outcome_of": "plaudit.bench.outcomes",
    "outcome_of_scores": "plaudit.bench.outcomes",
    "outcomes_of_file": "plaudit.bench.outcomes",
    "paired_differences": "plaudit.bench.figures",
    "place_sides": "plaudit.bench.datasets",
    "polarity": "plaudit.judges.feedback",
    "replay": "plaudit.bench.replays",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
