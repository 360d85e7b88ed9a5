"""Preference data: from scored candidates to pairs that deserve to be learned from."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plaudit.preferences.public import *  # noqa: F403

__all__ = [
    "Candidate",
    "Curriculum",
    "CurriculumOptions",
    "ExportOptions",
    "ExportSummary",
    "LengthBalance",
    "PairJob",
    "PairOptions",
    "PairReport",
    "PairSummary",
    "Preference",
    "ReadOptions",
    "SplitOptions",
    "Tally",
    "bradley_terry",
    "export_pairs",
    "make_pairs",
    "pair_file",
    "read_rewards",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import the public names when one is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'plaudit.preferences' has no attribute {name!r}")
    public = import_module("plaudit.preferences.public")
    globals().update({known: getattr(public, known) for known in __all__})
    return globals()[name]


def __dir__() -> list[str]:
    return [*globals(), *__all__]
