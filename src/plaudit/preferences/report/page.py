"""A report as a page that stands alone, and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from plaudit._util.pages import render as render_page
from plaudit._util.pages.plots import LINE, Draw, svg
from plaudit.io.partial import write_json, write_whole
from plaudit.io.places import make_folder
from plaudit.preferences.report.numbers import (
    Distribution,
    LengthBin,
    Lengths,
    ReportNumbers,
    Weights,
)

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
    write_whole(path, page)
    return path


def render(numbers: ReportNumbers) -> str:
    """Return the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return render_page(
        "plaudit.preferences.report", _TEMPLATE, n=numbers, plots=_plots(numbers), ids=_shown
    )


def _plots(n: ReportNumbers) -> dict[str, str]:
    found: dict[str, str] = {}
    if n.margins is not None:
        found["margins"] = _plot_margins(n.margins)
    if n.lengths is not None:
        found["differences"] = _plot_differences(n.lengths)
        found["sides"] = _plot_sides(n.lengths.bins)
    if n.weights is not None:
        found["weights"] = _plot_weights(n.weights)
    if n.orders is not None:
        found["gaps"] = _plot_gaps(n.orders.gap)
    return found


def _shown(value: Any) -> str:
    """Return an id as JSON, so that the text "1" and the number 1 look different."""
    return msgspec.json.encode(value).decode()


_CHOSEN, _REJECTED = "#0d9488", "#c2691c"


def _plot_margins(found: Distribution) -> str:
    """Return the histogram of margins."""
    return _svg("margins", lambda axes: _draw_histogram(axes, found, "margin"))


def _plot_differences(found: Lengths) -> str:
    """Return the histogram of differences in length, in two colours."""

    def draw(axes: Any) -> None:
        spread = found.difference
        bars = _draw_histogram(axes, spread, "characters of the chosen minus those of the rejected")
        for bar, edges in zip(bars, zip(spread.edges, spread.edges[1:], strict=False), strict=True):
            bar.set_facecolor(_CHOSEN if edges[0] >= 0 else _REJECTED)
        axes.axvline(0, color=LINE, linewidth=1)

    return _svg("differences", draw)


def _plot_sides(bins: Sequence[LengthBin]) -> str:
    """Return, by difference in length, how often the longer and the shorter one is chosen."""

    def draw(axes: Any) -> None:
        places = range(len(bins))
        for shift, name, color in ((-0.2, "longer", _CHOSEN), (0.2, "shorter", _REJECTED)):
            axes.bar(
                [place + shift for place in places],
                [getattr(one, name) for one in bins],
                width=0.38,
                color=color,
                label=f"chosen is the {name}",
            )
        axes.set_xticks(list(places), [_range(one) for one in bins], rotation=35, ha="right")
        axes.set_xlabel("difference in characters")
        axes.set_ylabel("pairs")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)

    return _svg("sides", draw)


def _plot_weights(found: Weights) -> str:
    """Return the share of the pairs that the heaviest examples have."""

    def draw(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], color=LINE, linewidth=1, linestyle="--")
        axes.fill_between(range(101), [100 * y for y in found.curve], color=_CHOSEN, alpha=0.15)
        axes.plot(range(101), [100 * y for y in found.curve], color=_CHOSEN)
        axes.set(xlim=(0, 100), ylim=(0, 101))
        axes.set_xlabel("heaviest examples, %")
        axes.set_ylabel("pairs that they have, %")

    return _svg("weights", draw)


def _plot_gaps(found: Distribution) -> str:
    """Return the histogram of gaps between both orders."""
    return _svg("gaps", lambda axes: _draw_histogram(axes, found, "gap between the orders"))


def _range(one: LengthBin) -> str:
    return str(one.least) if one.least == one.most else f"{one.least:,}-{one.most:,}"


def _draw_histogram(axes: Any, found: Distribution, label: str) -> Any:
    total = sum(found.counts) or 1
    lefts, rights = found.edges[:-1], found.edges[1:]
    bars = axes.bar(
        lefts,
        [100 * count / total for count in found.counts],
        width=[right - left for left, right in zip(lefts, rights, strict=True)],
        align="edge",
        color=_CHOSEN,
        linewidth=0,
    )
    axes.set_xlabel(label)
    axes.set_ylabel("pairs, %")
    return bars


def _svg(name: str, draw: Draw) -> str:
    def draw_axes(figure: Any) -> None:
        axes = figure.subplots()
        axes.grid(axis="y", color=LINE, alpha=0.25, linewidth=0.6)
        draw(axes)

    return svg(name, draw_axes)
