"""The figures of a report, from an array of pairs."""

import math
from collections.abc import Sequence
from typing import Any

from plaudit._util.packages import load_package
from plaudit.preferences.margins import scale_of
from plaudit.preferences.report.numbers import (
    Bias,
    Count,
    Distribution,
    Duplicates,
    HeavyExample,
    LengthBin,
    Lengths,
    Weights,
)
from plaudit.preferences.types import Id
from plaudit.scoring.intervals import ShareOverQuestions, wilson
from plaudit.scoring.stats import Estimate

PAIR = [
    ("margin", "f8"),
    ("chosen", "u4"),
    ("rejected", "u4"),
    ("example", "u4"),
    ("prompt", "u8"),
    ("key", "u8"),
]
"""Fields of an array of pairs: the margin (NaN: unknown), the lengths of both responses in
characters, the number of the example, and hashes of the prompt and of prompt and responses."""

HEAVIEST = 10
SLIGHT = 0.05
"""A share of longer responses that is nearer to one half is not called a bias."""
FEWEST = 10
"""From the pairs of fewer examples nothing is concluded about lengths."""
_NOTABLE = 0.2
"""A correlation that is nearer to 0 is not mentioned."""
_SURE = 1.96
_TOP = 0.01
_WEIGHT_PERCENTS = (25, 50, 75, 95, 99, 100)
_LENGTH_BINS = 64


def margins(pairs: Any) -> Distribution | None:
    """Return how margins are spread; None where none is known."""
    rows = _known(pairs)
    return distribution(rows[:, 0], float(rows.mean(axis=0)[0])) if len(rows) else None


def lengths(pairs: Any) -> Lengths:
    """Return lengths, and whether length alone shows the chosen response."""
    np = load_package("numpy", "stats")
    differences = pairs["chosen"].astype(int) - pairs["rejected"].astype(int)
    longer, shorter = int((differences > 0).sum()), int((differences < 0).sum())
    mean, chosen = float(differences.mean()), int(pairs["chosen"].sum()) / len(pairs)
    each = np.bincount(pairs["example"]).astype(float)
    more, less = (
        np.bincount(pairs["example"], side, len(each)).astype(int).tolist()
        for side in (differences > 0, differences < 0)
    )
    share = _longer_share(list(zip(more, less, strict=True)), longer, shorter)
    correlation = _correlation(_known(pairs))
    enough = len(each) >= FEWEST
    bias = _bias(share) if share is None or enough else "none"
    trend = _trend(correlation, each) if enough else ""
    return Lengths(
        chosen_mean=chosen,
        rejected_mean=chosen - mean,
        longer=longer,
        shorter=shorter,
        equal=len(pairs) - longer - shorter,
        longer_share=share,
        difference=distribution(differences.astype(float), mean, signed=True),
        bins=_length_bins(differences),
        correlation=correlation,
        bias=bias,
        statement=_statement(bias, share) + trend,
    )


def duplicates(pairs: Any) -> Duplicates:
    """Return what occurs more than once."""
    np = load_package("numpy", "stats")
    prompts = np.stack([pairs["prompt"], pairs["example"].astype("u8")], axis=1)
    times = np.unique(np.unique(prompts, axis=0)[:, 0], return_counts=True)[1]
    return Duplicates(
        repeated_pairs=Count(len(pairs) - len(np.unique(pairs["key"]))),
        prompts=Count(len(times)),
        shared_prompts=Count(int((times > 1).sum())),
    )


def weights(pairs: Any, examples: Sequence[Id]) -> Weights:
    """Return how unequal examples are; `examples` has their ids by number."""
    np = load_package("numpy", "stats")
    each = np.bincount(pairs["example"], minlength=len(examples)).astype(float)
    ordered = np.sort(each)[::-1]
    held = np.concatenate([[0.0], np.cumsum(ordered)]) / len(pairs)
    count = len(each)
    shares = [percent / 100 for percent in _WEIGHT_PERCENTS]
    quantiles = np.quantile(ordered, shares, method="inverted_cdf").tolist()
    top: list[int] = np.argsort(-each, kind="stable")[:HEAVIEST].tolist()
    return Weights(
        examples=Count(count),
        mean=len(pairs) / count,
        quantiles=dict(zip(map(str, _WEIGHT_PERCENTS), quantiles, strict=True)),
        top_share=float(held[math.ceil(_TOP * count)]),
        gini=_gini(held, count),
        curve=np.interp(np.linspace(0, count, 101), np.arange(count + 1), held).tolist(),
        heaviest=[HeavyExample(examples[n], int(each[n]), int(each[n])) for n in top],
    )


def _known(pairs: Any) -> Any:
    """Return margin and difference in length of the pairs with a margin, shape (n, 2)."""
    np = load_package("numpy", "stats")
    differences = pairs["chosen"].astype(float) - pairs["rejected"].astype(float)
    rows = np.stack([pairs["margin"], differences], axis=1)
    return rows[~np.isnan(pairs["margin"])]


def _correlation(rows: Any) -> float | None:
    """Return Pearson's correlation; None where a column never changes, or squares overflow."""
    np = load_package("numpy", "stats")
    if not len(rows):
        return None
    with np.errstate(all="ignore"):
        apart = rows - rows.mean(axis=0)
        products = apart.T @ apart
        scale = float(np.sqrt(products[0, 0]) * np.sqrt(products[1, 1]))
        found = float(products[0, 1]) / scale if scale > 0 else math.nan
    return min(max(found, -1.0), 1.0) if abs(found) < 2 else None


def _gini(held: Any, count: int) -> float:
    """Return twice the area between the curve of the heaviest examples and the even one."""
    area = float(held[:-1].sum() + held[1:].sum()) / (2 * count)
    return min(max(2 * area - 1, 0.0), 1.0)


def _longer_share(
    examples: Sequence[tuple[int, int]], longer: int, shorter: int
) -> Estimate | None:
    """Return the share, with an interval for as many pairs as the examples are worth.

    Args:
        examples: for each its pairs whose chosen response is longer, and shorter.
        longer: the same of all.
        shorter: likewise.
    """
    if not longer + shorter:
        return None
    share = ShareOverQuestions()
    for more, less in examples:
        share.add(more, more + less)
    return wilson(longer / (longer + shorter), max(share.effective_tries, 1.0))


def _length_bins(differences: Any) -> list[LengthBin]:
    np = load_package("numpy", "stats")
    # The exponent of a float is the bit length of the whole number that it is.
    bits = np.frexp(np.abs(differences).astype(float))[1]
    shorter, longer = (
        np.bincount(bits[side], minlength=_LENGTH_BINS).tolist()
        for side in (differences < 0, differences > 0)
    )
    return [
        LengthBin(2 ** (bit - 1), 2**bit - 1, longer[bit], shorter[bit])
        for bit in range(1, _LENGTH_BINS)
        if longer[bit] or shorter[bit]
    ]


def _bias(share: Estimate | None) -> Bias:
    if share is None:
        return "unknown"
    if share.low <= 0.5 <= share.high:
        return "none"
    if abs(share.value - 0.5) < SLIGHT:
        return "slight"
    return "longer" if share.value > 0.5 else "shorter"


def _trend(correlation: float | None, pairs: Any) -> str:
    """Return a sentence on margin and length, empty where none can be shown.

    The interval is Fisher's (1921) for as many independent examples as have the same unequal
    weights (Kish 1965): the pairs of one example are alike.

    Args:
        correlation: of margin and length.
        pairs: pairs of each example.
    """
    independent = float(pairs.sum()) ** 2 / float((pairs**2).sum())
    if correlation is None or abs(correlation) < _NOTABLE or independent <= 3:
        return ""
    if math.atanh(min(abs(correlation), 1 - 1e-12)) < _SURE / math.sqrt(independent - 3):
        return ""
    way = "longer" if correlation > 0 else "shorter"
    return (
        f" The wider the margin, the {way} the chosen response is beside the rejected one "
        f"(correlation {correlation:.2f})."
    )


def _statement(bias: Bias, share: Estimate | None) -> str:
    if share is None:
        return "Chosen and rejected responses are equally long in every pair."
    interval = f"{share.value:.1%} of the pairs whose lengths differ ({share.low:.1%} to "
    interval += f"{share.high:.1%} with 95% confidence)"
    return {
        "longer": f"Length bias: the chosen response is the longer one in {interval}. A model "
        "learns from such pairs to write more. --balance length drops pairs until it is one half.",
        "shorter": f"Length bias: the chosen response is the longer one in only {interval}. A "
        "model learns from such pairs to write less. --balance length drops pairs until it is one "
        "half.",
        "slight": f"Hardly a length bias: the chosen response is the longer one in {interval}.",
        "none": "No length bias can be shown: the chosen response is the longer one in "
        f"{interval}.",
    }[bias]


# How numbers are spread

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


def distribution(values: Any, mean: float, *, signed: bool = False) -> Distribution:
    """Return quantiles and a histogram of values.

    Args:
        values: an array of at least one number.
        mean: of the values.
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
        least=least,
        most=most,
        quantiles=dict(zip(map(str, _PERCENTS), quantiles.tolist(), strict=True)),
        edges=edges,
        counts=counts,
        cut=cut,
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
    except ValueError:  # The edges are nearer to each other than floats can resolve.
        return [len(values)], [edges[0], edges[-1]]
    return counts.tolist(), edges
