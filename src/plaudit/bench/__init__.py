"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit._util.public import lazy_names

_MODULES = {
    "counts": "plaudit.bench.metrics",
    "draw_rows": "plaudit.bench.sampling",
    "load_dataset": "plaudit.bench.datasets",
    "measure": "plaudit.bench.metrics",
    "outcome_of": "plaudit.bench.outcomes",
    "official_score": "plaudit.bench.scores",
    "place_sides": "plaudit.bench.datasets",
    "polarity": "plaudit.judges.feedback",
    "replay": "plaudit.bench.replay",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
