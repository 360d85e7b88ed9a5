"""A Python function as a tool."""

import functools
import inspect
from asyncio import CancelledError, wrap_future
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from plaudit._util import aio
from plaudit.errors import UsageError
from plaudit.rollouts.tools.base import Tool, ToolError, ToolResult
from plaudit.rollouts.tools.identity import code_hash
from plaudit.rollouts.tools.results import as_result
from plaudit.rollouts.tools.signature import Signature, called
from plaudit.types import Json

MOST_STUCK = 32
"""Threads that calls of one tool may leave behind; further calls fail until some return."""


def function_tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    timeout: float | None = None,
    version: str | None = None,
) -> Tool:
    """Make a tool of a typed Python function.

    Its signature becomes the schema, its docstring the description; descriptions of parameters
    are read from docstrings in the style of Google, NumPy and Sphinx. A sync function runs in a
    thread of its own, an async one in the event loop, which it must not block.

    What it returns is what the model reads: a text as it is, and what JSON can hold as JSON. A
    `ToolResult` also carries data for rewards. Anything else is a bad result, bytes among it.

    Args:
        function: all parameters can be passed by name and have an annotation.
        name: what the model calls it; the function's own name where None.
        timeout: seconds that one call may take; None: what its tool set says.
        version: what its results depend on besides its arguments: stored rollouts are taken again
            as long as it is the same. None: a hash of its code, and of all that this reaches by
            name in modules of the user's own; see `plaudit.rollouts.tools.identity` for its limits.

    Raises:
        UsageError: the signature cannot be told to a model; the message names the parameter.
    """
    if inspect.isclass(function) or not callable(function):
        raise UsageError(f"{function!r} is no function, so it cannot be a tool")
    called_as = name or _name(function)
    code = code_hash(function, called(function)) if version is None else None
    identity = f"function:{called_as}@{version}" if code is None else f"function:{called_as}/{code}"
    return _FunctionTool(function, called_as, timeout, identity)


class _FunctionTool:
    """Calls a function with checked arguments."""

    def __init__(
        self, function: Callable[..., Any], name: str, timeout: float | None, identity: str
    ) -> None:
        self._function = function
        self._signature = Signature(function, name)
        self.spec = self._signature.spec
        self.identity = identity
        self.timeout = timeout
        self._in_loop = inspect.iscoroutinefunction(called(function))
        self._stuck: set[Future[Any]] = set()

    async def call(self, arguments: Mapping[str, Json]) -> ToolResult:
        """Call the function."""
        call = functools.partial(self._function, **self._signature.read(arguments))
        if self._in_loop:
            return as_result(await call())
        answer = await self._in_thread(lambda: _settled(call()))
        return answer if isinstance(answer, ToolResult) else as_result(await answer)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        if len(self._stuck) >= MOST_STUCK:
            raise ToolError(f"{MOST_STUCK} earlier calls still hang; it was not run", "timeout")
        future = aio.in_thread(call)
        try:
            return await wrap_future(future)
        except CancelledError:
            self._stuck.add(future)
            future.add_done_callback(self._stuck.discard)
            raise


def _settled(value: Any) -> Any:
    """Turn a value into a result here, in the thread, unless it is still to be awaited."""
    return value if inspect.isawaitable(value) else as_result(value)


def _name(function: Any) -> str:
    routine = called(function)
    return type(function).__name__ if routine.__name__ == "__call__" else routine.__name__
