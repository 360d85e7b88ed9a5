"""The figures of a bench: how well a judge agrees with people, how sure that is, and of whom.

Every figure has an interval of 95 %, or a reason why it has none. Samples that share a cluster,
such as a question, are not independent: their influences are summed before they are squared. Two
arms are compared on the samples that both have, so that what is hard for both cancels.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.bench import columns
from plaudit.bench.columns import STATISTICS, STATUSES, Columns
from plaudit.bench.outcomes import RowOutcome
from plaudit.bench.results import (
    CoveragePoint,
    Figure,
    Histogram,
    OutcomeCounts,
    PairedDifference,
    SubsetResults,
)
from plaudit.bench.shares import too_few
from plaudit.errors import Cause, UsageError
from plaudit.scoring import influence, stats
from plaudit.scoring.calibration import Bin
from plaudit.scoring.influence import FEWEST_CLUSTERS, Influence, Spread
from plaudit.scoring.stats import Estimate

PAIRED = (
    "accuracy",
    "accuracy_of_all",
    "forced_accuracy",
    "coverage",
    "consistency",
    "brier",
    "auroc",
)
"""Figures whose differences are tested."""

_SHARES = frozenset(
    {"accuracy", "accuracy_of_all", "forced_accuracy", "coverage", "consistency", "first_share"}
)
_GATES = 100
_BINS = 20
_LARGEST_SCORE = 1e100  # So that the width of a bin is a number.
_ALIKE = "all samples are alike, so nothing shows how far the figure may be off"


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured of one arm."""

    overall: SubsetResults
    subsets: list[SubsetResults]
    """In order of first appearance."""
    reliability: list[Bin]
    """Bins of confidence; empty where there is none."""
    coverage_curve: list[CoveragePoint]
    """What a gate would keep, from the lowest gate to the highest."""
    distributions: list[Histogram]
    """Scores of positive, negative and other samples."""


def measure_outcomes(
    outcomes: Iterable[RowOutcome], *, subsets: Iterable[str] = (), seed: int = 0
) -> ArmFigures:
    """Measure one arm.

    A figure that is not defined has a reason in place of a value; a figure of what no sample has,
    such as orders or confidences, is left out.

    Args:
        outcomes: read once; some 70 bytes of each are kept.
        subsets: names that are reported first and also without a sample.
        seed: of the noise that is drawn for the interval of the calibration error.

    Raises:
        MissingDependencyError: numpy or scipy is not installed.
    """
    table = Columns(outcomes, subsets)
    return ArmFigures(
        overall=_subset("", table, seed),
        subsets=[_subset(name, part, seed) for name, part in _parts(table)],
        reliability=_reliability(table),
        coverage_curve=_coverage_curve(table),
        distributions=_distributions(table),
    )


def _parts(table: Columns) -> "Iterable[tuple[str, Columns]]":
    """Yield the rows of each subset; rows without one are in the overall figures only."""
    np = load_package("numpy", "stats")
    order = np.argsort(table.rows["subset"], kind="stable")
    ends = np.searchsorted(table.rows["subset"][order], np.arange(len(table.subsets) + 1))
    for place, name in enumerate(table.subsets):
        if name:
            yield name, table.take(order[ends[place] : ends[place + 1]])


def _subset(name: str, table: Columns, seed: int) -> SubsetResults:
    return SubsetResults(name=name, counts=_counts(table), figures=_figures(table, seed))


def _counts(table: Columns) -> OutcomeCounts:
    np = load_package("numpy", "stats")
    rows, ok = table.rows, table.ok
    named = ok & table.comparable
    right = named & (rows["agrees"] == 1)
    ties = named & ~right & rows["tie"]
    statuses = np.bincount(rows["status"], minlength=len(STATUSES)).tolist()
    causes = np.bincount(rows["cause"][~ok], minlength=len(table.causes)).tolist()
    return OutcomeCounts(
        samples=len(rows),
        right=int(right.sum()),
        wrong=int((named & ~right & ~ties).sum()),
        ties=int(ties.sum()),
        unlabelled=int((ok & ~named).sum()),
        abstained=statuses[1],
        invalid=statuses[2],
        failed=statuses[3],
        causes={
            name: count for name, count in zip(table.causes, causes, strict=True) if name and count
        },
    )


# Figures with their intervals.


def _figures(table: Columns, seed: int) -> dict[str, Figure]:
    found = {name: _measured(name, table, seed) for name in STATISTICS}
    return {name: one for name, one in found.items() if one.value is not None or one.why}


def measure_figure(name: str, outcomes: Iterable[RowOutcome], *, seed: int = 0) -> Figure:
    """Measure one figure alone; see `measure_outcomes`.

    Args:
        name: one of `results.FIGURES`, but for `score`.
        outcomes: read once.
        seed: of the noise that is drawn for the interval of the calibration error.

    Raises:
        MissingDependencyError: numpy or scipy is not installed.
    """
    found = _measured(name, Columns(outcomes), seed)
    return found if found.value is not None or found.why else _without(found, "no sample has it")


def _measured(name: str, table: Columns, seed: int) -> Figure:
    """Return a figure; without value and reason where no such judge could have it."""
    seen = STATISTICS[name](table)
    if seen is None or math.isnan(seen.value):
        size = 0 if seen is None else seen.size
        return Figure(value=None, n=size, why=_why_undefined(name, table))
    return _figure(name, table, seen, seed)


def _why_undefined(name: str, table: Columns) -> str | None:
    """Return why there is no such figure; None: it is not one that such a judge could have."""
    if not len(table.rows):
        return "no samples" if name in ("accuracy", "accuracy_of_all", "coverage") else None
    if name == "accuracy":
        return "no ok verdict has a label" if table.ok.any() else "no ok verdict"
    if name == "accuracy_of_all":
        return "no sample has a label"
    if name == "auroc" and table.there("score", "positive").any():
        return "all samples with a score are of one class"
    if name == "alpha" and table.there("value", "label").any():
        return "all values are the same" if table.ok.any() else "no ok verdict"
    return None


def _figure(name: str, table: Columns, seen: Influence, seed: int) -> Figure:
    """Return a defined figure with its interval, or with the reason why it has none."""
    independent = table.independent
    spread = influence.spread(seen, None if independent else table.clusters)
    bare = _bare(seen, spread, independent)
    wilson = independent and name in _SHARES
    if spread.few and not wilson:
        return _without(bare, _too_few(spread, independent))
    if name in _SHARES:
        interval = influence.share_interval(seen, spread, independent)
        return _with(bare, interval, "wilson" if wilson else "cluster")
    if name == "auroc":
        return _area(bare, table, seen, spread)
    if spread.flat:
        return _without(bare, _ALIKE)
    if name == "ece":
        gaps, noise = influence.gap_noise([columns.sureness(table)], table.clusters, seed=seed)
        interval = influence.gap_interval(seen, spread, gaps[0], noise[:, 0])
        return _with(bare, interval, "bootstrap")
    interval = influence.mean_interval(seen, spread, -1 if name == "alpha" else 0, 1)
    return _with(bare, interval, "student" if independent else "cluster")


def _bare(seen: Influence, spread: Spread, independent: bool) -> Figure:
    clusters = None if independent else spread.clusters
    return Figure(value=seen.value, n=seen.size, clusters=clusters)


def _too_few(spread: Spread, independent: bool) -> str:
    return too_few(spread.clusters, "sample" if independent else "cluster")


def _area(bare: Figure, table: Columns, seen: Influence, spread: Spread) -> Figure:
    positive = table.rows["positive"] == 1
    for name, some in (("positive", positive), ("negative", ~positive)):
        count = int((seen.used & some).sum())
        if count < FEWEST_CLUSTERS:
            return _without(bare, too_few(count, f"{name} sample"))
    if not 0 < seen.value < 1:
        return _without(bare, "the scores of the classes do not overlap, so DeLong's variance is 0")
    if table.independent:
        spread = influence.area_spread(seen, positive)
    if spread.flat:
        return _without(bare, _ALIKE)
    return _with(bare, influence.area_interval(seen, spread), "delong")


def _with(bare: Figure, interval: Estimate, method: Any) -> Figure:
    return msgspec.structs.replace(bare, low=interval.low, high=interval.high, method=method)


def _without(bare: Figure, why: str) -> Figure:
    return msgspec.structs.replace(bare, why=why)


# Pictures.


def _reliability(table: Columns) -> list[Bin]:
    sure, right, used = columns.sureness(table)
    return [Bin(*one) for one in stats.reliability(sure[used], right[used])] if used.any() else []


def _coverage_curve(table: Columns) -> list[CoveragePoint]:
    """Return what gates would keep of what is `ok`, or only under the gate that was set."""
    np = load_package("numpy", "stats")
    sure, right, used = columns.sureness(table)
    gated = table.causes.index(Cause.BELOW_GATE) if Cause.BELOW_GATE in table.causes else -1
    used = used & (table.ok | (table.rows["cause"] == gated))
    order = np.argsort(-sure[used], kind="stable")
    sure, good = sure[used][order], np.cumsum(right[used][order])
    points: list[CoveragePoint] = []
    for step in range(_GATES + 1):
        gate = step / _GATES
        kept = int(np.searchsorted(-sure, -gate, side="right"))
        if kept and (not points or kept < points[-1].n):
            points.append(
                CoveragePoint(gate, kept / len(table.rows), float(good[kept - 1]) / kept, kept)
            )
    return points


def _distributions(table: Columns) -> list[Histogram]:
    np = load_package("numpy", "stats")
    score, positive = table.rows["score"], table.rows["positive"]
    there = np.abs(score) <= _LARGEST_SCORE
    if not there.any():
        return []
    low, high = _range(float(score[there].min()), float(score[there].max()))
    sides = {"positive": positive == 1, "negative": positive == 0, "other": np.isnan(positive)}
    return [
        Histogram(name, low, high, np.histogram(score[some], _BINS, (low, high))[0].tolist())
        for name, some in ((name, there & side) for name, side in sides.items())
        if some.any()
    ]


def _range(least: float, most: float) -> tuple[float, float]:
    """Return 0..1 or -1..1 where scores are within, else a range that holds them."""
    for low in (0.0, -1.0):
        if low <= least and most <= 1:
            return low, 1.0
    return (least, most) if least < most else (least - 0.5, most + 0.5)


# Differences of arms.


def paired_differences(
    arms: Mapping[str, Sequence[RowOutcome]],
    *,
    figures: Sequence[str] = PAIRED,
    seed: int = 0,
) -> list[PairedDifference]:
    """Compare each arm to the first one, on the samples that both have.

    Args:
        arms: by name; the first is the baseline.
        figures: names of what is compared; those that an arm does not have are left out.
        seed: of the noise that is drawn for the calibration error.

    Raises:
        UsageError: an arm has samples, and none of the first one's.
        MissingDependencyError: numpy or scipy is not installed.
    """
    found: list[PairedDifference] = []
    baseline = next(iter(arms), "")
    base = arms.get(baseline, ())
    for judge, own in list(arms.items())[1:]:
        pair = _common(base, own)
        for figure in figures:
            value, p = _difference(figure, *pair, seed)
            if value is not None:
                found.append(
                    PairedDifference(
                        figure=figure,
                        judge=judge,
                        baseline=baseline,
                        difference=value,
                        p=p,
                        p_holm=None,
                    )
                )
    return _corrected(found)


def _corrected(found: Sequence[PairedDifference]) -> list[PairedDifference]:
    holm = iter(influence.holm([one.p for one in found if one.p is not None]))
    return [
        one if one.p is None else msgspec.structs.replace(one, p_holm=next(holm)) for one in found
    ]


def _common(first: Sequence[RowOutcome], second: Sequence[RowOutcome]) -> tuple[Columns, Columns]:
    """Return the columns of two arms on the samples that both have, in the order of the first."""
    mine, other = _by_id(first), _by_id(second)
    shared = [name for name in mine if name in other]
    if mine and other and not shared:
        raise UsageError("the two arms have no sample in common")
    return Columns(mine[name] for name in shared), Columns(other[name] for name in shared)


def _by_id(outcomes: Sequence[RowOutcome]) -> dict[tuple[str, int], RowOutcome]:
    """Return outcomes by id, and by how many before had the same: rows may repeat."""
    seen: Counter[str] = Counter()
    found: dict[tuple[str, int], RowOutcome] = {}
    for one in outcomes:
        found[one.id, seen[one.id]] = one
        seen[one.id] += 1
    return found


def _difference(
    name: str, first: Columns, second: Columns, seed: int
) -> tuple[Figure | None, float | None]:
    """Return a difference and its p-value; no figure where an arm lacks it."""
    pair = _both(name, first, second)
    if pair is None:
        return None, None
    (first, a), (second, b) = pair
    change = Influence(b.value - a.value, b.parts - a.parts, a.used | b.used, len(first.rows))
    independent = first.independent
    spread = influence.spread(change, None if independent else first.clusters)
    bare = _bare(change, spread, independent)
    if spread.few:
        return _without(bare, _too_few(spread, independent)), None
    if name in _SHARES:
        spread = influence.change_of_shares(change, spread)
    elif name == "ece":
        sure = [columns.sureness(first), columns.sureness(second)]
        drawn = influence.gap_noise(sure, first.clusters, seed=seed)
        spread = spread._replace(error=influence.gap_change_error(*drawn))
    p = influence.two_sided_p(change.value, spread)
    if spread.flat:
        return _without(bare, _no_change(change.value)), p
    interval = influence.mean_interval(change, spread, *_BOUNDS.get(name, (-1, 1)))
    return _with(bare, interval, "student" if independent else "cluster"), p


_OF_SHARED = ("forced_accuracy", "consistency", "brier", "ece", "auroc")
"""Compared where both arms said something, so that what one lacks is no difference."""
_Seen = tuple[Columns, Influence]


def _both(name: str, first: Columns, second: Columns) -> tuple[_Seen, _Seen] | None:
    """Return a figure of both arms, with the rows that it is of; None: an arm lacks it."""
    a, b = STATISTICS[name](first), STATISTICS[name](second)
    if a is None or b is None:
        return None
    shared = a.used & b.used
    if name in _OF_SHARED and not (shared == (a.used | b.used)).all():
        first, second = first.take(shared), second.take(shared)
        a, b = STATISTICS[name](first), STATISTICS[name](second)
    if a is None or b is None or math.isnan(a.value - b.value):
        return None
    return (first, a), (second, b)


_BOUNDS = {"alpha": (-2, 2)}


def _no_change(value: float) -> str:
    return "all samples change alike" if abs(value) > 1e-12 else "no sample differs"
