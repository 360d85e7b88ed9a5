"""The reliability diagram of a calibration: confidence against the truth, before and after."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plaudit._util.packages import load_package
from plaudit.errors import StoreError, UsageError
from plaudit.scoring.calibration import Bin, Calibration
from plaudit.scoring.stats import BINS, Estimate, proportion

FORMATS = (".png", ".svg")

_BEFORE, _AFTER = "#b0632a", "#0f766e"
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "svg.hashsalt": "plaudit",  # else the ids in an SVG are random
    "svg.fonttype": "none",
}


def check_format(path: str | Path) -> None:
    """Refuse a file that is neither PNG nor SVG.

    Raises:
        UsageError: it is neither.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: a diagram is written as {' or '.join(FORMATS)}")


def save_diagram(calibration: Calibration, path: str | Path) -> None:
    """Draw a calibration on its held-out verdicts; the same bytes for the same calibration.

    Args:
        calibration: what is drawn.
        path: a `.png` or `.svg` file.

    Raises:
        UsageError: the file's name ends otherwise.
        MissingDependencyError: matplotlib is not installed.
        StoreError: the file cannot be written.
    """
    check_format(path)
    matplotlib = load_package("matplotlib", "stats")
    figures = load_package("matplotlib.figure", "stats")
    # A figure of its own, not pyplot's, which would choose a window system and keep the figure.
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(8, 4.7), layout="constrained")
        _draw(figure, calibration)
        suffix = Path(path).suffix.lower()
        metadata = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
        try:
            figure.savefig(path, format=suffix[1:], dpi=150, metadata=metadata)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _draw(figure: Any, calibration: Calibration) -> None:
    axes = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(4, 1))
    sides = (
        ("before", _BEFORE, calibration.before_bins, calibration.before.ece),
        (f"after ({calibration.method})", _AFTER, calibration.after_bins, calibration.after.ece),
    )
    for column, (title, color, bins, ece) in enumerate(sides):
        draw_reliability(axes[0, column], bins, color)
        draw_bin_counts(axes[1, column], bins, color)
        axes[0, column].set_title(f"{title}: ECE {_interval(ece)}")
    axes[0, 0].set_ylabel("share that is right")
    axes[1, 0].set_ylabel("verdicts")
    if calibration.gate is not None:
        _draw_gate(axes[0, 1], calibration)
    figure.suptitle(
        f"{calibration.judge}: {calibration.held_out} held-out verdicts, "
        f"{calibration.accuracy.value:.0%} right",
        x=0.01, ha="left", fontweight="bold",
    )  # fmt: skip


def _draw_gate(axes: Any, calibration: Calibration) -> None:
    assert calibration.kept is not None and calibration.agreement is not None
    text = (
        f"gate {calibration.gate:.3f}: keeps {calibration.kept.value:.0%},\n"
        f"of which {calibration.agreement.value:.0%} are right"
    )
    axes.axvline(calibration.gate, color="#333333", linewidth=1.2, linestyle=":", zorder=1)
    axes.annotate(
        text, (0.98, 0.04), xycoords="axes fraction", ha="right", va="bottom",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )  # fmt: skip


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def draw_reliability(axes: Any, bins: Sequence[Bin], color: str) -> None:
    """Draw confidence against the share that is right, with exact intervals, and the diagonal."""
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", zorder=1)
    shares = [proportion(round(one.right * one.count), one.count) for one in bins]
    bars = [[s.value - s.low for s in shares], [s.high - s.value for s in shares]]
    axes.errorbar(
        [one.confidence for one in bins], [one.right for one in bins], yerr=bars,
        color=color, marker="o", markersize=5, linewidth=1.5, elinewidth=1, capsize=2, zorder=2,
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[n / 5 for n in range(6)])
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)


def draw_bin_counts(axes: Any, bins: Sequence[Bin], color: str) -> None:
    """Draw how many samples each bin has."""
    places = [(min(int(one.confidence * BINS), BINS - 1) + 0.5) / BINS for one in bins]
    drawn = axes.bar(places, [one.count for one in bins], width=0.9 / BINS, color=color)
    axes.bar_label(drawn, fontsize=7, padding=1)
    axes.margins(y=0.3)
    axes.set_xlabel("confidence")
