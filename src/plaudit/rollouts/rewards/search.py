"""`search_effort`: whether the model searched as often as is of use, and no more."""

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import msgspec

from plaudit.rollouts.rewards.base import Measure, check_range, scored
from plaudit.rollouts.rewards.reading import Result, calls_of, no_answer, results_of
from plaudit.rollouts.rewards.words import normal
from plaudit.rollouts.trace import CallRecord, Score, Trace


class Searches(NamedTuple):
    """What a rollout searched."""

    useful: int
    """Calls with a query of their own that brought something not seen before."""
    made: int
    """Calls, without those that failed through no fault of the model."""


class SearchEffort(Measure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`effort(useful, made)`, 0 without an answer; see the functions of this module."""

    name: ClassVar[str] = "search_effort"
    reads_tools: ClassVar[bool] = True

    best: int = 2
    """Useful searches that are paid in full."""
    zero: int = 10
    """Searches, useful or not, from which on nothing is paid."""
    tools: tuple[str, ...] = ()
    """Tools that search; none: all."""

    def __post_init__(self) -> None:
        """Check the options."""
        check_range(1, math.inf, best=self.best)
        check_range(self.best + 1, math.inf, zero=self.zero)

    def measure(self, trace: Trace) -> Score:
        """Score the searches of a rollout, 0..1."""
        found = searches_of(trace, self.tools)
        numbers = {"useful": float(found.useful), "made": float(found.made)}
        nothing = no_answer(trace)
        if nothing:
            return scored(0.0, nothing, **numbers)
        value = effort(found.useful, found.made, self.best, self.zero)
        return scored(value, f"useful searches: {found.useful} of {found.made}", **numbers)


def effort(useful: int, made: int, best: int, zero: int) -> float:
    """Return what searches are worth, 0..1: a line up to the best number, and a line down after it.

    `min(useful / best, 1)` times 1 up to `best` searches made, then `(zero - made) / (zero - best)`
    down to 0. So where all searches are useful it is 1 at `best` and nowhere else, and searches
    that bring nothing can only cost.

    Args:
        useful: searches that brought something new.
        made: all searches, at least `useful`.
        best: number of useful searches with the highest value, at least 1.
        zero: number of searches from which on the value is 0, above `best`.
    """
    rise = min(useful / best, 1.0)
    fall = min(max((zero - made) / (zero - best), 0.0), 1.0)
    return rise * fall


def searches_of(trace: Trace, tools: Sequence[str] = ()) -> Searches:
    """Count the searches of a rollout.

    A search is useful if it went well, its query is another one than those before (without regard
    to case, punctuation and white space), and it showed a chunk, or a text where chunks are not
    known, that no earlier search did.
    """
    calls = [call for call in calls_of(trace) if _counts(call, tools)]
    seen = _Seen()
    useful = sum(seen.is_new(result) for result in results_of(trace) if _counts(result.call, tools))
    made = sum(not call.tool_failed for call in calls)
    return Searches(useful, max(made, useful))


def _counts(call: CallRecord, tools: Sequence[str]) -> bool:
    return not tools or call.name in tools


class _Seen:
    """What a rollout has asked and read so far."""

    def __init__(self) -> None:
        self._queries: set[str] = set()
        self._found: set[str] = set()

    def is_new(self, result: Result) -> bool:
        """Note a search; return whether query and finding are new."""
        call, chunks = result.call, result.chunks
        found = {normal(result.text)} - {""} if chunks is None else set(chunks)
        arguments = msgspec.json.encode(call.arguments, order="sorted").decode()
        query = f"{call.name} {normal(arguments)}"
        new = query not in self._queries and not found <= self._found
        self._queries.add(query)
        self._found |= found
        return new
