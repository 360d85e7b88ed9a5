"""How a model is told of its tools, makes calls, and gets their results."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from plaudit.engines.base import Completion, ToolCall, ToolSpec
from plaudit.rollouts.parsing import MalformedCall, describe_tools, read_reply, tool_answer
from plaudit.types import Json, Message

Call = ToolCall | MalformedCall
"""A call that a model made, readable or not."""


class Read(msgspec.Struct, frozen=True):
    """What a reply says."""

    reasoning: str
    """Its thoughts, without their tags."""
    answer: str
    """The text outside of thoughts and calls, trimmed."""
    calls: Sequence[Call]


class Form(Protocol):
    """One way in which a model and its tools talk."""

    @property
    def name(self) -> str:
        """`native`, `hermes` and so on."""
        ...

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """Tools that requests carry."""
        ...

    @property
    def tools_text(self) -> str:
        """What the system prompt must say of the tools; empty where it need not."""
        ...

    def read(self, completion: Completion, turn: int) -> Read:
        """Read a reply."""
        ...

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply as the message that the model is shown from then on."""
        ...

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return what the model is shown of its calls' results.

        Args:
            answers: messages with role `tool`, their content made harmless.
        """
        ...
