"""TRL: `DPOTrainer`, `KTOTrainer`, `RewardTrainer`, `SFTTrainer`.

Tools are JSON text, which the trainers decode; objects would be filled up with nulls by Arrow,
which wants every row to have the same fields.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from plaudit.preferences.export.base import Dataset, Format, row
from plaudit.preferences.export.ledger import Ledger
from plaudit.preferences.export.rows import PairRow
from plaudit.preferences.export.shaping import Carries, Shaped, joined


class _Trl(Format):
    # Images would have to be in a column of their own: the trainers do not look into parts.
    carries = Carries(content="parts", calls=True, tools=True, turns=True, fields=True)

    def _row(self, pair: Shaped, *columns: tuple[str, bytes]) -> bytes:
        if not self.dataset.tools:
            return row(columns)
        tools = b"null" if pair.tools is None else msgspec.json.encode(pair.tools.decode())
        return row((*columns, ("tools", tools)))


class TrlDpo(_Trl):
    """`prompt`, `chosen`, `rejected`."""

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row."""
        columns = (("prompt", pair.prompt), ("chosen", pair.chosen), ("rejected", pair.rejected))
        return [self._row(pair, *columns)]


class TrlReward(_Trl):
    """`chosen`, `rejected`, the prompt in both."""

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row."""
        chosen, rejected = joined(pair.prompt, pair.chosen), joined(pair.prompt, pair.rejected)
        return [self._row(pair, ("chosen", chosen), ("rejected", rejected))]


class _Responses(_Trl):
    """Rows of one response each."""

    def __init__(self) -> None:
        self._ledger = Ledger()

    def count(self, pair: PairRow) -> None:
        self._ledger.count(pair)

    def begin(self, dataset: Dataset) -> None:
        super().begin(dataset)
        self._ledger.close()


class TrlKto(_Responses):
    """`prompt`, `completion`, `label`: whether it was chosen oftener than rejected."""

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Yield a row for each response that had none yet."""
        for raw, data in ((pair.row.chosen, pair.chosen), (pair.row.rejected, pair.rejected)):
            wins = self._ledger.first(pair.row, raw)
            if wins == 0:
                self.ties += 1
            elif wins is not None:
                label = b"true" if wins > 0 else b"false"
                columns = (("prompt", pair.prompt), ("completion", data), ("label", label))
                yield self._row(pair, *columns)


class TrlSft(_Responses):
    """`prompt`, `completion`: every chosen response once."""

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Yield a row if the chosen response had none yet."""
        chosen: Raw = pair.row.chosen
        if self._ledger.first(pair.row, chosen) is not None:
            yield self._row(pair, ("prompt", pair.prompt), ("completion", pair.chosen))
