"""Measuring pairs as they are made, one turn at a time."""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec

from plaudit._util.packages import load_package
from plaudit.preferences.candidate import Id
from plaudit.preferences.competing import Pick
from plaudit.preferences.lengths import length_of
from plaudit.preferences.pairing import CandidateGroup
from plaudit.preferences.preference import Preference
from plaudit.preferences.report import measures
from plaudit.preferences.report.gathering import GatheredTurn
from plaudit.preferences.report.numbers import ReportNumbers
from plaudit.preferences.report.orders import OrderSums
from plaudit.preferences.report.showing import ShownPairs
from plaudit.preferences.report.sketches import HashSums, Heaviest, Moments, RowSample
from plaudit.preferences.tally import Tally
from plaudit.preferences.texts import prompt_key, response_key

_BATCH = 2**15
_PROMPT_BITS = 40
"""Of a key that is a prompt's hash and an example's; by the former it is kept or not."""
_LENGTH_BINS = 64
_NUMBERS = itemgetter(0, 3, 4)
"""Of a pick: its margin, and the places of both candidates."""
_MOST = 1e300
"""Wider margins count as this, so that no sum of them goes beyond the range of floats."""


class PairReport:
    """Measures pairs; memory does not grow with them.

    ::

        report = PairReport(seed=0)
        for turn in turns:
            report.add_turn(turn)
        write_report(report.finish(tally), "report")

    Up to 262,144 examples, prompts and pairs are counted exactly, and quantiles are of all up to
    100,000 pairs; beyond they are of a seeded sample, and say so.
    """

    def __init__(self, seed: int = 0) -> None:
        """Begin.

        Raises:
            MissingDependencyError: NumPy is not installed.
        """
        self._np = load_package("numpy", "stats")
        self._seed = seed
        self.pairs = 0
        self.sample = RowSample(2, seed)
        """Margin and difference in length."""
        self.moments = Moments()
        """Of margin and difference in length."""
        self.chosen_characters = 0
        self.margin_range = self.difference_range = (float("inf"), float("-inf"))
        self.bins: Any = self._np.zeros((2, _LENGTH_BINS), int)
        """Pairs by the bit length of their difference in length; 0: shorter or equal, 1: longer."""
        self.examples = HashSums(3)
        """Pairs, those whose chosen response is longer, and those where it is shorter."""
        self.equal_pairs = HashSums(1)
        self.prompts = HashSums(0)
        """Keys are of a prompt and an example."""
        self.heaviest = Heaviest()
        self.orders = OrderSums(seed)
        self._shown = ShownPairs(seed)
        self._gathered = GatheredTurn()
        self._begin_batch()

    def add(self, pair: Preference) -> None:
        """Add one pair; those of a turn come one after the other."""
        if not self._gathered.takes(pair):
            self._add_gathered()
            self._gathered = GatheredTurn(pair)
        self._gathered.add(pair)

    def add_turn(self, turn: CandidateGroup) -> None:
        """Add the pairs of a turn."""
        picks = turn.picks
        if not picks:
            return
        first = turn.candidates[0]
        self.orders.add(turn)
        self._shown.add(turn)
        self.heaviest.add(first.example_id, len(picks))
        self._turns.append((len(picks), len(turn.candidates)))
        self._turn_hashes += (_hash(prompt_key(first.prompt)), _hash_id(first.example_id))
        for candidate in turn.candidates:
            self._lengths.append(length_of(candidate.response))
            self._hashes.append(_hash(response_key(candidate.response)))
        self._picks.extend(picks)
        if len(self._picks) >= _BATCH:
            self._add_batch()

    def finish(self, tally: Tally | None = None) -> ReportNumbers:
        """Return what was measured; nothing can be added after.

        Args:
            tally: what became of the candidates and of all pairs that could have been.
        """
        self._add_gathered()
        if self._picks:
            self._add_batch()
        some = self.pairs > 0
        return ReportNumbers(
            pairs=self.pairs,
            seed=self._seed,
            margins=measures.margins(self) if some else None,
            lengths=measures.lengths(self) if some else None,
            duplicates=measures.duplicates(self) if some else None,
            weights=measures.weights(self) if some else None,
            orders=self.orders.finish(),
            tally=tally,
            shown=self._shown.pairs,
        )

    def _add_gathered(self) -> None:
        gathered, self._gathered = self._gathered, GatheredTurn()
        self.add_turn(gathered.turn())

    def _begin_batch(self) -> None:
        self._picks: list[Pick] = []
        self._turns: list[tuple[int, int]] = []
        """Pairs and candidates of each turn."""
        self._turn_hashes: list[bytes] = []
        """Of its prompt and of its example."""
        self._lengths: list[int] = []
        self._hashes: list[bytes] = []

    def _add_batch(self) -> None:
        np = self._np
        count = len(self._picks)
        numbers = chain.from_iterable(map(_NUMBERS, self._picks))
        picks = np.fromiter(numbers, float, 3 * count).reshape(count, 3)
        turns = np.array(self._turns)
        turn_P = np.repeat(np.arange(len(turns)), turns[:, 0])
        begin_P = (np.cumsum(turns[:, 1]) - turns[:, 1])[turn_P]
        chosen_P, rejected_P = (picks[:, column].astype(int) + begin_P for column in (1, 2))
        lengths = np.array(self._lengths)
        margins = np.minimum(-picks[:, 0], _MOST)
        self._add_numbers(margins, lengths[chosen_P], lengths[rejected_P])
        prompts, examples = self._unpacked(self._turn_hashes).reshape(-1, 2).T
        self._add_examples(examples, turn_P, lengths[chosen_P] - lengths[rejected_P])
        self._add_prompts(prompts, examples)
        texts = self._unpacked(self._hashes)
        keys = _mix(_mix(_mix(prompts[turn_P]) + texts[chosen_P]) + texts[rejected_P])
        self.equal_pairs.add(keys, np.ones((count, 1)))
        self.pairs += count
        self._begin_batch()

    def _unpacked(self, hashes: Sequence[bytes]) -> Any:
        return self._np.frombuffer(b"".join(hashes), "<u8")

    def _add_numbers(self, margins: Any, chosen: Any, rejected: Any) -> None:
        np = self._np
        differences = chosen - rejected
        rows = np.stack([margins, differences.astype(float)], axis=1)
        self.sample.add(rows)
        self.moments.add(rows)
        self.chosen_characters += int(chosen.sum())
        self.margin_range = _widened(self.margin_range, margins)
        self.difference_range = _widened(self.difference_range, differences)
        # The exponent of a float is the bit length of the whole number that it is.
        bits = np.frexp(np.abs(differences).astype(float))[1]
        for side, where in enumerate((differences <= 0, differences > 0)):
            self.bins[side] += np.bincount(bits[where], minlength=_LENGTH_BINS)

    def _add_examples(self, examples: Any, turn_P: Any, differences: Any) -> None:
        np = self._np
        sides = (np.ones(len(turn_P)), differences > 0, differences < 0)
        sums = [np.bincount(turn_P, side, len(examples)) for side in sides]
        self.examples.add(examples, np.stack(sums, axis=1))

    def _add_prompts(self, prompts: Any, examples: Any) -> None:
        np = self._np
        low, high = np.uint64(64 - _PROMPT_BITS), np.uint64(_PROMPT_BITS)
        self.prompts.add((prompts >> low << low) | (examples >> high), np.zeros((len(prompts), 0)))


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()


def _hash_id(id_: Id) -> bytes:
    return _hash(msgspec.json.encode(id_))


def _mix(hashes: Any) -> Any:
    """Scatter hashes (the last step of splitmix64, Steele, Lea and Flood 2014)."""
    kind = hashes.dtype.type
    hashes = (hashes ^ (hashes >> kind(30))) * kind(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> kind(27))) * kind(0x94D049BB133111EB)
    return hashes ^ (hashes >> kind(31))


def _widened(range_: tuple[float, float], values: Any) -> tuple[float, float]:
    return min(range_[0], float(values.min())), max(range_[1], float(values.max()))
