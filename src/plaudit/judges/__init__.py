"""Judges: from a sample to a verdict. The public names are what a judge of your own needs."""

from plaudit._util.public import lazy_names

_MODULES = {
    "BaseJudge": "plaudit.judges.base",
    "EngineFacts": "plaudit.judges.config",
    "Option": "plaudit.judges.readout",
    "Reading": "plaudit.judges.verdict",
    "Untrusted": "plaudit.judges.kind",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
