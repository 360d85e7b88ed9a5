"""How numbers are spread: quantiles and a histogram."""

import math
from typing import Any

from plaudit._util.packages import load_package
from plaudit.preferences.margins import scale_of
from plaudit.preferences.report.numbers import Distribution

_PERCENTS = (1, 5, 25, 50, 75, 95, 99)
_BINS = 40
_MOST_BINS = 120
"""Of values on a grid."""
_STEPS = 10_000
"""A grid with more steps is too fine to be seen in the bins."""
_OFF_GRID = 1e-3
_FAR = 2
"""Where the outermost percents take more than so many times the room of the others, they are cut
off the histogram."""


def distribution(
    values: Any,
    mean: float,
    range_: tuple[float, float],
    drawn: int | None,
    *,
    signed: bool = False,
) -> Distribution:
    """Return how values are spread.

    Args:
        values: an array of at least one number, all of them or a sample.
        mean: of all.
        range_: the least and the greatest of all.
        drawn: how many were drawn; None: all are there.
        signed: whether the histogram reaches as far below 0 as above, with an edge at 0.
    """
    np = load_package("numpy", "stats")
    quantiles = np.quantile(values, [percent / 100 for percent in _PERCENTS])
    least, most = float(values.min()), float(values.max())
    low, high = float(quantiles[0]), float(quantiles[-1])
    cut = (most - least) / _FAR > high - low > 0
    low, high = (low, high) if cut else (least, most)
    if signed:
        counts, edges = _histogram(values, _even_edges(max(abs(low), abs(high), 1.0)))
    else:
        counts, edges = _histogram(values, _edges(np, values, low, high))
    return Distribution(
        mean=mean,
        least=range_[0],
        most=range_[1],
        quantiles=dict(zip(map(str, _PERCENTS), quantiles.tolist(), strict=True)),
        edges=edges,
        counts=counts,
        cut=cut,
        drawn=drawn,
    )


def _even_edges(reach: float) -> list[float]:
    """Return edges for whole numbers from -reach to reach, each bin with as many of them."""
    width = math.floor(reach / (_BINS // 2)) + 1
    bins = math.floor(reach / width) + 1
    return [width * place for place in range(-bins, bins + 1)]


def _edges(np: Any, values: Any, low: float, high: float) -> list[float]:
    """Return the edges of bins between two numbers.

    Values on a grid, such as differences of scores from 1 to 10, have bins with as many steps of
    the grid each: of bins that have two steps here and one there, the latter would look empty.
    """
    unit = scale_of(low, high).unit
    distinct = np.unique(np.round(values[(values >= low) & (values <= high)] / unit))
    if len(distinct) == 1:
        return [low - 0.5, high + 0.5]
    gaps = np.diff(distinct)
    step = float(gaps.min())
    steps = round(float(distinct[-1] - distinct[0]) / step) + 1
    if steps > _STEPS or np.abs(gaps / step - np.round(gaps / step)).max() > _OFF_GRID:
        return np.linspace(low, high, min(_BINS, len(distinct)) + 1).tolist()
    each = _steps_a_bin(steps)
    start, bins = float(distinct[0]) - step / 2, math.ceil(steps / each)
    return [(start + place * each * step) * unit for place in range(bins + 1)]


def _steps_a_bin(steps: int) -> int:
    """Return how many steps a bin has: so many that the last bin is as full as can be."""
    fewest = math.ceil(steps / _MOST_BINS)
    return min(range(fewest, 4 * fewest), key=lambda each: (-steps % each / each, each))


def _histogram(values: Any, edges: list[float]) -> tuple[list[int], list[float]]:
    try:
        counts, _ = load_package("numpy", "stats").histogram(values, bins=edges)
    except ValueError:  # They are nearer to each other than floats can tell.
        return [len(values)], [edges[0], edges[-1]]
    return counts.tolist(), edges
