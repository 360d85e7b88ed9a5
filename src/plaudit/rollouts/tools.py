"""Tools that an agent can call."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.types import Json


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool answers."""

    content: str
    """What the model reads."""
    data: Json = None
    """What else rewards may read (`CallRecord.data`); the model does not see it."""


class Tool(Protocol):
    """Something that a model can call."""

    @property
    def spec(self) -> ToolSpec:
        """Name, description and schema of the arguments."""
        ...

    @property
    def identity(self) -> str:
        """What its results depend on besides its arguments, such as the hash of an index."""
        ...

    async def call(self, arguments: Mapping[str, Json]) -> ToolResult:
        """Answer one call; the arguments fit the schema. May raise anything."""
        ...
