"""Arguments of a call, held against a tool's JSON schema."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.tools.base import ToolError
from plaudit.types import Json

_MOST_TOLD = 3
"""Faults of one call that a model is told of."""


class ArgumentCheck:
    """Says what is wrong with arguments. A schema never makes it fetch anything."""

    def __init__(self, spec: ToolSpec) -> None:
        """Compile a tool's schema.

        Raises:
            UsageError: it is no JSON schema of an object.
        """
        try:
            schema = msgspec.json.decode(spec.parameters, type=dict[str, Any])
            self._errors: Callable[[Any], Any] = jsonschema_rs.validator_for(
                schema, offline=True
            ).iter_errors
        except (msgspec.MsgspecError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"the parameters of tool {spec.name!r} are no JSON schema: {reason}"
            ) from error

    def __call__(self, arguments: Mapping[str, Json]) -> None:
        """Check the arguments of one call.

        Raises:
            ToolError: they do not fit; the message says where.
        """
        faults = [_fault(error) for error in islice(self._errors(arguments), _MOST_TOLD)]
        if faults:
            raise ToolError("the arguments do not fit: " + "; ".join(faults), "invalid_arguments")


def _fault(error: jsonschema_rs.ValidationError) -> str:
    place = ".".join(str(part) for part in error.instance_path)
    return f"{place}: {error.message}" if place else error.message
