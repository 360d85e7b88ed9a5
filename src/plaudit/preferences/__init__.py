"""Preference data: from scored candidates to pairs that deserve to be learned from."""

from plaudit._util.public import lazy_names

_MODULES = {
    "Candidate": "plaudit.preferences.types",
    "Curriculum": "plaudit.preferences.curriculum",
    "CurriculumOptions": "plaudit.preferences.curriculum",
    "ExportOptions": "plaudit.preferences.export",
    "ExportSummary": "plaudit.preferences.export",
    "LengthBalance": "plaudit.preferences.balance",
    "PairJob": "plaudit.preferences.files",
    "PairOptions": "plaudit.preferences.types",
    "PairReport": "plaudit.preferences.report",
    "PairSummary": "plaudit.preferences.files",
    "Preference": "plaudit.preferences.types",
    "ReadOptions": "plaudit.preferences.formats.base",
    "SplitOptions": "plaudit.preferences.split",
    "Tally": "plaudit.preferences.types",
    "bradley_terry": "plaudit.preferences.strengths",
    "export_pairs": "plaudit.preferences.export",
    "make_pairs": "plaudit.pairs",
    "pair_file": "plaudit.preferences.files",
    "read_rewards": "plaudit.preferences.curriculum_files",
    "write_report": "plaudit.preferences.report",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
