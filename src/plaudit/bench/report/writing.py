"""The files of a report."""

from pathlib import Path

from plaudit._util.pages import render as render_page
from plaudit.bench.report.card import ReportCard
from plaudit.bench.report.document import ReportText
from plaudit.bench.report.markdown import as_markdown
from plaudit.bench.report.sections import compose
from plaudit.io.partial import write_json, write_whole
from plaudit.io.places import make_folder

PAGE, DATA, MARKDOWN = "report.html", "report.json", "report.md"


def write_card(card: ReportCard, folder: str | Path) -> Path:
    """Write `report.html`, `report.json` and `report.md`; the same bytes for the same results.

    The page needs nothing from elsewhere and runs no script. Text of samples is shown as text,
    whatever is in it.

    Args:
        card: the results.
        folder: is made where it is not there, but not what it lies in; other files in it stay.

    Returns:
        The page.

    Raises:
        UsageError: the folder cannot be made.
        StoreError: a file cannot be written.
        MissingDependencyError: matplotlib or SciPy is not installed.
    """
    report = compose(card)
    page, markdown = as_page(report), as_markdown(report)
    place = make_folder(folder)
    write_json(place / DATA, card)
    write_whole(place / MARKDOWN, markdown.encode())
    write_whole(place / PAGE, page.encode())
    return place / PAGE


def as_page(report: ReportText) -> str:
    """Return the report as a page."""
    return render_page("plaudit.bench.report", "page.html.jinja", report=report)
