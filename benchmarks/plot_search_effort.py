"""Draw the curve of `search_effort` for docs/reference/rewards.md.

    python benchmarks/plot_search_effort.py [FILE.svg]

Every point is what `plaudit.rollouts.rewards.measures.effort` returns; the same bytes each time.
"""

import sys
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from plaudit.rollouts.rewards.measures import SearchEffort, effort

OUT = Path(__file__).parents[1] / "docs" / "images" / "search_effort.svg"
MADE = range(15)
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "path.simplify": False,
    "svg.hashsalt": "plaudit",  # else the ids in an SVG are random
    "svg.fonttype": "none",
}


def curves() -> dict[str, tuple[str, str, list[float]]]:
    """Return label, colour and values of each curve, by its id in the picture."""
    usual = SearchEffort()
    best, zero = usual.best, usual.zero
    return {
        "usual": (
            f"best = {best}, zero = {zero} (default), all useful", "#0f766e",
            [effort(n, n, best, zero) for n in MADE],
        ),
        "later": (
            "best = 4, zero = 12, all useful", "#b0632a", [effort(n, n, 4, 12) for n in MADE]
        ),
        "repeated": (
            "default, the first search repeated", "#999999",
            [effort(min(n, 1), n, best, zero) for n in MADE],
        ),
    }  # fmt: skip


def draw(out: Path) -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        axes = figure.subplots()
        for name, (label, color, values) in curves().items():
            (line,) = axes.plot(MADE, values, color=color, marker="o", markersize=4, label=label)
            line.set_gid(name)
        axes.set(xlabel="searches made", ylabel="search_effort", xticks=MADE, ylim=(-0.03, 1.05))
        axes.grid(color="#e5e5e5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
