"""Plots as inline SVG: the same bytes for the same data, in the colours of the page."""

import io
import re
import warnings
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from plaudit._util.packages import load_package
from plaudit._util.pages import visible

SERIES = ("#0067a5", "#c2410c", "#007a5a", "#a3447d", "#7a6400", "#5b6770")
"""Colours of judges or classes; each plot also gives them a marker, a dash or a hatch."""
GREY, GRID, ZONE, CARD = "#6b7478", "#d9d5cc", "#e9e5dc", "#fffffe"
LINE = "#808080"

_VARIABLES: Mapping[str, str] = {
    **{color: f"var(--c{number})" for number, color in enumerate(SERIES, 1)},
    GREY: "var(--soft)",
    GRID: "var(--line)",
    ZONE: "var(--zone)",
    CARD: "var(--card)",
    "#666666": "var(--soft)",  # these three: of `plaudit.scoring.diagram`
    "#999999": "var(--soft)",
    "#e5e5e5": "var(--line)",
}
"""Colours that the page sets, so that they suit a light and a dark screen."""

_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "svg.fonttype": "none",
    "axes.unicode_minus": True,
    "text.parse_math": False,
}
_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_NUMBERED = re.compile(r' id="[a-zA-Z]+[a-zA-Z0-9.]*_\d+"')
"""Ids that nothing refers to, and that are the same in every picture."""
_COLOR = re.compile("|".join(_VARIABLES))

Draw = Callable[[Any], None]


def svg(name: str, draw: Draw, *, size: tuple[float, float] = (6.2, 2.9), alt: str = "") -> str:
    """Return a plot as an `<svg>` element.

    Args:
        name: of letters, digits and hyphens; unique in the page, since ids are made of it.
        draw: is given the matplotlib figure. Text in it is no mathematics, whatever it holds.
        size: width and height in inches.
        alt: what a person hears who cannot see it; without it, the name.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = load_package("matplotlib", "stats")
    figures = load_package("matplotlib.figure", "stats")
    # The salt makes ids, which one page may not have twice, different from plot to plot.
    style = _STYLE | {"svg.hashsalt": f"plaudit-{name}"}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # The font lacks a letter; browsers have it.
        figure = figures.Figure(figsize=size, layout="constrained")
        draw(figure)
        file = io.StringIO()
        none = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(file, format="svg", transparent=True, metadata=none)
    return _cleaned(file.getvalue(), visible(alt or name))


def _cleaned(picture: str, alt: str) -> str:
    picture = _METADATA.sub("", _PROLOGUE.sub("", picture, count=1))
    picture = _COLOR.sub(lambda found: _VARIABLES[found[0]], _NUMBERED.sub("", picture))
    opening, rest = picture.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    return f'{opening} role="img" aria-label="{escape(alt)}">{rest}'
