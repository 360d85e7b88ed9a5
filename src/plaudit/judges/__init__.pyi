"""Judges: from a sample to a verdict. The public names are what a judge of your own needs."""

from plaudit.judges.base import BaseJudge as BaseJudge
from plaudit.judges.config import EngineFacts as EngineFacts
from plaudit.judges.readout import Option as Option
from plaudit.judges.verdict import Reading as Reading
from plaudit.judges.kind import Untrusted as Untrusted

__all__ = [
    "BaseJudge",
    "EngineFacts",
    "Option",
    "Reading",
    "Untrusted",
]
