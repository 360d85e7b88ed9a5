"""How well a judge agrees with people, how sure it is of it, and what that costs.

Every figure comes with an interval from a bootstrap over samples (Efron 1979). The intervals are
"basic" ones, twice the value less a quantile, which undo the bias that a calibration error has.
Samples that share a question or a prompt are drawn together, since they are not independent: to
draw them one by one would give intervals that are too narrow. Two arms are compared on the samples
that both have, drawn alike for both (a paired bootstrap), so that what is hard for both cancels.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plaudit._util.packages import load_package
from plaudit.bench.outcomes import RowOutcome
from plaudit.errors import UsageError
from plaudit.scoring import stats
from plaudit.scoring.stats import LEVEL, Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Places = NDArray[np.intp]

DRAWS = 2_000

Estimates = dict[str, Estimate | None]
"""By the name of the measure; None where it is not defined."""


class Table:
    """Outcomes as columns, so that measures of thousands of draws take seconds.

    A column has one number a sample, and NaN where there is none.
    """

    def __init__(self, outcomes: Sequence[RowOutcome]) -> None:
        """Take the columns.

        Raises:
            MissingDependencyError: numpy is not installed.
        """
        np = _numpy()
        groups = {name: n for n, name in enumerate(sorted({o.group for o in outcomes}))}
        self.ok: Flags = np.array([o.status == "ok" for o in outcomes], dtype=bool)
        self.group: Places = np.array([groups[o.group] for o in outcomes], dtype=int)
        self.agrees = _column(o.agrees for o in outcomes)
        self.credit = _column(o.credit for o in outcomes)
        self.confidence = _column(o.confidence for o in outcomes)
        self.score = _column(o.score for o in outcomes)
        self.positive = _column(o.positive for o in outcomes)
        self.consistent = _column(o.consistent for o in outcomes)
        self.tokens = _column(o.tokens for o in outcomes)

    def take(self, places: "Places") -> "Table":
        """Return a table of the samples at some places, which may repeat."""
        taken = Table.__new__(Table)
        taken.__dict__ = {name: column[places] for name, column in self.__dict__.items()}
        return taken


Metric = Callable[[Table], float]
"""NaN where it is not defined."""


def coverage(table: Table) -> float:
    """Share of samples whose verdict is `ok`."""
    return float(table.ok.mean())


def accuracy(table: Table) -> float:
    """Share of `ok` verdicts whose value is the label."""
    return _mean(table.agrees[table.ok])


def accuracy_of_all(table: Table) -> float:
    """Share of all samples that have an `ok` verdict whose value is the label.

    So what was abstained from, or is invalid or failed, counts as wrong here.
    """
    return float((table.ok & (table.agrees == 1)).mean())


def forced_accuracy(table: Table) -> float:
    """Share of right sides, where the judge has to take one: also where it abstained.

    A tie counts half, which is what a coin would earn. Left out are samples whose label is a tie
    and those of which nothing was said.
    """
    return _mean(table.credit)


def macro_accuracy(table: Table) -> float:
    """Mean over the groups of their forced accuracy."""
    np = _numpy()
    there = ~np.isnan(table.credit)
    count = np.bincount(table.group[there])
    right = np.bincount(table.group[there], weights=table.credit[there])
    return _mean(right[count > 0] / count[count > 0])


def consistency(table: Table) -> float:
    """Share of pairs whose winner is the same in both orders, of those with both."""
    return _mean(table.consistent)


def calibration_error(table: Table) -> float:
    """Expected calibration error; see `plaudit.scoring.stats.ece`.

    Over all that was said with a confidence, also where the judge abstained.
    """
    sure, right = _sure(table)
    return stats.ece(sure, right) if len(sure) else math.nan


def brier_score(table: Table) -> float:
    """Mean squared difference of confidence and being right; see above for what."""
    sure, right = _sure(table)
    return stats.brier(sure, right) if len(sure) else math.nan


def auroc(table: Table) -> float:
    """Chance that a positive sample scores above a negative one, where 0.5 is a coin."""
    np = _numpy()
    there = ~np.isnan(table.score) & ~np.isnan(table.positive)
    return stats.auroc(table.score[there], table.positive[there]) if there.any() else math.nan


def mean_tokens(table: Table) -> float:
    """Tokens a sample, in and out."""
    return _mean(table.tokens)


METRICS: Mapping[str, Metric] = {
    "forced_accuracy": forced_accuracy,
    "macro_accuracy": macro_accuracy,
    "accuracy": accuracy,
    "accuracy_of_all": accuracy_of_all,
    "coverage": coverage,
    "consistency": consistency,
    "ece": calibration_error,
    "brier": brier_score,
    "auroc": auroc,
    "tokens": mean_tokens,
}
"""All measures, by the name under which they are reported."""


def counts(outcomes: Sequence[RowOutcome]) -> dict[str, int]:
    """Count samples by status; the counts add up to `samples`."""
    found = Counter(outcome.status for outcome in outcomes)
    statuses = ("ok", "abstained", "invalid", "failed")
    return {"samples": len(outcomes)} | {status: found[status] for status in statuses}


def measure(outcomes: Sequence[RowOutcome], *, seed: int = 0, draws: int = DRAWS) -> Estimates:
    """Return every measure with its 95 % interval.

    Args:
        outcomes: of one arm, on samples of one kind.
        seed: of the bootstrap.
        draws: how many tables are drawn.

    Raises:
        UsageError: there are no outcomes.
        MissingDependencyError: numpy is not installed.
    """
    if not outcomes:
        raise UsageError("there are no outcomes to measure")
    table = Table(outcomes)
    drawn = [_all(table.take(places)) for places in _places(outcomes, seed, draws)]
    return _estimates(_all(table), drawn, least=0)


def compare(
    first: Sequence[RowOutcome], second: Sequence[RowOutcome], *, seed: int = 0, draws: int = DRAWS
) -> Estimates:
    """Return what the second arm has more than the first, on the samples that both have.

    Args:
        first: one arm.
        second: another arm, on the same samples or some of them.
        seed: of the bootstrap.
        draws: how many tables are drawn.

    Raises:
        UsageError: no sample is in both, or an id is there twice.
        MissingDependencyError: numpy is not installed.
    """
    mine, other = _by_id(first), _by_id(second)
    shared = [name for name in mine if name in other]
    if not shared:
        raise UsageError("the two arms have no sample in common")
    pair = [mine[name] for name in shared], [other[name] for name in shared]
    a, b = Table(pair[0]), Table(pair[1])
    drawn = [
        _all(b.take(places)) - _all(a.take(places)) for places in _places(pair[0], seed, draws)
    ]
    return _estimates(_all(b) - _all(a), drawn, least=-1)


def _all(table: Table) -> "Floats":
    np = _numpy()
    return np.array([metric(table) for metric in METRICS.values()])


def _estimates(values: "Floats", drawn: "Sequence[Floats]", least: float) -> Estimates:
    """Return estimates, cut to `least`..1 where the measure is a share."""
    found: Estimates = {}
    for place, name in enumerate(METRICS):
        one = _estimate(float(values[place]), [float(each[place]) for each in drawn])
        if one and name != "tokens":
            one = Estimate(one.value, max(one.low, least), min(one.high, 1))
        found[name] = one
    return found


def _by_id(outcomes: Sequence[RowOutcome]) -> dict[str, RowOutcome]:
    found = {outcome.id: outcome for outcome in outcomes}
    if len(found) < len(outcomes):
        twice = Counter(outcome.id for outcome in outcomes).most_common(1)[0][0]
        raise UsageError(f"the id {twice!r} is there twice; arms are compared by unique ids")
    return found


def _places(outcomes: Sequence[RowOutcome], seed: int, draws: int) -> "Iterator[Places]":
    """Draw places with replacement, those of a cluster together."""
    np = _numpy()
    clusters: dict[str, list[int]] = {}
    for place, outcome in enumerate(outcomes):
        clusters.setdefault(outcome.cluster or f"\0{place}", []).append(place)
    members = [np.array(places) for places in clusters.values()]
    single = all(len(places) == 1 for places in members)
    random = np.random.default_rng(seed)
    for _ in range(draws):
        chosen = random.integers(0, len(members), len(members))
        yield chosen if single else np.concatenate([members[n] for n in chosen])


def _estimate(value: float, drawn: Sequence[float]) -> Estimate | None:
    np = _numpy()
    if np.isnan(value):
        return None
    defined = [one for one in drawn if not np.isnan(one)] or [value]
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value, float(2 * value - upper), float(2 * value - lower))


def _sure(table: Table) -> "tuple[Floats, Floats]":
    """Return confidences and whether they were right, where there are both."""
    np = _numpy()
    there = ~np.isnan(table.confidence) & ~np.isnan(table.agrees)
    return table.confidence[there], table.agrees[there]


def _column(values: "Iterator[float | None]") -> "Floats":
    np = _numpy()
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _mean(values: Any) -> float:
    """Return the mean of what is not NaN; NaN where there is nothing."""
    there = values[values == values]
    return float(there.mean()) if len(there) else math.nan


def _numpy() -> Any:
    return load_package("numpy", "stats")
