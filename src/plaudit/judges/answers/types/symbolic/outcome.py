"""What a comparison of two formulas asks for and what became of it; both cross a pipe."""

from typing import Literal

import msgspec

Relation = Literal["equal", "different", "open"]


class Pair(msgspec.Struct, frozen=True):
    """An answer and a reference that are compared."""

    answer: str
    reference: str
    tolerance: float = 0.0
    """Relative error up to which values are equal; 0: they are exact."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a comparison."""

    relation: Relation
    """`open`: it cannot be known, or took too much."""
    reason: str
    slow: bool = False
    """Whether a slower machine could come to another outcome, so that this one is stored."""


class Budget(msgspec.Struct, frozen=True):
    """What one comparison may use."""

    cpu_seconds: float = 2.0
    wall_seconds: float = 30.0
    """Longest wait for a comparison on a busy machine."""
    memory_bytes: int = 1 << 30
    """Address space of the process, the libraries included."""


class WorkerError(Exception):
    """The process did not start, or it ended for a reason that is not the comparison's."""
