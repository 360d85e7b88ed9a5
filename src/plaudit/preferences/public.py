"""What users need of preferences; imported when one of these names is first used."""

from plaudit.preferences.balance import LengthBalance
from plaudit.preferences.candidate import Candidate
from plaudit.preferences.curriculum import Curriculum, CurriculumOptions
from plaudit.preferences.export import ExportOptions, ExportSummary, export_pairs
from plaudit.preferences.files import PairJob, PairSummary, pair_file
from plaudit.preferences.formats.base import ReadOptions
from plaudit.preferences.making import make_pairs
from plaudit.preferences.options import PairOptions
from plaudit.preferences.preference import Preference
from plaudit.preferences.report import PairReport, write_report
from plaudit.preferences.scored_rows import read_rewards
from plaudit.preferences.split import SplitOptions
from plaudit.preferences.strengths import bradley_terry
from plaudit.preferences.tally import Tally

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
