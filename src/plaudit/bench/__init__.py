"""Judges measured against people: labelled sets, and what is measured on them."""

from plaudit._util.public import lazy_names

_MODULES = {
    "counts": "plaudit.bench.metrics",
    "load_dataset": "plaudit.bench.datasets",
    "measure": "plaudit.bench.metrics",
    "outcome_of": "plaudit.bench.outcomes",
    "place_sides": "plaudit.bench.datasets",
    "polarity": "plaudit.judges.feedback",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
