"""Preference data: from scored candidates to pairs that deserve to be learned from."""

from plaudit.preferences.types import Candidate as Candidate
from plaudit.preferences.curriculum import Curriculum as Curriculum
from plaudit.preferences.curriculum import CurriculumOptions as CurriculumOptions
from plaudit.preferences.export import ExportOptions as ExportOptions
from plaudit.preferences.export import ExportSummary as ExportSummary
from plaudit.preferences.balance import LengthBalance as LengthBalance
from plaudit.preferences.files import PairJob as PairJob
from plaudit.preferences.types import PairOptions as PairOptions
from plaudit.preferences.report import PairReport as PairReport
from plaudit.preferences.files import PairSummary as PairSummary
from plaudit.preferences.types import Preference as Preference
from plaudit.preferences.formats.base import ReadOptions as ReadOptions
from plaudit.preferences.split import SplitOptions as SplitOptions
from plaudit.preferences.types import Tally as Tally
from plaudit.preferences.strengths import bradley_terry as bradley_terry
from plaudit.preferences.export import export_pairs as export_pairs
from plaudit.pairs import make_pairs as make_pairs
from plaudit.preferences.files import pair_file as pair_file
from plaudit.preferences.curriculum_files import read_rewards as read_rewards
from plaudit.preferences.report import write_report as write_report

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
