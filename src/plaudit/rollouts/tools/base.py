"""What a tool is, what it answers, and how it says that it failed."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.rollouts.trace import CallStatus
from plaudit.types import Json


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool answers."""

    content: str
    """What the model reads."""
    data: Json = None
    """What else rewards may read (`CallRecord.data`); the model does not see it."""


class Tool(Protocol):
    """Something that a model can call.

    A tool may have an attribute `timeout`: seconds that one call may take, in place of its set's.
    """

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


class ToolSource(Protocol):
    """Something that has tools only while it is open, such as a server."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    async def open(self) -> Sequence[Tool]:
        """Make ready and return the tools.

        Raises:
            UsageError: it cannot be used.
        """
        ...

    async def close(self) -> None:
        """Free what `open` took; the source may be opened again."""
        ...


class ToolError(Exception):
    """A tool's answer to a call that it cannot serve. Its text is what the model reads.

    Tools raise it where the model is to do better: there is no such page, the query is empty. The
    call is `declined`, and counts as the model's. Any other exception, and a `ToolError` with the
    status `raised`, is a fault of the tool: rewards that read the tool then have no value, and the
    rollout is rolled out again. It never leaves a tool set.

    Attributes:
        status: what becomes of the call.
    """

    def __init__(self, message: str, status: CallStatus = "declined") -> None:
        super().__init__(message)
        self.status: CallStatus = status
