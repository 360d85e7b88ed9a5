"""A report as a page that stands alone, and as JSON."""

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util import disk
from plaudit.io.partial import PartialFile, write_json
from plaudit.io.places import make_folder
from plaudit.preferences.report import plots
from plaudit.preferences.report.numbers import Count, ReportNumbers

PAGE = "report.html"
NUMBERS = "report.json"

_TEMPLATE = "page.html.jinja"


def write_report(numbers: ReportNumbers, folder: str | Path) -> Path:
    """Write `report.html` and `report.json`; the same bytes for the same numbers.

    The page needs nothing from elsewhere and runs no script. Text of samples is shown as text,
    whatever is in it.

    Args:
        numbers: what was measured.
        folder: is made where it is not there, but not what it lies in.

    Returns:
        The page.

    Raises:
        UsageError: the folder cannot be made.
        StoreError: a file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    page = render(numbers).encode()
    place = make_folder(folder)
    write_json(place / NUMBERS, numbers)
    path = place / PAGE
    try:
        partial = PartialFile(path)
        try:
            partial.file.write(page)
            partial.commit()
        finally:
            partial.abort()
    except OSError as error:
        raise disk.output_error(path, error) from error
    return path


def render(numbers: ReportNumbers) -> str:
    """Return the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from jinja2 import Environment, StrictUndefined  # slow, and for reports only

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=_count, about=_about, percent=_percent, number=_number, shown=_shown
    )
    text = (
        resources.files("plaudit.preferences.report")
        .joinpath(_TEMPLATE)
        .read_text(encoding="utf-8")
    )
    return environment.from_string(text).render(n=numbers, plots=_plots(numbers))


def _plots(n: ReportNumbers) -> dict[str, str]:
    found: dict[str, str] = {}
    if n.margins is not None:
        found["margins"] = plots.margins(n.margins)
    if n.lengths is not None:
        found["differences"] = plots.differences(n.lengths)
        found["sides"] = plots.sides(n.lengths.bins)
    if n.weights is not None:
        found["weights"] = plots.weights(n.weights)
    if n.orders is not None:
        found["gaps"] = plots.gaps(n.orders.gap)
    return found


def _count(value: int) -> str:
    return f"{value:,}"


def _about(value: Count) -> str:
    return f"{value.value:,}" if value.exact else f"about {value.value:,}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _number(value: float) -> str:
    """Return a number with four digits, and whole ones below a million as they are."""
    if abs(value) < 1e6 and value == round(value):
        return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")
    return f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")


def _shown(value: Any) -> str:
    """Return an id as JSON, so that the text "1" and the number 1 look different."""
    return msgspec.json.encode(value).decode()
