"""What the sums of a report come to."""

import math
from typing import TYPE_CHECKING, Any

from plaudit._util.packages import load_package
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
from plaudit.preferences.report.sketches import HashSums
from plaudit.preferences.report.spread import distribution
from plaudit.scoring.intervals import ShareOverQuestions, wilson
from plaudit.scoring.stats import Estimate

if TYPE_CHECKING:
    from plaudit.preferences.report.collecting import PairReport

HEAVIEST = 10
SLIGHT = 0.05
"""A share of longer responses that is nearer to one half is not called a bias."""
FEWEST = 10
"""From the pairs of fewer examples nothing is concluded about lengths."""
_NOTABLE = 0.2
"""A correlation that is nearer to 0 is not mentioned."""
_SURE = 1.96
_TOP = 0.01
_PERCENTS = (25, 50, 75, 95, 99, 100)


def margins(report: "PairReport") -> Distribution:
    """Return how margins are spread."""
    mean = report.moments.means[0]
    return distribution(report.sample.rows[:, 0], mean, report.margin_range, report.sample.drawn)


def lengths(report: "PairReport") -> Lengths:
    """Return lengths, and whether they tell the chosen response from the rejected."""
    longer = int(report.bins[1].sum())
    equal = int(report.bins[0][0])
    shorter = report.pairs - longer - equal
    mean = report.moments.means[1]
    chosen = report.chosen_characters / report.pairs
    share = _longer_share(report.examples, longer, shorter)
    correlation = report.moments.correlation
    enough = len(report.examples.keys) >= FEWEST
    bias = _bias(share) if share is None or enough else "none"
    trend = _trend(correlation, report.examples) if enough else ""
    return Lengths(
        chosen_mean=chosen,
        rejected_mean=chosen - mean,
        longer=longer,
        shorter=shorter,
        equal=equal,
        longer_share=share,
        difference=distribution(
            report.sample.rows[:, 1],
            mean,
            report.difference_range,
            report.sample.drawn,
            signed=True,
        ),
        bins=_length_bins(report.bins),
        correlation=correlation,
        bias=bias,
        statement=_statement(bias, share) + trend,
    )


def duplicates(report: "PairReport") -> Duplicates:
    """Return what occurs more than once."""
    np = load_package("numpy", "stats")
    equal, prompts = report.equal_pairs, report.prompts
    equal.settle()
    prompts.settle()
    times = np.unique(prompts.keys >> np.uint64(24), return_counts=True)[1]
    repeated = int(equal.sums[:, 0].sum()) - len(equal.keys)
    return Duplicates(
        repeated_pairs=_scaled(repeated, equal),
        prompts=_scaled(len(times), prompts),
        shared_prompts=_scaled(int((times > 1).sum()), prompts),
    )


def weights(report: "PairReport") -> Weights:
    """Return how unequal examples are."""
    np = load_package("numpy", "stats")
    sums = report.examples
    sums.settle()
    pairs = np.sort(sums.sums[:, 0])[::-1]
    held = np.concatenate([[0.0], np.cumsum(pairs)]) / pairs.sum()
    count = len(pairs)
    shares = [percent / 100 for percent in _PERCENTS]
    quantiles = np.quantile(pairs, shares, method="inverted_cdf").tolist()
    missed = report.heaviest.missed
    examples = _scaled(count, sums)
    return Weights(
        examples=examples,
        mean=report.pairs / examples.value,
        quantiles=dict(zip(map(str, _PERCENTS), quantiles, strict=True)),
        top_share=float(held[math.ceil(_TOP * count)]),
        gini=_gini(held, count),
        curve=np.interp(np.linspace(0, count, 101), np.arange(count + 1), held).tolist(),
        exact=sums.exact,
        heaviest=[HeavyExample(id_, n, n + missed) for id_, n in report.heaviest.top(HEAVIEST)],
    )


def _gini(held: Any, count: int) -> float:
    """Return twice the area between the curve of the heaviest examples and the even one."""
    area = float(held[:-1].sum() + held[1:].sum()) / (2 * count)
    return min(max(2 * area - 1, 0.0), 1.0)


def _scaled(kept: int, sums: HashSums) -> Count:
    return Count(kept if sums.exact else round(kept / sums.share), sums.exact)


def _longer_share(examples: HashSums, longer: int, shorter: int) -> Estimate | None:
    """Return the share, with an interval for as many pairs as the examples are worth."""
    examples.settle()
    if not longer + shorter:
        return None
    share = ShareOverQuestions()
    for more, less in examples.sums[:, 1:].astype(int).tolist():
        share.add(more, more + less)
    return wilson(longer / (longer + shorter), max(share.effective_tries, 1.0))


def _length_bins(bins: Any) -> list[LengthBin]:
    used = [bit for bit in range(1, bins.shape[1]) if bins[:, bit].any()]
    return [
        LengthBin(2 ** (bit - 1), 2**bit - 1, int(bins[1][bit]), int(bins[0][bit])) for bit in used
    ]


def _bias(share: Estimate | None) -> Bias:
    if share is None:
        return "unknown"
    if share.low <= 0.5 <= share.high:
        return "none"
    if abs(share.value - 0.5) < SLIGHT:
        return "slight"
    return "longer" if share.value > 0.5 else "shorter"


def _trend(correlation: float | None, examples: HashSums) -> str:
    """Return a sentence on margin and length, empty where none can be shown.

    The interval is Fisher's (1921) for as many independent examples as have the same unequal
    weights (Kish 1965): the pairs of one example are alike.
    """
    pairs = examples.sums[:, 0]
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
