"""A choice among pairs after which the chosen response is longer as often as it is shorter."""

from hashlib import blake2b

from plaudit.errors import InputError

_KEY_SPACE = 2.0**64


class LengthBalance:
    """Drops pairs until length alone does not show which response was chosen.

    Pairs of like difference in length are set against each other: differences of 1, of 2 to 3, of
    4 to 7 characters and so on, each twice as wide as the one before. Within each, as many pairs
    are kept whose chosen response is the longer as pairs whose chosen one is the shorter; of the
    side that has more, a draw by the seed says which. Pairs of equal lengths are all kept.

    ::

        balance = LengthBalance(seed=0)
        for pair in pairs:
            balance.count(len(pair.chosen), len(pair.rejected))
        kept = [p for p in pairs if balance.keeps(p.key, len(p.chosen), len(p.rejected))]

    Memory does not grow with the pairs.
    """

    def __init__(self, seed: int = 0) -> None:
        """Begin; the same pairs in the same order with the same seed give the same choice."""
        self._seed = seed
        self._counts: dict[int, int] = {}
        self._left: dict[int, int] | None = None
        self._wanted: dict[int, int] = {}

    def count(self, chosen_length: int, rejected_length: int) -> None:
        """Count a pair; all of them come before the first is chosen.

        Args:
            chosen_length: characters of the chosen response, 0 or more.
            rejected_length: of the rejected one.
        """
        if self._left is not None:
            raise RuntimeError("pairs are counted before any of them is chosen")
        bin_ = _bin(chosen_length, rejected_length)
        self._counts[bin_] = self._counts.get(bin_, 0) + 1

    @property
    def dropped(self) -> int:
        """How many of the counted pairs are not kept."""
        counts = self._counts
        return sum(max(count - counts.get(-bin_, 0), 0) for bin_, count in counts.items() if bin_)

    def keeps(self, key: bytes, chosen_length: int, rejected_length: int) -> bool:
        """Return whether a pair is kept; asked once of each that was counted, in any fixed order.

        Args:
            key: identifies the pair, such as its ids and indices.
            chosen_length: as counted.
            rejected_length: as counted.

        Raises:
            InputError: more pairs are asked about than were counted: the input has changed.
        """
        bin_ = _bin(chosen_length, rejected_length)
        if bin_ == 0:
            return True
        left = self._begin()
        remaining, wanted = left.get(bin_, 0), self._wanted.get(bin_, 0)
        if remaining == 0:
            raise InputError("the pairs are not those that were counted: did the input change?")
        left[bin_] = remaining - 1
        # Selection sampling (Knuth, The Art of Computer Programming, 3.4.2, algorithm S): each
        # side of a bin ends with exactly as many as are wanted.
        keep = self._draw(key) * remaining < wanted
        self._wanted[bin_] = wanted - keep
        return keep

    def _begin(self) -> dict[int, int]:
        if self._left is None:
            self._left = dict(self._counts)
            self._wanted = {b: min(n, self._counts.get(-b, 0)) for b, n in self._counts.items()}
        return self._left

    def _draw(self, key: bytes) -> float:
        """Return a number from 0 up to 1 that the key and the seed make."""
        digest = blake2b(b"%d/%b" % (self._seed, key), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) * 2.0**11 / _KEY_SPACE


def _bin(chosen_length: int, rejected_length: int) -> int:
    """Return the bin of a difference: 0 for none, 1 for 1, 2 for 2..3, ...; below 0 if shorter."""
    difference = chosen_length - rejected_length
    bin_ = abs(difference).bit_length()
    return bin_ if difference >= 0 else -bin_
