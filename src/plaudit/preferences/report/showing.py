"""A few pairs, drawn at random, for people to look at."""

import math
import random

import msgspec
from msgspec import Raw

from plaudit.preferences.competing import Pick
from plaudit.preferences.lengths import length_of
from plaudit.preferences.pairing import CandidateGroup
from plaudit.preferences.report.numbers import ShownPair

SHOWN = 6
_CHARACTERS = 600


class ShownPairs:
    """A uniform sample of pairs (Li's algorithm L, 1994, which skips most without a look)."""

    def __init__(self, seed: int, most: int = SHOWN) -> None:
        """Begin."""
        self._random = random.Random(seed)
        self._most = most
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
        if len(self.pairs) < self._most:
            self.pairs.append(pair)
        else:
            self.pairs[self._random.randrange(self._most)] = pair
        self._next += 1
        if len(self.pairs) == self._most:
            self._weight *= math.exp(math.log(1 - self._random.random()) / self._most)
            chance = math.log(1 - self._random.random()) / math.log1p(-self._weight)
            self._next += math.floor(chance)


def _shown(turn: CandidateGroup, pick: Pick) -> ShownPair:
    chosen, rejected = turn.candidates[pick[3]], turn.candidates[pick[4]]
    return ShownPair(
        example_id=chosen.example_id,
        turn_id=chosen.turn_id,
        margin=-pick[0],
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
