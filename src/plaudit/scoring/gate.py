"""The gate: the lowest confidence at which a judge agrees with the labels as often as promised.

Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052) with fixed-sequence testing (Bauer
1991, doi:10.1002/sim.4780100609): thresholds are put into an order before the labels of the test
samples are seen, each is tested with an exact binomial p-value at the whole level delta, and the
first that does not pass ends it. The last that passed keeps the promise with probability 1 - delta,
for samples drawn as the test samples were; the order may be anything that the test samples had no
part in, so it is chosen on the samples that the map was fitted on.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.scoring.stats import exact_p_values

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

STEPS = 100
"""Thresholds that are tried at most, each keeping about 1 % of the samples more."""


class Gate(msgspec.Struct, frozen=True):
    """The outcome of the test."""

    threshold: float | None
    """Least confidence of what is kept; None where no threshold passed."""
    kept: int
    """Test samples at or over the threshold; the first one tried, where none passed."""
    right: int
    """Those of them that are right."""
    p_value: float
    """Of the threshold."""
    tried: float
    """The threshold that `kept`, `right` and `p_value` are of."""


def threshold_sequence(
    confidence: "ArrayLike", right: "ArrayLike", test_size: int, target: float
) -> list[float]:
    """Return the thresholds to test, in falling order, from the one most likely to pass.

    Over a high threshold are few samples, and a test of few samples fails whatever the judge: a
    sequence that began there would end there. So it begins at the threshold for which the expected
    agreement exceeds the target by most standard errors of the test. What is expected is the mean
    of what the map says, which is smooth, and of what these samples show, which knows where a judge
    is wrong though it is sure.

    Args:
        confidence: calibrated confidences of samples that the test has no part in.
        right: whether each of them is right.
        test_size: how many samples will be tested.
        target: agreement to be promised.
    """
    np = load_package("numpy", "stats")
    sure, good = np.asarray(confidence, float), np.asarray(right, float)
    order = np.argsort(-sure, kind="stable")
    rising = sure[order][::-1]
    shares = np.arange(1, STEPS + 1) / STEPS
    falling = np.unique(np.quantile(rising, 1 - shares, method="lower"))[::-1]
    kept = len(rising) - np.searchsorted(rising, falling, "left")
    expected = np.cumsum((sure + good)[order])[kept - 1] / (2 * kept)
    tested = kept * (test_size / len(rising))
    start = int(np.argmax((expected - target) * np.sqrt(tested)))
    return [*falling[start:].tolist(), 0.0]  # in the end, what is less sure than all of these


def find_gate(
    thresholds: Sequence[float],
    confidence: "ArrayLike",
    right: "ArrayLike",
    target: float,
    delta: float,
) -> Gate:
    """Test thresholds in their order and return the last that passed.

    Args:
        thresholds: in falling order, at least one; chosen without the test samples.
        confidence: calibrated confidences of the test samples.
        right: whether each is right.
        target: agreement to be promised.
        delta: probability with which the promise may be broken.
    """
    np = load_package("numpy", "stats")
    sure, good = np.asarray(confidence, float), np.asarray(right, bool)
    kept = _at_least(np, sure, thresholds)
    true = _at_least(np, sure[good], thresholds)
    p_values = exact_p_values(kept - true, kept, 1 - target)
    failed = np.nonzero((p_values > delta) | (kept == 0))[0]
    passed = (int(failed[0]) if len(failed) else len(thresholds)) - 1
    shown = max(passed, 0)
    threshold = float(thresholds[shown])
    return Gate(
        threshold if passed >= 0 else None,
        int(kept[shown]),
        int(true[shown]),
        float(p_values[shown]),
        threshold,
    )


def _at_least(np: Any, values: Any, thresholds: Sequence[float]) -> Any:
    """Return how many values are at or over each threshold."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, "left")
