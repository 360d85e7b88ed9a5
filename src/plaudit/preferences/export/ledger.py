"""Responses that are in several pairs: how often each was chosen and rejected."""

from array import array
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from plaudit._util.packages import load_package
from plaudit.preferences.export.rows import PairRow
from plaudit.preferences.texts import prompt_key, response_key

_COMPACT = 2**20


class Ledger:
    """Counts every response in a first pass, and lets each through once in a second.

    A response is what it says to one prompt of one example. 24 bytes a response.
    """

    def __init__(self) -> None:
        """Begin.

        Raises:
            MissingDependencyError: `numpy` is not installed.
        """
        self._np = load_package("numpy", "preferences")
        self._keys = array("Q")
        self._wins = array("q")
        self._compact_at = _COMPACT
        self._passed: Any = None

    def count(self, pair: PairRow) -> None:
        """Count a pair's responses."""
        self._keys.append(_key(pair, pair.chosen))
        self._wins.append(1)
        self._keys.append(_key(pair, pair.rejected))
        self._wins.append(-1)
        if len(self._keys) >= self._compact_at:
            self._compact()
            self._compact_at = 2 * len(self._keys) + _COMPACT

    def close(self) -> None:
        """End the counting."""
        self._compact()
        self._passed = self._np.zeros(len(self._keys), dtype=bool)

    def first(self, pair: PairRow, response: Raw) -> int | None:
        """Return how much oftener a response was chosen than rejected; None the second time."""
        np = self._np
        place = np.frombuffer(self._keys, dtype=np.uint64).searchsorted(
            np.uint64(_key(pair, response))
        )
        if self._passed[place]:
            return None
        self._passed[place] = True
        return self._wins[int(place)]

    def _compact(self) -> None:
        np = self._np
        keys, places = np.unique(np.array(self._keys, dtype=np.uint64), return_inverse=True)
        wins = np.zeros(len(keys), dtype=np.int64)
        np.add.at(wins, places, np.array(self._wins, dtype=np.int64))
        self._keys, self._wins = array("Q", keys.tobytes()), array("q", wins.tobytes())


def _key(pair: PairRow, response: Raw) -> int:
    drawn = blake2b(msgspec.json.encode(pair.example_id), digest_size=8)
    for data in (prompt_key(pair.prompt), response_key(response)):
        drawn.update(len(data).to_bytes(8, "little"))
        drawn.update(data)
    return int.from_bytes(drawn.digest(), "little")
