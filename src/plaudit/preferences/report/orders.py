"""Whether judges that were asked in both orders agree with themselves."""

from typing import Any, cast

import msgspec
from msgspec import Raw

from plaudit._util.packages import load_package
from plaudit.preferences.pairing import CandidateGroup
from plaudit.preferences.report.numbers import Orders
from plaudit.preferences.report.sketches import RowSample
from plaudit.preferences.report.spread import distribution
from plaudit.types import Json

_BATCH = 4_096
_NAME = b'"order_gap"'


class OrderSums:
    """Takes the `order_gap` of pairwise verdicts from the metadata of candidates."""

    def __init__(self, seed: int) -> None:
        """Begin."""
        self._np = load_package("numpy", "stats")
        self._sample = RowSample(1, seed)
        self._gaps: list[float] = []
        self._total = 0.0
        self._range = (1.0, 0.0)
        self._agree = self._reported = 0

    def add(self, turn: CandidateGroup) -> None:
        """Add the pairs of a turn; those without such metadata do not count."""
        read = [_order_of(candidate.metadata) for candidate in turn.candidates]
        if not any(read):
            return
        for _, _, _, chosen, rejected in turn.picks:
            order = read[chosen] or read[rejected]
            if order is not None:
                self._add(*order)

    def finish(self) -> Orders | None:
        """Return what was found; None where nothing was."""
        self._settle()
        pairs = self._sample.seen
        if not pairs:
            return None
        return Orders(
            pairs=pairs,
            agree=self._agree,
            reported=self._reported,
            gap=distribution(
                self._sample.rows[:, 0], self._total / pairs, self._range, self._sample.drawn
            ),
        )

    def _add(self, gap: float, agree: bool | None) -> None:
        self._gaps.append(gap)
        self._total += gap
        self._range = min(self._range[0], gap), max(self._range[1], gap)
        if agree is not None:
            self._reported += 1
            self._agree += agree
        if len(self._gaps) >= _BATCH:
            self._settle()

    def _settle(self) -> None:
        if self._gaps:
            self._sample.add(self._np.array(self._gaps)[:, None])
            self._gaps = []


def _order_of(metadata: Raw | None) -> tuple[float, bool | None] | None:
    """Return the gap, and whether both orders gave one answer, where metadata tells."""
    # Most metadata has nothing of the kind, and is not decoded to learn that.
    if metadata is None or _NAME not in bytes(metadata):
        return None
    found = msgspec.json.decode(metadata)
    for place in (found, _get(found, "fields"), _get(found, "verdict", "fields")):
        gap = _get(place, "order_gap")
        if isinstance(gap, int | float) and 0 <= gap <= 1:
            return float(gap), _agreement(_get(place, "orders"))
    return None


def _agreement(orders: Json) -> bool | None:
    if not isinstance(orders, list):
        return None
    answers = [_get(one, "value") for one in cast("list[Json]", orders)]
    return answers[0] == answers[1] if len(answers) == 2 and None not in answers else None


def _get(value: Json, *names: str) -> Any:
    for name in names:
        value = cast("dict[str, Json]", value).get(name) if isinstance(value, dict) else None
    return value
