"""How a model is told of its tools, makes calls, and gets their results."""

import re
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from plaudit.engines.base import Completion, ToolCall, ToolSpec
from plaudit.rollouts.calls.forms import FORMS, CallForm, describe_tools, own_marks, tool_answer
from plaudit.rollouts.calls.parsing import read_reply
from plaudit.rollouts.calls.reply import MalformedCall, Reply, WrittenCall
from plaudit.rollouts.calls.syntax import TAGGED
from plaudit.types import Json, Message

Call = ToolCall | MalformedCall
"""A call that a model made, readable or not."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class Read(msgspec.Struct, frozen=True):
    """What a reply says."""

    reasoning: str
    """Its thoughts, without their tags."""
    answer: str
    """The text outside of thoughts and calls, trimmed."""
    calls: tuple[Call, ...] = ()
    framed: bool = False
    """Whether thoughts and answer stood in messages with headers."""


class Form(Protocol):
    """One way in which a model and its tools talk.

    Attributes:
        name: `native`, `hermes` and so on.
        specs: tools that requests carry.
        tools_text: what the system prompt must say of the tools; empty where it need not.
        escapes: whether `results` breaks the special tokens that are known everywhere.
        reads: forms of calls that are read from the text.
        own_marks: marks that plaudit itself writes into prompts.
    """

    name: str
    specs: tuple[ToolSpec, ...]
    tools_text: str
    escapes: bool
    reads: tuple[CallForm, ...]
    own_marks: tuple[str, ...]

    def read(self, completion: Completion, turn: int, in_thought: str = "") -> Read:
        """Read a reply; `in_thought`: the tag that ends the thought in which its prompt ended."""
        ...

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply as the message that the model is shown from then on."""
        ...

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return what the model is shown of its calls' results, messages with role `tool`."""
        ...


class NativeForm:
    """The engine, or the model's own template, shows the tools; calls have a place of their own.

    Some servers leave a call in the text, where they cannot read it or do not look for any; so
    calls between tags are read from the text as well.
    """

    def __init__(
        self,
        specs: Sequence[ToolSpec],
        forms: Collection[CallForm] | None = None,
        name: str = "native",
        *,
        names_in_ids: bool = False,
    ) -> None:
        """Offer these tools.

        Args:
            specs: the tools.
            forms: forms that are read from the text; None: all that marks begin.
            name: the form's.
            names_in_ids: whether the template names a tool only by the id of its call.
        """
        self.name = name if specs else "none"
        self.specs = tuple(specs)
        self.tools_text = ""
        self.escapes = False
        self.reads = tuple(forms if forms is not None else TAGGED if specs else ())
        self.own_marks: tuple[str, ...] = ()
        self._names_in_ids = names_in_ids

    def read(self, completion: Completion, turn: int, in_thought: str = "") -> Read:
        """Read a reply."""
        forms = () if completion.tool_calls else self.reads
        found = read_reply(
            completion.text, tools=self.specs, forms=forms, turn=turn, in_thought=in_thought
        )
        calls = completion.tool_calls or found.attempts
        return Read(found.reasoning, found.text, calls, found.framed)

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply with its thoughts, which the template shows or leaves out."""
        whole = completion.tool_calls or not (read.calls or read.framed)
        text = completion.text if whole else read.answer
        calls = [self._shown(call) for call in read.calls]
        return Message("assistant", text or (None if calls else ""), tool_calls=calls or None)

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return the results as they are."""
        return list(answers)

    def _shown(self, call: Call) -> dict[str, Json]:
        shown = _sendable(call)
        return shown | {"id": _naming_id(call)} if self._names_in_ids else shown


class TextForm:
    """The system prompt shows the tools, calls are written in the text, the user tells results."""

    def __init__(
        self, specs: Sequence[ToolSpec], form: CallForm, reads: tuple[CallForm, ...] = FORMS
    ) -> None:
        """Show at least one tool, with calls in a form; `reads` are the forms that are read."""
        self.name = form
        self.specs = ()
        self.tools_text = describe_tools(specs, form)
        self.escapes = True
        self._tools = tuple(specs)
        self._form: CallForm = form
        self.reads = reads
        self.own_marks = own_marks(form)

    def read(self, completion: Completion, turn: int, in_thought: str = "") -> Read:
        """Read a reply."""
        found: Reply = read_reply(
            completion.text, tools=self._tools, forms=self.reads, turn=turn, in_thought=in_thought
        )
        return Read(found.reasoning, found.text, found.attempts, found.framed)

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply as it was written."""
        del read
        return Message("assistant", completion.text)

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return one user message with all of them."""
        return [tool_answer(self._form, answers)]


def written(call: Call) -> str:
    """Return the arguments of a call, or all of one that cannot be read, as they were written."""
    return call.text if isinstance(call, MalformedCall) else call.arguments


def as_openai(call: Call) -> dict[str, Json]:
    """Return a call in the OpenAI format, as it was written."""
    return _openai(call, call.name, written(call))


def _sendable(call: Call) -> dict[str, Json]:
    """Return a call as servers accept it: they refuse names and arguments that are broken."""
    name = _NOT_IN_NAMES.sub("_", call.name)[:64] or "unreadable"
    return _openai(call, name, written(call) if _is_object(written(call)) else "{}")


def _naming_id(call: Call) -> str:
    """Return an id that names the tool, as Kimi's do: the model's own, or one that is new."""
    if isinstance(call, WrittenCall) and call.written_id:
        return call.written_id
    turn, number = map(int, call.id.split("-")[1:])
    return f"functions.{_sendable(call)['function']['name']}:{turn * 1000 + number}"


def _openai(call: Call, name: str, arguments: str) -> dict[str, Json]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
