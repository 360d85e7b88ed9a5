"""How a model is told of its tools, makes calls, and gets their results."""

import re
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from plaudit.engines.base import Completion, ToolCall, ToolSpec
from plaudit.rollouts.calls.forms import FORMS, CallForm, describe_tools, tool_answer
from plaudit.rollouts.calls.parsing import MalformedCall, Reply, read_reply
from plaudit.types import Json, Message

Call = ToolCall | MalformedCall
"""A call that a model made, readable or not."""

_TAGGED: Collection[CallForm] = ("hermes", "qwen", "mistral")
"""Forms that cannot be taken for an answer."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class Read(msgspec.Struct, frozen=True):
    """What a reply says."""

    reasoning: str
    """Its thoughts, without their tags."""
    answer: str
    """The text outside of thoughts and calls, trimmed."""
    calls: tuple[Call, ...] = ()


class Form(Protocol):
    """One way in which a model and its tools talk.

    Attributes:
        name: `native`, `hermes` and so on.
        specs: tools that requests carry.
        tools_text: what the system prompt must say of the tools; empty where it need not.
        escapes: whether `results` breaks the special tokens that are known everywhere.
    """

    name: str
    specs: tuple[ToolSpec, ...]
    tools_text: str
    escapes: bool

    def read(self, completion: Completion, turn: int, in_thought: bool = False) -> Read:
        """Read a reply; `in_thought`: whether its prompt ended within a thought."""
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
        forms: Collection[CallForm] = _TAGGED,
        name: str = "native",
    ) -> None:
        """Tell of these tools; `forms` are those that are read from the text."""
        self.name = name if specs else "none"
        self.specs = tuple(specs)
        self.tools_text = ""
        self.escapes = False
        self._forms = forms if specs else ()

    def read(self, completion: Completion, turn: int, in_thought: bool = False) -> Read:
        """Read a reply."""
        forms = () if completion.tool_calls else self._forms
        found = read_reply(
            completion.text, tools=self.specs, forms=forms, turn=turn, in_thought=in_thought
        )
        return Read(found.reasoning, found.text, completion.tool_calls or found.attempts)

    def said(self, completion: Completion, read: Read) -> Message:
        """Return the reply with its thoughts, which the template shows or leaves out."""
        text = completion.text if completion.tool_calls or not read.calls else read.answer
        calls = [_sendable(call) for call in read.calls]
        return Message("assistant", text or (None if calls else ""), tool_calls=calls or None)

    def results(self, answers: Sequence[Message]) -> list[Message]:
        """Return the results as they are."""
        return list(answers)


class TextForm:
    """The system prompt shows the tools, calls are written in the text, the user tells results."""

    def __init__(self, specs: Sequence[ToolSpec], form: CallForm, *, strict: bool) -> None:
        """Tell of at least one tool in a form; `strict`: calls of other forms are not read."""
        self.name = form
        self.specs = ()
        self.tools_text = describe_tools(specs, form)
        self.escapes = True
        self._tools = tuple(specs)
        self._form: CallForm = form
        self._forms = (form,) if strict else FORMS

    def read(self, completion: Completion, turn: int, in_thought: bool = False) -> Read:
        """Read a reply."""
        found: Reply = read_reply(
            completion.text, tools=self._tools, forms=self._forms, turn=turn, in_thought=in_thought
        )
        return Read(found.reasoning, found.text, found.attempts)

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
