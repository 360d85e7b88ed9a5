"""Rewards of the user's own: a Python function of a trace, sync or async."""

import asyncio
import hashlib
import inspect
import math
import numbers
import pickle
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from plaudit._util.aio import aside
from plaudit._util.named import load_named
from plaudit.errors import EngineUnusableError, UsageError
from plaudit.rollouts.rewards.base import unscored
from plaudit.rollouts.trace import Score, Trace, Unscored
from plaudit.types import Json

RewardFunction = Callable[..., Any]
"""From a trace to a number, None, a `Score`, or a dict of `value`, `reason` and `components`."""

_KEYS = frozenset({"value", "reason", "components"})
_EXCERPT = 200


class Elsewhere(Protocol):
    """Calls a sync function out of this process, so that a call can be ended in the middle."""

    async def call(self, trace: Trace, seconds: float) -> Score:
        """Return what the function makes of a trace; cancelling ends the call.

        It may take so many seconds, without waiting for its turn.
        """
        ...

    async def close(self) -> None:
        """End what was started; it can be used again."""
        ...


class FunctionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a function of the user's own."""

    function: str
    """`module:function`, or `file.py:function` with a path from the specification's folder."""
    arguments: dict[str, Json] = {}
    """Further arguments of the function, by name."""
    low: float = -math.inf
    high: float = math.inf
    """Range of its values; a value outside is no value."""
    timeout: float = 60.0
    """Seconds that a call may take; a sync function that takes longer is left behind."""


class FunctionReward:
    """A function of the user's own as a reward.

    Whatever goes wrong in it is no number: an exception, a result of another type, True and False
    among it, a value that is not finite or out of range, and a call that takes too long each give
    None with its cause. The function gets a copy of the trace, so that it cannot change the output.
    """

    def __init__(
        self, name: str, function: RewardFunction, options: FunctionOptions, code: str = ""
    ) -> None:
        """Wrap a function.

        Args:
            name: what the reward is called.
            function: called with a trace; an async one in the event loop, a sync one in a thread.
            options: range, time limit and further arguments.
            code: hash of its source, for the fingerprint.

        Raises:
            UsageError: the range or the time limit makes no sense.
        """
        if not options.low < options.high:
            raise UsageError(f"{name}: 'low' must be less than 'high'")
        if not options.timeout > 0:
            raise UsageError(f"{name}: 'timeout' must be more than 0 seconds")
        self.name = name
        self.low, self.high = options.low, options.high
        self._call = partial(function, **options.arguments)
        self._async = inspect.iscoroutinefunction(function)
        self.options = options
        self._code = code
        self._elsewhere: Elsewhere | None = None

    @property
    def identity(self) -> Json:
        """The name of the function, its arguments, and the hash of its source."""
        options = self.options
        return [options.function, options.arguments, _text(self.low), _text(self.high), self._code]

    @property
    def blocks(self) -> bool:
        """Whether the function is a sync one, which nothing in this process can end."""
        return not self._async

    def call_by(self, elsewhere: Elsewhere) -> None:
        """Have the function called out of this process from now on."""
        self._elsewhere = elsewhere

    async def score(self, trace: Trace) -> Score:
        """Call the function.

        Raises:
            EngineUnusableError: the function asked an engine that can answer nothing.
        """
        if self._elsewhere is not None:
            return self._checked(await self._elsewhere.call(trace, self.options.timeout))
        limit = asyncio.timeout(self.options.timeout)
        try:
            async with limit:
                result = await self._result(trace)
        except TimeoutError as error:
            return timed_out(self.options.timeout) if limit.expired() else raised(error)
        except EngineUnusableError:
            raise
        except (Exception, SystemExit) as error:  # The user's code may raise anything.
            return raised(error)
        return self._checked(score_of(result))

    async def close(self) -> None:
        """End the processes in which the function is called, where there are any."""
        if self._elsewhere is not None:
            await self._elsewhere.close()

    async def _result(self, trace: Trace) -> Any:
        trace = _copy(trace)
        result = self._call(trace) if self._async else await aside(partial(self._call_aside, trace))
        return await result if inspect.isawaitable(result) else result

    def _call_aside(self, trace: Trace) -> Any:
        try:
            return self._call(trace)
        except StopIteration as error:  # A future cannot hold it.
            raise RuntimeError("StopIteration") from error

    def _checked(self, score: Score) -> Score:
        value = score.value
        if value is None or self.low <= value <= self.high:
            return score
        return _bad(f"{value:g} is not in its range of {self.low:g} to {self.high:g}")


def timed_out(seconds: float) -> Score:
    """Return the score of a call that took too long."""
    return unscored(Unscored.TIMED_OUT, f"the function took longer than {seconds:g} s")


def _copy(trace: Trace) -> Trace:
    """Return a trace that shares no list and no dict with another."""
    tokens = trace.tokens
    copied = pickle.loads(pickle.dumps(msgspec.structs.replace(trace, tokens=None)))
    if tokens is not None:  # Plain lists, and long ones.
        lists = {name: list(getattr(tokens, name)) for name in ("ids", "mask", "logprobs")}
        tokens = msgspec.structs.replace(tokens, **lists)
    return msgspec.structs.replace(copied, tokens=tokens)


def raised(error: BaseException) -> Score:
    """Return the score of a call that raised."""
    return unscored(
        Unscored.RAISED, f"the function raised {type(error).__name__}: {error}"[:_EXCERPT]
    )


def _bad(problem: str) -> Score:
    return unscored(Unscored.BAD_RESULT, f"the function's result cannot be used: {problem}")


def score_of(result: Any) -> Score:
    """Read what a function returned; what cannot be used becomes a score that says why."""
    if isinstance(result, Score):
        found = _score_of_dict({name: getattr(result, name) for name in _KEYS})
        if found.cause is Unscored.NONE_RETURNED and isinstance(result.cause, Unscored):
            return msgspec.structs.replace(found, cause=result.cause)
        return found
    if isinstance(result, Mapping):
        return _score_of_dict(cast("Mapping[Any, Any]", result))
    if result is None:
        return unscored(Unscored.NONE_RETURNED, "the function returned None")
    if isinstance(result, bool):
        return _bad(f"it is {result}, which is no number; return 1.0 or 0.0")
    if not isinstance(result, numbers.Real):
        return _bad(f"it is of type {type(result).__name__}")
    value = float(result)
    if not math.isfinite(value):
        return _bad(f"it is {value}")
    return Score(value=value)


def _score_of_dict(result: Mapping[Any, Any]) -> Score:
    unknown = [str(name) for name in result if name not in _KEYS]
    if unknown or "value" not in result:
        problem = f"it has {unknown[0]!r}" if unknown else "it has no 'value'"
        return _bad(f"{problem}; a dict may hold {', '.join(sorted(_KEYS))}")
    reason, parts = result.get("reason", ""), result.get("components", {})
    if not isinstance(reason, str) or not isinstance(parts, Mapping):
        return _bad("'reason' must be text and 'components' a dict")
    named = cast("Mapping[Any, Any]", parts).items()
    score = score_of(result["value"])
    return msgspec.structs.replace(
        score,
        reason=reason or score.reason,
        components={str(name): score_of(part) for name, part in named},
    )


def _text(bound: float) -> str:
    return repr(float(bound))


# Finding the function


def load_function(spec: str, folder: Path) -> tuple[RewardFunction, str]:
    """Import a function that the user named, and return it with the hash of its source.

    Importing runs the module's code: a specification is to be trusted like a script.

    Args:
        spec: `module:function` or `file.py:function`.
        folder: where a relative path of a file begins.

    Raises:
        UsageError: there is no such module or function, or importing it fails.
    """
    place, separator, name = spec.rpartition(":")
    if place.endswith(".py"):
        spec = f"{folder / place}{separator}{name}"
    function = load_named(spec)
    if not callable(function):
        raise UsageError(f"{spec} is no function but of type {type(function).__name__}")
    return function, _hash_of_source(function)


def _hash_of_source(function: RewardFunction) -> str:
    module = sys.modules.get(getattr(function, "__module__", ""))
    source = Path(getattr(module, "__file__", None) or "")
    return hashlib.blake2b(source.read_bytes() if source.is_file() else b"").hexdigest()[:32]
