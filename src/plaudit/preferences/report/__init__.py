"""What pairs are like, measured before they are learned from."""

from plaudit.preferences.report.collecting import PairReport
from plaudit.preferences.report.numbers import ReportNumbers
from plaudit.preferences.report.page import write_report

__all__ = ["PairReport", "ReportNumbers", "write_report"]
