"""What became of every candidate and of every pair that could have been."""

from typing import Literal, get_args

import msgspec

CandidateDrop = Literal[
    "no_score", "empty", "low_confidence", "prompt_mismatch", "duplicate", "single_candidate"
]
"""Why a candidate is in no pair, the first that holds. `prompt_mismatch`: another prompt than its
turn's first; `duplicate`: its text is that of an earlier one of its turn (`dedupe`)."""

PairDrop = Literal[
    "same_text",
    "tie",
    "below_margin",
    "overflow",
    "contradiction",
    "over_cap",
    "duplicate",
    "length_balance",
]
"""Why a pair was not made, the first that holds. `overflow`: the difference of both scores is
larger than a number can be; `contradiction`: another pair has the same prompt and the same two
responses the other way round; `over_cap`: beyond `max_per_turn` or `max_pairs`; `duplicate`: prompt
and responses are those of an earlier pair; `length_balance`: so that the chosen response is the
longer one as often as the shorter."""

CANDIDATE_DROPS: tuple[CandidateDrop, ...] = get_args(CandidateDrop)
PAIR_DROPS: tuple[PairDrop, ...] = get_args(PairDrop)


class Tally(msgspec.Struct, kw_only=True):
    """Counts that add up: see `adds_up`."""

    turns: int = 0
    candidates: int = 0
    """As read; rejected rows are none."""
    used: int = 0
    """Candidates that compete: in a turn with another usable one."""
    dropped: dict[CandidateDrop, int] = {}
    """Candidates that do not, by reason; only reasons that occurred."""
    possible: int = 0
    """Pairs that the mode makes of the used candidates."""
    pairs: int = 0
    dropped_pairs: dict[PairDrop, int] = {}
    """Pairs that were not made, by reason; only reasons that occurred."""

    def drop(self, reason: CandidateDrop, count: int = 1) -> None:
        """Count dropped candidates."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def drop_pairs(self, reason: PairDrop, count: int = 1) -> None:
        """Count pairs that were not made."""
        if count:
            self.dropped_pairs[reason] = self.dropped_pairs.get(reason, 0) + count

    def add(self, other: "Tally") -> None:
        """Add another one's counts."""
        self.turns += other.turns
        self.candidates += other.candidates
        self.used += other.used
        self.possible += other.possible
        self.pairs += other.pairs
        for reason, count in other.dropped.items():
            self.drop(reason, count)
        for reason, count in other.dropped_pairs.items():
            self.drop_pairs(reason, count)

    @property
    def adds_up(self) -> bool:
        """Whether nothing was lost: all candidates and all possible pairs are accounted for."""
        candidates = self.used + sum(self.dropped.values())
        return candidates == self.candidates and (
            self.pairs + sum(self.dropped_pairs.values()) == self.possible
        )
