"""The plots of a report, as SVG that takes the page's colours."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from plaudit._util.packages import load_package
from plaudit.preferences.report.numbers import Distribution, LengthBin, Lengths, Weights

_CHOSEN, _REJECTED, _LINE = "#0d9488", "#c2691c", "#808080"
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _LINE,
    "axes.axisbelow": True,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
}
_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_NUMBERED = re.compile(r' id="[a-z]+[a-zA-Z0-9.]*_\d+"')
"""Ids that nothing refers to, and that are the same in every picture."""

Draw = Callable[[Any], None]


def margins(found: Distribution) -> str:
    """Return the histogram of margins."""
    return _svg("margins", lambda axes: _draw_histogram(axes, found, "margin"))


def differences(found: Lengths) -> str:
    """Return the histogram of differences in length, in two colours."""

    def draw(axes: Any) -> None:
        spread = found.difference
        bars = _draw_histogram(axes, spread, "characters of the chosen minus those of the rejected")
        for bar, edges in zip(bars, zip(spread.edges, spread.edges[1:], strict=False), strict=True):
            bar.set_facecolor(_CHOSEN if edges[0] >= 0 else _REJECTED)
        axes.axvline(0, color=_LINE, linewidth=1)

    return _svg("differences", draw)


def sides(bins: Sequence[LengthBin]) -> str:
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


def weights(found: Weights) -> str:
    """Return the share of the pairs that the heaviest examples have."""

    def draw(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], color=_LINE, linewidth=1, linestyle="--")
        axes.fill_between(range(101), [100 * y for y in found.curve], color=_CHOSEN, alpha=0.15)
        axes.plot(range(101), [100 * y for y in found.curve], color=_CHOSEN)
        axes.set(xlim=(0, 100), ylim=(0, 101))
        axes.set_xlabel("heaviest examples, %")
        axes.set_ylabel("pairs that they have, %")

    return _svg("weights", draw)


def gaps(found: Distribution) -> str:
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
    matplotlib = load_package("matplotlib", "stats")
    figures = load_package("matplotlib.figure", "stats")
    # The salt makes ids, which one page may not have twice, different from plot to plot.
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": f"plaudit-{name}"}):
        figure = figures.Figure(figsize=(6.2, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y", color=_LINE, alpha=0.25, linewidth=0.6)
        draw(axes)
        file = io.StringIO()
        none = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", transparent=True, metadata=none)
    return _cleaned(file.getvalue(), name)


def _cleaned(svg: str, name: str) -> str:
    svg = _METADATA.sub("", _PROLOGUE.sub("", svg, count=1))
    svg = _NUMBERED.sub("", svg)
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return f'{opening} role="img" aria-label="{name}">{rest}'
