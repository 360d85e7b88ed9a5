"""Penalties on what the model wrote: `length` and `repetition`, each from 0 down to -1."""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from plaudit.rollouts.rewards import words
from plaudit.rollouts.rewards.base import Measure, check_range, scored
from plaudit.rollouts.rewards.reading import answer_of, written
from plaudit.rollouts.trace import Score, Trace

_RUN = 4


class Length(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 up to `free` characters, -1 from `full` characters on, and a line between them."""

    name: ClassVar[str] = "length"
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 0.0

    of: Literal["answer", "all"] = "answer"
    """Whether the final answer counts, or all thoughts and texts. Calls and results never do."""
    free: int = 600
    full: int = 2400

    def __post_init__(self) -> None:
        """Check the options."""
        check_range(0, math.inf, free=self.free)
        check_range(self.free + 1, math.inf, full=self.full)

    def measure(self, trace: Trace) -> Score:
        """Score the length of what was written, -1..0."""
        texts = [answer_of(trace)]
        if self.of == "all":
            texts = [text for texts in written(trace) for text in texts]
        length = sum(len(text.strip()) for text in texts)
        over = (length - self.free) / (self.full - self.free)
        return scored(0.0 - min(max(over, 0.0), 1.0), f"{length} characters", characters=length)


class Repetition(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """0 up to a share of `free` repeated runs of four words, -1 where all are, a line between them.

    The share is 1 - different runs / runs (rep-4, Welleck et al. 2020), over all thoughts and all
    texts that the model wrote. No run reaches from one into the next, and what is thought first and
    then said is not repeated.
    """

    name: ClassVar[str] = "repetition"
    low: ClassVar[float] = -1.0
    high: ClassVar[float] = 0.0

    free: float = 0.2

    def __post_init__(self) -> None:
        """Check the options."""
        check_range(0, 0.99, free=self.free)

    def measure(self, trace: Trace) -> Score:
        """Score how far the model repeats itself, -1..0."""
        share = _repeated_share(written(trace))
        over = (share - self.free) / (1 - self.free)
        return scored(0.0 - max(over, 0.0), f"{share:.0%} of the runs are repeated", share=share)


def _repeated_share(sorts: Iterable[Sequence[str]]) -> float:
    count, different = 0, 0
    for texts in sorts:
        known: set[tuple[str, ...]] = set()
        for text in texts:
            for run in words.runs(words.words(text), _RUN):
                count += 1
                known.add(run)
        different += len(known)
    return 1 - different / count if count else 0.0
