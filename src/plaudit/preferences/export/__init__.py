"""Pairs, split and written in the format of a trainer."""

from plaudit.preferences.export.exporting import export_pairs
from plaudit.preferences.export.load import FORMATS
from plaudit.preferences.export.options import ExportOptions, ExportSummary

__all__ = ["FORMATS", "ExportOptions", "ExportSummary", "export_pairs"]
