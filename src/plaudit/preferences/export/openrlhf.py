"""OpenRLHF: `train_dpo` and `train_rm` with `--prompt_key prompt`."""

from collections.abc import Iterable

from plaudit.preferences.export.base import Format, row
from plaudit.preferences.export.shaping import Carries, Shaped


class OpenRlhf(Format):
    """`prompt`, `chosen`, `rejected`; messages need `--apply_chat_template`."""

    carries = Carries(turns=True)

    def rows(self, pair: Shaped) -> Iterable[bytes]:
        """Return one row."""
        columns = (("prompt", pair.prompt), ("chosen", pair.chosen), ("rejected", pair.rejected))
        return [row(columns)]
