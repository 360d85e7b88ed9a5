"""How numbers are spread: quantiles and a histogram."""

from typing import Any

from plaudit.preferences.report.numbers import Distribution
from plaudit.scoring.stats import load_package

_PERCENTS = (1, 5, 25, 50, 75, 95, 99)
_BINS = 40
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
    np = load_package("numpy")
    quantiles = np.quantile(values, [percent / 100 for percent in _PERCENTS])
    least, most = float(values.min()), float(values.max())
    low, high = float(quantiles[0]), float(quantiles[-1])
    cut = (most - least) / _FAR > high - low > 0
    low, high = (low, high) if cut else (least, most)
    if signed:
        high = max(abs(low), abs(high), 1.0)
        counts, edges = _histogram(values, (-high, high), _BINS)
    else:
        distinct = len(set(values[:1_000].tolist()))
        counts, edges = _histogram(values, (low, high), min(_BINS, distinct))
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


def _histogram(
    values: Any, range_: tuple[float, float], bins: int
) -> tuple[list[int], list[float]]:
    try:
        counts, edges = load_package("numpy").histogram(values, bins=bins, range=range_)
    except ValueError:  # They are nearer to each other than floats can tell.
        return [len(values)], list(range_)
    return counts.tolist(), edges.tolist()
