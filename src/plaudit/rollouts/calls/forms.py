"""How models write calls as text: the forms, a call in each, and how a model is told of them."""

from collections.abc import Mapping, Sequence
from functools import cache

from plaudit.engines.base import ToolSpec
from plaudit.prompts.escape import Escaper
from plaudit.rollouts.calls.syntax import FORMS, CallForm, spaced
from plaudit.rollouts.calls.syntaxes import SYNTAXES
from plaudit.types import Json, Message

__all__ = [
    "FORMS",
    "CallForm",
    "OwnMessage",
    "describe_tools",
    "own_marks",
    "tool_answer",
    "write_call",
]

_RESPONSE = ("<tool_response>", "</tool_response>")


class OwnMessage(Message, frozen=True):
    """A message of plaudit's own making, in which all untrusted text is escaped already.

    The marks of calls and results that stand in it are plaudit's: what renders it keeps them.
    """


def own_marks(form: CallForm) -> tuple[str, ...]:
    """Return the marks that plaudit writes into prompts where calls are text of this form."""
    return (*_RESPONSE, *SYNTAXES[form].tags)


def write_call(form: CallForm, name: str, arguments: Mapping[str, Json]) -> str:
    """Write a call as a model of that form would.

    Raises:
        UsageError: the form cannot express the arguments: some have no way to quote their tags.
    """
    return SYNTAXES[form].write(name, arguments)


def describe_tools(specs: Sequence[ToolSpec], form: CallForm) -> str:
    """Return the part of a system prompt that shows tools, and says how to write a call.

    For models without native tools. What tools say of themselves is escaped; the text as a whole
    must not be, since it shows the tags of calls.

    Args:
        specs: at least one.
        form: how the model is to write calls.
    """
    escape, syntax = _escaper(form).escape, SYNTAXES[form]
    lines = [
        "You can use tools. Each line below describes one, with a JSON schema of its arguments:",
        *(escape(_shown(spec)) for spec in specs),
        "",
        f"To use a tool, {syntax.how}:",
        write_call(form, "TOOL", {"ARGUMENT": "VALUE"}),
        f"{syntax.several} Then stop: the results are given to you in the next message. Use only "
        "the tools above, and give every argument that is required. Once you know the answer, "
        "write it without any call.",
    ]
    return "\n".join(lines)


def _shown(spec: ToolSpec) -> str:
    scored = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return spaced(scored)


def tool_answer(form: CallForm, results: Sequence[Message]) -> Message:
    """Return the user message that gives results to a model whose template has no tool role.

    Each result stands between `<tool_response>` tags, in the order of the calls. Its text is
    escaped: it cannot close its section, begin a call of this form, or hold a special token.

    Args:
        form: how the model writes calls.
        results: messages with role `tool`.
    """
    escape = _escaper(form).escape
    parts = [f"<tool_response>\n{escape(_text(message))}\n</tool_response>" for message in results]
    return OwnMessage(role="user", content="\n".join(parts))


def _text(message: Message) -> str:
    return message.content if isinstance(message.content, str) else ""


@cache
def _escaper(form: CallForm) -> Escaper:
    return Escaper(own_marks(form))
