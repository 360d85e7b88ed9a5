"""A model's reply, taken apart: what it says, what it thought, and the calls that it wrote."""

import re
from collections.abc import Mapping

import msgspec

from plaudit.engines.base import ToolCall, ToolSpec
from plaudit.rollouts.calls.forms import name_within
from plaudit.rollouts.calls.objects import BrokenCallError, Called, skip
from plaudit.rollouts.calls.syntax import MOST_CALLS, CallAttempt, CallForm

_NAME_WITHIN = 400
"""Characters of a malformed call among which its name is looked for."""


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


class ParsedReply(msgspec.Struct, frozen=True, kw_only=True):
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


class ReplyParts:
    """Gathers the parts of one reply while it is read from left to right."""

    def __init__(self, text: str, specs: Mapping[str, ToolSpec] | None, turn: int) -> None:
        """Begin without parts.

        Args:
            text: the whole reply.
            specs: the offered tools by name; None: any name will do.
            turn: index of the turn, for the ids of the calls.
        """
        self.text = text
        self.specs = specs
        self._turn = turn
        self.said: list[tuple[int, int]] = []
        """Begin and end of each stretch outside of thoughts and calls."""
        self.thoughts: list[str] = []
        self.calls: list[WrittenCall] = []
        self.malformed: list[MalformedCall] = []
        self.thought_open = False
        self.framed = False
        """Whether a message with a header was read."""
        self.silent = True
        """Whether nothing but space was said so far."""

    def reply(self) -> ParsedReply:
        """Return all parts as a value."""
        return ParsedReply(
            text="".join(self.text[start:end] for start, end in self.said).strip(),
            reasoning="\n".join(t for t in map(str.strip, self.thoughts) if t),
            calls=tuple(self.calls),
            malformed=tuple(map(self._as_written, self.malformed)),
            thought_open=self.thought_open,
            framed=self.framed,
        )

    def _as_written(self, call: MalformedCall) -> MalformedCall:
        return msgspec.structs.replace(call, text=self.text[call.start : call.end])

    def forget(self) -> None:
        """Forget what was said and called: all of it was a thought."""
        self.said.clear()
        self.calls.clear()
        self.malformed.clear()
        self.silent = True

    def extended(self, mark: re.Match[str]) -> bool:
        """Let the call right before a closing tag reach to the end of that tag, if there is one."""
        if self.calls and self._follows(self.calls[-1].end, mark):
            self.calls[-1] = msgspec.structs.replace(self.calls[-1], end=mark.end())
            return True
        if self.malformed and self._follows(self.malformed[-1].end, mark):
            self.malformed[-1] = msgspec.structs.replace(self.malformed[-1], end=mark.end())
            return True
        return False

    def _follows(self, end: int, mark: re.Match[str]) -> bool:
        return skip(self.text, end) == mark.start()

    @property
    def count(self) -> int:
        """Number of calls so far, readable or not."""
        return len(self.calls) + len(self.malformed)

    def say(self, start: int, end: int) -> None:
        """Add a stretch outside of thoughts and calls."""
        if start < end:
            self.said.append((start, end))
            self.silent = self.silent and self.text[start:end].isspace()

    def named(self, name: str) -> bool:
        """Whether a name may be that of a tool."""
        return self.specs is None or name in self.specs

    def is_known(self, call: Called | BrokenCallError) -> bool:
        """Whether a call could be read and may name a tool."""
        return not isinstance(call, BrokenCallError) and self.named(call.name)

    def _id(self) -> str:
        return f"call-{self._turn}-{self.count}"

    def take(self, attempt: CallAttempt, form: CallForm = "json") -> None:
        """Add a call, readable or not."""
        call, start, end = attempt
        if isinstance(call, BrokenCallError):
            self.broken(start, end, str(call))
            return
        self.calls.append(
            WrittenCall(
                id=self._id(),
                name=call.name,
                arguments=call.arguments,
                start=start,
                end=end,
                form=form,
                written_id=call.id,
            )
        )

    def broken(self, start: int, end: int, why: str) -> int:
        """Add a malformed call; return where it ends."""
        name = name_within(self.text[start : min(end, start + _NAME_WITHIN)])
        self.malformed.append(
            MalformedCall(id=self._id(), text="", why=why, start=start, end=end, name=name)
        )
        return end

    def broken_rest(self, start: int) -> int:
        """Refuse what follows the last call that may be read."""
        if start == len(self.text):
            return start
        why = f"one reply can make {MOST_CALLS} calls; no further ones are read"
        return self.broken(start, len(self.text), why)
