"""Measuring pairs as they are made, one turn at a time."""

import math
import random
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw

from plaudit._util.packages import load_package
from plaudit.preferences.pairing import grouped_pairs
from plaudit.preferences.report import measures
from plaudit.preferences.report.numbers import Orders, ReportNumbers, ShownPair
from plaudit.preferences.texts import length_of, prompt_key
from plaudit.preferences.types import Candidate, CandidateGroup, Id, Pick, Preference, Tally
from plaudit.types import Json

SHOWN = 6
_BATCH = 2**15
_CHARACTERS = 600
_NUMBERS = itemgetter(0, 3, 4)
"""Of a pick: its margin, and the places of both candidates."""
_MOST = 1e300
"""Wider margins count as this, so that sums stay within the range of floats."""
_GAP = b'"order_gap"'


class PairReport:
    """Measures pairs, in 36 bytes a pair, and the ids of all examples.

    ::

        report = PairReport(seed=0)
        for turn in turns:
            report.add_turn(turn)
        write_report(report.finish(tally), "report")
    """

    def __init__(self, seed: int = 0, batch: int = _BATCH) -> None:
        """Begin.

        Args:
            seed: draws the pairs that are shown.
            batch: pairs that become one array.

        Raises:
            MissingDependencyError: NumPy is not installed.
        """
        self._np = load_package("numpy", "stats")
        self._seed = seed
        self._batch = batch
        self._examples: dict[Id, int] = {}
        self._arrays: list[Any] = []
        self._shown = _ShownPairs(seed)
        self._orders = _OrderGaps()
        self._open: list[Preference] = []
        """Pairs of one turn that came one by one."""
        self._begin_batch()

    def add(self, pair: Preference) -> None:
        """Add one pair; the pairs of a turn come one after the other."""
        if self._open and not _same_turn(self._open[0], pair):
            self._add_open()
        self._open.append(pair)

    def add_turn(self, turn: CandidateGroup) -> None:
        """Add the pairs of a turn."""
        picks = turn.picks
        if not picks:
            return
        first = turn.candidates[0]
        self._orders.add(turn)
        self._shown.add(turn)
        example = self._examples.setdefault(first.example_id, len(self._examples))
        self._turns.append((len(picks), len(turn.candidates), example))
        self._prompts.append(_hash(prompt_key(first.prompt)))
        self._lengths += [length_of(candidate.response) for candidate in turn.candidates]
        self._responses += map(_hash, turn.texts)
        self._picks.extend(picks)
        if len(self._picks) >= self._batch:
            self._end_batch()

    def finish(self, tally: Tally | None = None) -> ReportNumbers:
        """Return the figures; nothing can be added after.

        Args:
            tally: the counts of the candidates and of all possible pairs.
        """
        self._add_open()
        self._end_batch()
        pairs = self._np.concatenate(self._arrays)
        self._arrays = []
        some = len(pairs) > 0
        return ReportNumbers(
            pairs=len(pairs),
            seed=self._seed,
            margins=measures.margins(pairs) if some else None,
            lengths=measures.lengths(pairs) if some else None,
            duplicates=measures.duplicates(pairs) if some else None,
            weights=measures.weights(pairs, list(self._examples)) if some else None,
            orders=self._orders.finish(),
            tally=tally,
            shown=self._shown.pairs,
        )

    def _add_open(self) -> None:
        if self._open:
            self.add_turn(grouped_pairs(map(_sides, self._open)))
            self._open = []

    def _begin_batch(self) -> None:
        self._picks: list[Pick] = []
        self._turns: list[tuple[int, int, int]] = []
        """Pairs and candidates of each turn, and the number of its example."""
        self._prompts: list[bytes] = []
        self._lengths: list[int] = []
        self._responses: list[bytes] = []

    def _end_batch(self) -> None:
        """Make an array of the pairs that wait."""
        np, count = self._np, len(self._picks)
        numbers = chain.from_iterable(map(_NUMBERS, self._picks))
        picks = np.fromiter(numbers, float, 3 * count).reshape(count, 3)
        turns = np.array(self._turns, int).reshape(-1, 3)
        turn_P = np.repeat(np.arange(len(turns)), turns[:, 0])
        begin_P = (np.cumsum(turns[:, 1]) - turns[:, 1])[turn_P]
        chosen_P, rejected_P = (picks[:, column].astype(int) + begin_P for column in (1, 2))
        lengths, responses = np.array(self._lengths, "u4"), self._unpacked(self._responses)
        pairs = np.empty(count, measures.PAIR)
        pairs["margin"] = np.minimum(-picks[:, 0], _MOST)
        pairs["chosen"], pairs["rejected"] = lengths[chosen_P], lengths[rejected_P]
        pairs["example"] = turns[turn_P, 2]
        pairs["prompt"] = self._unpacked(self._prompts)[turn_P]
        keys = _mix(_mix(pairs["prompt"]) + responses[chosen_P])
        pairs["key"] = _mix(keys + responses[rejected_P])
        self._arrays.append(pairs)
        self._begin_batch()

    def _unpacked(self, hashes: list[bytes]) -> Any:
        return self._np.frombuffer(b"".join(hashes), "<u8")


def _same_turn(one: Preference, other: Preference) -> bool:
    ids = ((type(p.example_id), p.example_id, type(p.turn_id), p.turn_id) for p in (one, other))
    return next(ids) == next(ids) and one.run == other.run and one.prompt == other.prompt


def _sides(pair: Preference) -> tuple[float, Candidate, Candidate]:
    """Return a pair as its margin and both candidates."""
    chosen, rejected = (
        Candidate(
            example_id=pair.example_id,
            turn_id=pair.turn_id,
            run=None if pair.run is UNSET else pair.run,
            index=index,
            prompt=pair.prompt,
            response=response,
            score=score,
            metadata=pair.metadata.get(side),
        )
        for side, index, response, score in (
            ("chosen", pair.chosen_index, pair.chosen, pair.chosen_score),
            ("rejected", pair.rejected_index, pair.rejected, pair.rejected_score),
        )
    )
    return math.nan if pair.margin is None else pair.margin, chosen, rejected


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()


def _mix(hashes: Any) -> Any:
    """Scatter hashes (the last step of splitmix64, Steele, Lea and Flood 2014)."""
    kind = hashes.dtype.type
    hashes = (hashes ^ (hashes >> kind(30))) * kind(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> kind(27))) * kind(0x94D049BB133111EB)
    return hashes ^ (hashes >> kind(31))


class _ShownPairs:
    """A uniform sample of pairs (Li's algorithm L, 1994, which skips most without a look)."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seen = 0
        self._next = 0
        self._weight = 1.0
        self.pairs: list[ShownPair] = []

    def add(self, turn: CandidateGroup) -> None:
        """Add the pairs of a turn."""
        end = self._seen + len(turn.picks)
        while self._next < end:
            self._take(_shown(turn, turn.picks[self._next - self._seen]))
        self._seen = end

    def _take(self, pair: ShownPair) -> None:
        if len(self.pairs) < SHOWN:
            self.pairs.append(pair)
        else:
            self.pairs[self._random.randrange(SHOWN)] = pair
        self._next += 1
        if len(self.pairs) == SHOWN:
            self._weight *= math.exp(math.log(1 - self._random.random()) / SHOWN)
            chance = math.log(1 - self._random.random()) / math.log1p(-self._weight)
            self._next += math.floor(chance)


def _shown(turn: CandidateGroup, pick: Pick) -> ShownPair:
    chosen, rejected = turn.candidates[pick[3]], turn.candidates[pick[4]]
    return ShownPair(
        example_id=chosen.example_id,
        turn_id=chosen.turn_id,
        margin=None if math.isnan(pick[0]) else -pick[0],
        prompt=_text(chosen.prompt),
        chosen=_text(chosen.response),
        rejected=_text(rejected.response),
        chosen_length=length_of(chosen.response),
        rejected_length=length_of(rejected.response),
    )


def _text(raw: Raw) -> str:
    """Return the beginning of a text, or of the JSON that it is instead."""
    value = msgspec.json.decode(raw)
    text = value if isinstance(value, str) else msgspec.json.format(bytes(raw), indent=2).decode()
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + " …"


class _OrderGaps:
    """Whether judges that were asked in both orders agree with themselves.

    Takes the `order_gap` of pairwise verdicts from the metadata of candidates.
    """

    def __init__(self) -> None:
        self._gaps: list[float] = []
        self._agree = self._reported = 0

    def add(self, turn: CandidateGroup) -> None:
        """Add the pairs of a turn; those without such metadata do not count."""
        read = [_order_of(candidate.metadata) for candidate in turn.candidates]
        if not any(read):
            return
        for _, _, _, chosen, rejected in turn.picks:
            order = read[chosen] or read[rejected]
            if order is not None:
                gap, agree = order
                self._gaps.append(gap)
                self._reported += agree is not None
                self._agree += bool(agree)

    def finish(self) -> Orders | None:
        """Return the figures; None where no pair has a gap."""
        if not self._gaps:
            return None
        gaps = load_package("numpy", "stats").array(self._gaps)
        return Orders(
            pairs=len(gaps),
            agree=self._agree,
            reported=self._reported,
            gap=measures.distribution(gaps, sum(self._gaps) / len(gaps)),
        )


def _order_of(metadata: Raw | None) -> tuple[float, bool | None] | None:
    """Return the gap, and whether both orders gave one answer, where metadata holds them."""
    # Most metadata holds no gap, and is not decoded.
    if metadata is None or _GAP not in bytes(metadata):
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
