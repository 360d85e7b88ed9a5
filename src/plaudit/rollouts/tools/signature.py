"""From a function's signature and docstring to what a model is told, and back to its arguments."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast, get_type_hints

import docstring_parser
import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.tools.base import ToolError
from plaudit.types import Json

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
            UsageError: a parameter cannot be told to a model; the message names it.
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
