"""Which pairs are made of a turn's candidates."""

import re
from typing import Literal, get_args

import msgspec

from plaudit.errors import UsageError

RewardOf = Literal["margin", "chosen"]
Contradictions = Literal["drop", "keep"]

_RANDOM = re.compile(r"random-([1-9][0-9]{0,8})")


class PairOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How pairs are made; it is data, and goes into what is written about a run."""

    mode: str = "exhaustive"
    """`exhaustive`: each two candidates of a turn; `best-worst`: the best and the worst;
    `adjacent`: each candidate and the next best; `random-K`: K of all pairs, by the seed."""
    min_margin: float = 0.0
    """Least difference of scores, 0 or more; a pair needs more than 0 in any case."""
    max_per_turn: int | None = None
    """Most pairs a turn, those of the widest margins; None: all."""
    min_confidence: float | None = None
    """Candidates below it, and those without a confidence, are dropped; None: none is."""
    reward: RewardOf = "margin"
    """What a pair's `reward` is: its margin, or the chosen response's score."""
    dedupe: bool = False
    """Whether a pair of the same prompt and responses as an earlier one is dropped."""
    contradictions: Contradictions = "drop"
    """Whether pairs are dropped of which one prefers a response that the other one rejects for the
    same prompt, or kept."""
    max_pairs: int | None = None
    """Most pairs in all, drawn by the seed; None: all."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked.

        Raises:
            UsageError: an option is out of range.
        """
        if self.mode not in {"exhaustive", "best-worst", "adjacent"} and self.drawn is None:
            raise UsageError(
                f"mode {self.mode!r}: give exhaustive, best-worst, adjacent or random-K, such as "
                "random-4"
            )
        if not 0 <= self.min_margin < float("inf"):
            raise UsageError(f"min_margin {self.min_margin}: give a number of 0 or more")
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise UsageError(f"min_confidence {self.min_confidence}: give a number from 0 to 1")
        if self.reward not in get_args(RewardOf):
            raise UsageError(f"reward {self.reward!r}: give margin or chosen")
        if self.contradictions not in get_args(Contradictions):
            raise UsageError(f"contradictions {self.contradictions!r}: give drop or keep")
        for name in ("max_per_turn", "max_pairs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: give 1 or more")

    @property
    def drawn(self) -> int | None:
        """How many pairs of a turn are drawn; None where none is."""
        found = _RANDOM.fullmatch(self.mode)
        return None if found is None else int(found[1])
