"""The report card of judges: one page, the same as JSON, and the same as Markdown."""

from plaudit.bench.report.card import ReportCard, read_card
from plaudit.bench.report.writing import write_card

__all__ = ["ReportCard", "read_card", "write_card"]
