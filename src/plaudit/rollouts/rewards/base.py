"""What a reward is: a name, the range of its values, and a score for a trace."""

from collections.abc import Collection
from typing import ClassVar, Protocol, runtime_checkable

import msgspec

from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.types import Json


class Reward(Protocol):
    """Something that scores traces. Its values lie in `low`..`high`; None means: not scored."""

    @property
    def name(self) -> str:
        """What it is called, in results and in a trainer's metrics."""
        ...

    @property
    def low(self) -> float:
        """The least value; -inf where it is not known."""
        ...

    @property
    def high(self) -> float:
        """The greatest value; inf where it is not known."""
        ...

    @property
    def identity(self) -> Json:
        """What its scores depend on besides the trace; for the fingerprint."""
        ...

    async def score(self, trace: Trace) -> Score:
        """Score one trace. Never raises for what a trace holds.

        Raises:
            EngineUnusableError: a judge is asked, and its engine can answer nothing.
        """
        ...

    async def close(self) -> None:
        """Free what was taken for this event loop; it can be used again."""
        ...


@runtime_checkable
class ImmediateReward(Reward, Protocol):
    """A reward that scores most traces without waiting for anything."""

    def score_now(self, trace: Trace) -> Score | None:
        """Return what `score` would; None where it has to wait for something."""
        ...


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward that is computed from the trace alone. Its fields are its options."""

    name: ClassVar[str]
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    reads_tools: ClassVar[bool] = False
    """Whether it reads what tools returned, of those that its option `tools` names."""

    @property
    def identity(self) -> Json:
        """Name and options."""
        return [self.name, msgspec.to_builtins(self)]

    def measure(self, trace: Trace) -> Score:
        """Score a trace that was not broken off, and in which no tool failed that it reads."""
        raise NotImplementedError

    async def score(self, trace: Trace) -> Score:
        """Score a trace; None where it was broken off, or a tool failed that it reads."""
        return self.score_now(trace)

    def score_now(self, trace: Trace) -> Score:
        """Return what `score` does."""
        failed = tool_failed(trace, getattr(self, "tools", ())) if self.reads_tools else None
        return broken_off(trace) or failed or self.measure(trace)

    async def close(self) -> None:
        """Do nothing."""


def broken_off(trace: Trace) -> Score | None:
    """Return the score of a rollout of which nothing can be said, or None where something can."""
    if not trace.broken_off:
        return None
    return unscored(Unscored.BROKEN_OFF, f"the rollout was broken off ({trace.stop_reason})")


def tool_failed(trace: Trace, tools: Collection[str] = ()) -> Score | None:
    """Return the score of a rollout in which a tool failed, or None where none did.

    What the model would have found, asked and answered with a tool that works is not known.

    Args:
        trace: the rollout.
        tools: names of the tools that matter; none: all.
    """
    for call in trace.tool_calls:
        if call.tool_failed and (not tools or call.name in tools):
            return unscored(Unscored.TOOL_FAILED, f"the tool {call.name} failed ({call.status})")
    return None


def scored(value: float, reason: str, **parts: float) -> Score:
    """Return a score with a value, and numbers that it was made of."""
    components = {name: Score(value=float(part)) for name, part in parts.items()}
    return Score(value=float(value), reason=reason, components=components)


def unscored(cause: Unscored, reason: str) -> Score:
    """Return a score without a value."""
    return Score(value=None, reason=reason, cause=cause)
