"""A Python function as a tool: its signature is the schema, its docstring the description."""

import functools
import inspect
from asyncio import CancelledError, wrap_future
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, cast, get_type_hints

import docstring_parser
import msgspec

from plaudit._util import aio
from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.tools.base import Tool, ToolError, ToolResult, as_result
from plaudit.rollouts.tools.identity import code_hash
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
        UsageError: a model cannot be shown the signature; the message names the parameter.
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


_ENCODED = b'"contentEncoding"'
"""In the schema of bytes, wherever they stand in a type."""
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature:
    """The parameters of a function, as a JSON schema and as types."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        """Read a function's signature.

        Args:
            function: every parameter has an annotation that JSON can hold.
            name: what the tool is called.

        Raises:
            UsageError: a model cannot be shown a parameter; the message names it.
        """
        self._name = name
        parameters = _parameters(function, name)
        hints = _hints(function, name)
        fields = [_field(name, p, hints) for p in parameters]
        self._arguments = msgspec.defstruct(
            "Arguments", fields, kw_only=True, forbid_unknown_fields=True
        )
        documentation = docstring_parser.parse(inspect.getdoc(called(function)) or "")
        described = {p.arg_name: p.description or "" for p in documentation.params}
        self.spec = ToolSpec(name, _summary(documentation), self._schema(described))

    def _schema(self, described: Mapping[str, str]) -> msgspec.Raw:
        _, components = msgspec.json.schema_components(
            [self._arguments], ref_template="#/$defs/{name}"
        )
        schema = components.pop("Arguments")
        del schema["title"]
        for parameter, body in schema["properties"].items():
            if described.get(parameter) and "description" not in body:
                body["description"] = described[parameter]
        if components:
            schema["$defs"] = components
        return msgspec.Raw(msgspec.json.encode(schema))

    def read(self, arguments: Mapping[str, Json]) -> dict[str, Any]:
        """Return the arguments as the types that the function asks for; defaults are left to it.

        Raises:
            ToolError: they do not fit.
        """
        try:
            read = msgspec.convert(arguments, self._arguments)
        except msgspec.ValidationError as error:
            raise ToolError(f"the arguments do not fit: {error}", "invalid_arguments") from error
        return {parameter: getattr(read, parameter) for parameter in arguments}


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise UsageError(f"tool {name!r}: its signature cannot be read: {error}") from error
    for parameter in parameters:
        if parameter.kind not in _NAMED:
            raise UsageError(
                f"tool {name!r}: parameter {parameter} cannot be passed by name; a model names "
                "each argument"
            )
    return list(parameters)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return get_type_hints(called(function), include_extras=True)
    except Exception as error:  # Annotations in quotes are code of the user's.
        raise UsageError(
            f"tool {name!r}: an annotation cannot be read: {type(error).__name__}: {error}"
        ) from error


def called(function: Any) -> Any:
    """Return the routine that runs: what a partial completes, or an object's `__call__`."""
    while isinstance(function, functools.partial):
        function = cast("Any", function.func)  # pyright: ignore[reportUnknownMemberType]
    return function if inspect.isroutine(function) else type(function).__call__


def _field(
    name: str, parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> tuple[str, Any] | tuple[str, Any, Any]:
    if parameter.name not in hints:
        raise UsageError(
            f"tool {name!r}: parameter {parameter.name!r} has no annotation; write its type, such "
            f"as {parameter.name}: str"
        )
    kind = hints[parameter.name]
    try:
        schema = msgspec.json.encode(msgspec.json.schema(kind))
        if _ENCODED in schema:
            raise TypeError("bytes, which a model would have to write in Base64")
    except Exception as error:  # msgspec says of many types in many ways that it has no schema.
        raise UsageError(
            f"tool {name!r}: parameter {parameter.name!r} is a {kind}, which JSON cannot hold; "
            "take str, int, float, bool, list, dict, Literal, an enumeration, a dataclass or a "
            "union of these"
        ) from error
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, kind
    return parameter.name, kind, _default(parameter.default)


def _default(value: Any) -> Any:
    """A default that the schema shows where JSON can hold it; the function's own is what counts."""
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError):
        return msgspec.field(default_factory=lambda: value)
    simple = value is None or isinstance(value, str | int | float)
    return value if simple else msgspec.field(default_factory=lambda: value)


def _summary(documentation: docstring_parser.Docstring) -> str:
    parts = (documentation.short_description, documentation.long_description)
    return "\n\n".join(part for part in parts if part)
