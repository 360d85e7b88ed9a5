"""The plots of a report. Colour is never alone: markers, dashes and hatches say the same."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from plaudit._util.packages import load_package
from plaudit._util.pages import visible
from plaudit._util.pages.plots import CARD, GREY, GRID, SERIES, ZONE, svg
from plaudit.bench.report.cells import decimal, interval, method, shortened
from plaudit.bench.results import CoveragePoint, Figure, Histogram
from plaudit.scoring.calibration import Bin
from plaudit.scoring.diagram import draw_bin_counts, draw_reliability

MARKERS = "osD^vP"
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
HATCHES = ("", "////", "....", "xxxx", "----", "++++")
MOST_SERIES = len(SERIES)
"""Judges that one plot can hold."""
PRACTICAL = 0.05
"""Effects nearer to 0 than this count as none."""

_WIDTH = 3.6
"""Inches: so narrow that the text stays readable on a phone."""
_LABEL_LETTERS = 30
_LEGEND_LETTERS = 22


class Mark(NamedTuple):
    """A dot with its interval."""

    series: int
    figure: Figure
    baseline: bool = False
    """Grey, for what the others are compared with."""


class IntervalRow(NamedTuple):
    """Marks of one name, one below the other."""

    label: str
    marks: Sequence[Mark]


class Axis(NamedTuple):
    """The numbers of a plot of intervals."""

    title: str
    low: float | None = None
    high: float | None = None
    zero: float | None = None
    """Where a line says that there is no effect."""
    zone: float = 0.0
    """How far from there an effect counts as none."""


def plot_intervals(
    name: str, rows: Sequence[IntervalRow], axis: Axis, legend: Mapping[int, str], alt: str
) -> str:
    """Return dots with their intervals, a label above each; one mark a row has its numbers too.

    Args:
        name: of the plot.
        rows: from top to bottom.
        axis: the numbers.
        legend: the series' names; those with a single one need none. -1 is the baseline.
        alt: what is seen.
    """
    steps = sum(1.25 + 0.75 * len(row.marks) for row in rows)
    lines = math.ceil(len(legend) / 2) if len(legend) > 1 else 0
    height = 0.62 + 0.165 * steps + 0.19 * lines

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        _draw_zero(axes, axis)
        place = 0.0
        for row in rows:
            place = _draw_row(axes, row, place)
        axes.set_ylim(place + 0.2, -0.3)
        axes.set(yticks=[], xlabel=axis.title)
        axes.spines["left"].set_visible(False)
        if axis.low is not None:
            axes.set_xlim(axis.low, axis.high)
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        if lines:
            _draw_legend(figure, legend)

    return svg(name, draw, size=(_WIDTH, height), alt=alt)


def _draw_zero(axes: Any, axis: Axis) -> None:
    if axis.zero is None:
        return
    if axis.zone:
        axes.axvspan(axis.zero - axis.zone, axis.zero + axis.zone, color=ZONE, zorder=0)
    axes.axvline(axis.zero, color=GREY, linewidth=1, zorder=1)


def _draw_row(axes: Any, row: IntervalRow, place: float) -> float:
    """Draw a row from `place` downwards; return where the next begins."""
    back = {"facecolor": CARD, "edgecolor": "none", "pad": 0.8}
    ends = {"y": place + 0.45, "va": "center", "fontsize": 8.5, "bbox": back, "zorder": 1.5}
    transform = axes.get_yaxis_transform()  # x: share of the width
    label = visible(shortened(row.label, _LABEL_LETTERS))
    axes.text(0, s=label, ha="left", transform=transform, fontweight="bold", **ends)
    if len(row.marks) == 1:
        axes.text(1, s=_numbers(row.marks[0].figure), ha="right", transform=transform, **ends)
    place += 1.25
    for mark in row.marks:
        _draw_mark(axes, mark, place)
        place += 0.75
    return place


def _numbers(figure: Figure) -> str:
    if figure.value is None:
        return visible(shortened(f"none: {method(figure)}", 44))
    there = figure.low is not None
    return f"{decimal(figure.value)} {interval(figure)}" if there else decimal(figure.value)


def _draw_mark(axes: Any, mark: Mark, place: float) -> None:
    figure = mark.figure
    if figure.value is None:
        return
    color = GREY if mark.baseline else SERIES[mark.series % MOST_SERIES]
    shape = "|" if mark.baseline else MARKERS[mark.series % MOST_SERIES]
    sure = figure.low is not None and figure.high is not None
    if sure:
        axes.plot([figure.low, figure.high], [place, place], color=color, linewidth=1.6, zorder=2)
    axes.plot(
        [figure.value], [place], marker=shape, markersize=6, color=color, zorder=3,
        markerfacecolor=color if sure else "none", markeredgewidth=1.6, clip_on=False,
    )  # fmt: skip


def _draw_legend(figure: Any, legend: Mapping[int, str]) -> None:
    lines = load_package("matplotlib.lines", "stats")
    handles = [
        lines.Line2D(
            [], [], marker="|" if series < 0 else MARKERS[series % MOST_SERIES],
            color=GREY if series < 0 else SERIES[series % MOST_SERIES],
            label=visible(shortened(name, _LEGEND_LETTERS)), markersize=6, linewidth=1.6,
        )
        for series, name in legend.items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=8)


def plot_outcomes(name: str, arms: Sequence[tuple[str, Mapping[str, int]]], alt: str) -> str:
    """Return bars of what became of the samples, in shares, one bar a judge."""
    kinds = [kind for kind in arms[0][1] if any(counts[kind] for _, counts in arms)]
    height = 0.62 + 0.42 * len(arms) + 0.19 * math.ceil(len(kinds) / 3)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for place, (label, counts) in enumerate(arms):
            total, left = sum(counts.values()), 0.0
            for series, kind in enumerate(kinds):
                share = 100 * counts[kind] / total if total else 0
                axes.barh(
                    place, share, left=left, height=0.5, edgecolor=CARD, linewidth=0.4,
                    color=SERIES[series % MOST_SERIES], hatch=HATCHES[series % MOST_SERIES],
                    label=kind if place == 0 else None,
                )  # fmt: skip
                left += share
            text = visible(shortened(label, 2 * _LEGEND_LETTERS))
            axes.text(0, place - 0.28, text, va="bottom", fontsize=8.5, fontweight="bold")
        axes.set(xlim=(0, 100), ylim=(len(arms) - 0.7, -0.75), yticks=[], xlabel="samples, %")
        axes.spines["left"].set_visible(False)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8)

    return svg(name, draw, size=(_WIDTH, height), alt=alt)


def plot_reliability(name: str, bins: Sequence[Bin], color: int, alt: str) -> str:
    """Return confidence against the share that is right, and how many samples each bin has."""

    def draw(figure: Any) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        draw_reliability(upper, bins, SERIES[color % MOST_SERIES])
        draw_bin_counts(lower, bins, SERIES[color % MOST_SERIES])
        upper.set_ylabel("share that is right")
        lower.set_ylabel("samples")

    return svg(name, draw, size=(_WIDTH, 3.7), alt=alt)


def plot_coverage(
    name: str, curves: Sequence[tuple[int, str, Sequence[CoveragePoint]]], alt: str
) -> str:
    """Return what share is right of the samples that a gate keeps."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for series, label, points in curves:
            axes.plot(
                [one.coverage for one in points], [one.accuracy for one in points],
                color=SERIES[series % MOST_SERIES], linestyle=DASHES[series % MOST_SERIES],
                marker=MARKERS[series % MOST_SERIES], markersize=3.5, linewidth=1.4,
                markevery=max(1, len(points) // 12),
                label=visible(shortened(label, _LEGEND_LETTERS)),
            )  # fmt: skip
        axes.set(
            xlim=(0, 1.02), xlabel="coverage: share that is kept", ylabel="share that is right"
        )
        axes.set_ylim(top=1.02)
        axes.grid(color=GRID, linewidth=0.6)
        if len(curves) > 1:
            figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8)

    return svg(name, draw, size=(_WIDTH, 3.1 + 0.19 * math.ceil(len(curves) / 2)), alt=alt)


def plot_distributions(name: str, found: Sequence[Histogram], alt: str) -> str:
    """Return histograms over each other, each in shares of its own samples."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for series, one in enumerate(found):
            total, bins = sum(one.counts) or 1, len(one.counts)
            width = (one.high - one.low) / max(bins, 1)
            edges = [one.low + width * number for number in range(bins + 1)]
            axes.stairs(
                [100 * count / total for count in one.counts], edges, fill=True, alpha=0.25,
                color=SERIES[series % MOST_SERIES],
            )  # fmt: skip
            axes.stairs(
                [100 * count / total for count in one.counts], edges, linewidth=1.6,
                color=SERIES[series % MOST_SERIES], linestyle=DASHES[series % MOST_SERIES],
                label=visible(shortened(f"{one.name}, n = {sum(one.counts):,}", _LEGEND_LETTERS)),
            )  # fmt: skip
        axes.set(xlabel="score", ylabel="samples of the label, %")
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8)

    return svg(name, draw, size=(_WIDTH, 2.8), alt=alt)


class CostPoint(NamedTuple):
    """A judge in the plot of agreement against cost."""

    series: int
    rank: int
    label: str
    cost: float
    score: Figure


def plot_cost(name: str, points: Sequence[CostPoint], title: str, alt: str) -> str:
    """Return score against cost, with the ranks of the leaderboard beside the dots."""
    costs = [one.cost for one in points]
    wide = min(costs) > 0 and max(costs) > 20 * min(costs)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for one in points:
            _draw_point(axes, one)
        if wide:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("")
        else:
            axes.set_xlim(left=min(0, *costs) - 0.04 * max(costs), right=1.1 * max(costs))
        axes.margins(x=0.12, y=0.12)
        axes.set(xlabel=title + (" (logarithmic)" if wide else ""), ylabel="score")
        axes.grid(color=GRID, linewidth=0.6)
        if len(points) <= MOST_SERIES:
            figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8)

    return svg(name, draw, size=(_WIDTH, 3.1 + 0.19 * math.ceil(len(points) / 2)), alt=alt)


def _draw_point(axes: Any, one: CostPoint) -> None:
    score = one.score
    color = SERIES[one.series % MOST_SERIES]
    if score.low is not None and score.high is not None:
        axes.plot([one.cost, one.cost], [score.low, score.high], color=color, linewidth=1.4)
    axes.plot(
        [one.cost], [score.value], color=color, marker=MARKERS[one.series % MOST_SERIES],
        linestyle="none", markersize=7,
        label=visible(shortened(f"{one.rank}  {one.label}", _LEGEND_LETTERS)),
    )  # fmt: skip
    axes.annotate(
        str(one.rank), (one.cost, score.value), xytext=(7, 4), textcoords="offset points",
        fontsize=9, fontweight="bold",
    )  # fmt: skip
