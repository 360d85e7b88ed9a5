"""Outcomes as columns of numbers, so that a million of them take little memory.

A row has one outcome, in some 70 bytes; NaN is None. Figures are statistics of rows with the
influence of each, see `plaudit.scoring.influence`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from plaudit._util.packages import load_package
from plaudit.bench.outcomes import RowOutcome
from plaudit.scoring import influence
from plaudit.scoring.influence import Influence
from plaudit.types import Value

if TYPE_CHECKING:
    from plaudit.scoring.influence import Codes, Flags, Floats

STATUSES = ("ok", "abstained", "invalid", "failed")
"""A column has their places."""

_ROW = [
    ("status", "u1"),
    ("cause", "u2"),
    ("subset", "u4"),
    ("cluster", "i8"),
    ("agrees", "f4"),
    ("credit", "f4"),
    ("confidence", "f8"),
    ("score", "f8"),
    ("positive", "f4"),
    ("consistent", "f4"),
    ("first_won", "u1"),
    ("decisive", "u1"),
    ("value", "f8"),
    ("label", "f8"),
    ("labelled", "?"),
    ("tie", "?"),
]
_NAN = float("nan")


class Columns:
    """The rows of outcomes.

    Attributes:
        rows: a structured array, in the order of the outcomes.
        clusters: for each row the number of its cluster, from 0 in order of appearance.
        independent: no two rows share a cluster.
        subsets: names, in order of appearance; the column `subset` has their places.
        causes: names; the column `cause` has their places.
        nominal: values and labels are words, not numbers.
    """

    rows: Any
    clusters: "Codes"

    def __init__(self, outcomes: Iterable[RowOutcome], subsets: Iterable[str] = ()) -> None:
        """Take the columns; `subsets` are names that come first, also without a row.

        Raises:
            MissingDependencyError: numpy is not installed.
        """
        np = load_package("numpy", "stats")
        self._subsets = {name: place for place, name in enumerate(subsets)}
        self._causes: dict[str, int] = {"": 0}
        self._words: dict[Value, int] = {}
        self._count = 0
        self.rows = np.fromiter(map(self._row, outcomes), dtype=_ROW)
        self.subsets = list(self._subsets)
        self.causes = list(self._causes)
        self.nominal = bool(self._words)
        self._number_clusters()

    def take(self, places: "Flags | Codes") -> "Columns":
        """Return the rows at some places, with clusters of their own."""
        taken = Columns.__new__(Columns)
        taken.__dict__ = self.__dict__ | {"rows": self.rows[places]}
        taken._number_clusters()
        return taken

    def _number_clusters(self) -> None:
        np = load_package("numpy", "stats")
        _, first, codes = np.unique(self.rows["cluster"], return_index=True, return_inverse=True)
        order = np.empty_like(first)
        order[np.argsort(first)] = np.arange(len(first))
        self.clusters = order[codes]
        self.independent = len(first) == len(self.rows)

    def _row(self, one: RowOutcome) -> tuple[Any, ...]:
        first_won, decisive = _places_won(one)
        self._count += 1
        return (
            STATUSES.index(one.status),
            self._causes.setdefault(one.cause, len(self._causes)),
            self._subsets.setdefault(one.subset, len(self._subsets)),
            hash(one.cluster) if one.cluster else self._count,
            _NAN if one.agrees is None else one.agrees,
            _NAN if one.credit is None else one.credit,
            _NAN if one.confidence is None else one.confidence,
            _NAN if one.score is None else one.score,
            _NAN if one.positive is None else one.positive,
            _NAN if one.consistent is None else one.consistent,
            first_won,
            decisive,
            self._number(one.value),
            self._number(one.label),
            one.labelled,
            not one.agrees and (one.value == "A=B" or one.credit == 0.5),
        )

    def _number(self, value: Value | None) -> float:
        """Return a number as it is, and for a word its code."""
        if value is None:
            return _NAN
        if isinstance(value, str):
            return self._words.setdefault(value, len(self._words))
        return value

    # What rows are used by more than one figure.

    @property
    def ok(self) -> "Flags":
        """Rows with an `ok` verdict."""
        return self.rows["status"] == 0

    def there(self, *names: str) -> "Flags":
        """Return in which rows none of some columns is None."""
        np = load_package("numpy", "stats")
        return np.logical_and.reduce([~np.isnan(self.rows[name]) for name in names])

    @property
    def comparable(self) -> "Flags":
        """Rows with a label that the value is, or could have been, compared with."""
        return self.rows["labelled"] & (self.there("agrees") | ~self.ok)


def _places_won(one: RowOutcome) -> tuple[int, int]:
    """Return how many single orders the first place won, and how many have a winner."""
    first, second = one.orders or (None, None)
    leans = [lean for lean in (first, None if second is None else 1 - second) if lean is not None]
    return sum(lean > 0.5 for lean in leans), sum(lean != 0.5 for lean in leans)


# Figures.

Statistic = Callable[[Columns], Influence | None]
"""None: no row has what it is of."""


def accuracy(columns: Columns) -> Influence | None:
    """Share of `ok` verdicts with a label whose value is the label."""
    return _mean(columns.rows["agrees"], columns.ok & columns.there("agrees"))


def accuracy_of_all(columns: Columns) -> Influence | None:
    """Share of all samples with a label that have an `ok` verdict whose value is the label."""
    agrees = columns.rows["agrees"]
    if columns.ok.any() and not (columns.ok & columns.there("agrees")).any():
        return None  # No value can be compared with the labels, such as raw scores.
    return _mean(columns.ok & (agrees == 1), columns.comparable)


def forced_accuracy(columns: Columns) -> Influence | None:
    """Mean credit, also where the judge abstained."""
    return _mean(columns.rows["credit"], columns.there("credit"))


def coverage(columns: Columns) -> Influence | None:
    """Share of samples whose verdict is `ok`."""
    return _mean(columns.ok, columns.rows["status"] < len(STATUSES))


def consistency(columns: Columns) -> Influence | None:
    """Share of pairs with the same winner in both orders."""
    return _mean(columns.rows["consistent"], columns.there("consistent"))


def first_share(columns: Columns) -> Influence | None:
    """Share of single orders with a winner that the first place won."""
    decisive = columns.rows["decisive"].astype(float)
    if not decisive.any():
        return None
    return influence.ratio(columns.rows["first_won"].astype(float), decisive)


def ece(columns: Columns) -> Influence | None:
    """Expected calibration error of all that was said with a confidence."""
    sure, right, used = sureness(columns)
    return influence.calibration_gap(sure, right, used) if used.any() else None


def brier(columns: Columns) -> Influence | None:
    """Mean squared difference of confidence and being right, over the same."""
    sure, right, used = sureness(columns)
    return _mean((sure - right) ** 2, used)


def sureness(columns: Columns) -> "tuple[Floats, Floats, Flags]":
    """Return confidences, whether they were right, and where there are both."""
    rows = columns.rows
    return rows["confidence"], rows["agrees"], columns.there("confidence", "agrees")


def auroc(columns: Columns) -> Influence | None:
    """Chance that a positive sample scores above a negative one; None without both."""
    used = columns.there("score", "positive")
    positive = columns.rows["positive"] == 1
    if not (used & positive).any() or not (used & ~positive).any():
        return None
    return influence.area(columns.rows["score"], positive, used)


def alpha(columns: Columns) -> Influence | None:
    """Krippendorff's alpha of the `ok` values and the labels."""
    used = columns.ok & columns.there("value", "label")
    if not used.any():
        return None
    value, label = columns.rows["value"], columns.rows["label"]
    return influence.chance_corrected(value, label, used, columns.nominal)


def _mean(values: Any, used: "Flags") -> Influence | None:
    return influence.mean_where(values.astype(float), used) if used.any() else None


STATISTICS: Mapping[str, Statistic] = {
    "accuracy": accuracy,
    "accuracy_of_all": accuracy_of_all,
    "forced_accuracy": forced_accuracy,
    "coverage": coverage,
    "consistency": consistency,
    "first_share": first_share,
    "ece": ece,
    "brier": brier,
    "auroc": auroc,
    "alpha": alpha,
}
"""By the name of the figure; see `results.FIGURES`."""
