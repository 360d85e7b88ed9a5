"""Pairs, split and written in the format of a trainer."""

from plaudit.preferences.export.exporting import ExportOptions, ExportSummary, export_pairs
from plaudit.preferences.export.formats import FORMATS

__all__ = ["FORMATS", "ExportOptions", "ExportSummary", "export_pairs"]
