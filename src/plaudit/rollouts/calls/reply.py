"""A model's reply, taken apart: what it says, what it thought, and the calls that it wrote."""

import msgspec

from plaudit.engines.base import ToolCall


class WrittenCall(ToolCall, frozen=True, kw_only=True):
    """A call that was written as text. Its id is `call-TURN-NUMBER`."""

    start: int
    """Where it begins in the text, its tags included; calls of one list share one place."""
    end: int
    """Where it ends."""
    form: str = ""
    """The form in which it was written."""
    written_id: str = ""
    """The id that the model gave it; empty where its form has none."""


class MalformedCall(msgspec.Struct, frozen=True, kw_only=True):
    """What was meant as a call and cannot be read as one."""

    id: str
    """`call-TURN-NUMBER`; readable and malformed calls are numbered together, from 0."""
    text: str
    """As it was written, its tags included."""
    why: str
    """One sentence for the model."""
    start: int
    end: int
    name: str = ""
    """The tool; empty where none could be read."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A model's reply, taken apart."""

    text: str
    """What is outside of calls and thoughts, trimmed."""
    reasoning: str
    """The thoughts without their tags, trimmed."""
    calls: tuple[WrittenCall, ...] = ()
    malformed: tuple[MalformedCall, ...] = ()
    thought_open: bool = False
    """Whether the reply ends within a thought."""
    framed: bool = False
    """Whether thoughts and answer stood in messages with headers."""

    @property
    def attempts(self) -> tuple[WrittenCall | MalformedCall, ...]:
        """All calls, readable or not, in the order in which they were written."""
        return tuple(sorted((*self.calls, *self.malformed), key=_number))


def _number(call: WrittenCall | MalformedCall) -> int:
    return int(call.id.rpartition("-")[2])
