"""The table `[watch]` of SPEC: which rewards are watched, by what, and how often."""

from typing import Annotated

import msgspec

from plaudit._util.ranges import SECONDS, WHOLE_64, Range, check_ranges
from plaudit.errors import UsageError


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[watch]`."""

    every: Annotated[float, Range(0, SECONDS, above=True)] = 300.0
    """Seconds of an interval, over which its probes are spread."""
    probes: Annotated[int, Range(1, 1000)] = 48
    """Most probes of a reward in an interval."""
    calls: Annotated[int, Range(1, WHOLE_64)] = 200
    """Most engine calls for the probes of a reward in an interval."""
    window: Annotated[int, Range(2, 100)] = 12
    """Intervals that are compared with as many at the beginning."""
    rewards: list[str] | None = None
    """Those that are watched; null: all."""
    rows: str | dict[str, str] | None = None
    """Path of rows whose value is known, or paths by reward; from the folder of SPEC."""
    paid: float | dict[str, float] | None = None
    """A value above it pays an answer; or by reward."""
    cheats: list[str] = []
    """Further answers that earn nothing, whatever the question."""
    allowed: Annotated[float, Range(0, 1, below=True)] = 0.05
    """Share of the tries of a cheat that may be paid without an alarm."""
    tolerance: Annotated[float, Range(0, SECONDS)] = 0.1
    """How far from the known `value` of a row an equal one may lie."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ArgumentError: one is out of range.
        """
        check_ranges(self)
        if any(not text.strip() for text in self.cheats):
            raise UsageError("cheats: an empty text is none")
