"""All forms of calls: their table, a call in each, and how a prompt describes them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from plaudit.engines.base import ToolSpec
from plaudit.prompts.escape import Escaper
from plaudit.rollouts.calls.harmony import Harmony
from plaudit.rollouts.calls.marked import DeepSeek, Gemma, Kimi, Lfm2, Mistral
from plaudit.rollouts.calls.syntax import FORMS, CallForm, Syntax, spaced
from plaudit.rollouts.calls.tagged import Bare, Glm, Hermes, Llama, MiniMax, Qwen
from plaudit.types import Json, Message

SYNTAXES: Mapping[CallForm, Syntax] = {
    syntax.form: syntax
    for syntax in (
        # Where several claim a call the first one reads it; the last one says what is wrong.
        Qwen(),
        Glm(),
        Hermes(),
        Llama(),
        Mistral(),
        Harmony(),
        Gemma(),
        DeepSeek(),
        Kimi(),
        Lfm2(),
        MiniMax(),
        Bare(),
    )
}


def owners(opener: str, forms: frozenset[CallForm]) -> list[Syntax]:
    """Return the syntaxes of forms that an opener may begin a call of.

    Hermes and Qwen models write each other's calls between one tag, so either form reads both.
    """
    both = forms | {"hermes", "qwen"} if forms & {"hermes", "qwen"} else forms
    return [s for form, s in SYNTAXES.items() if form in both and opener in s.openers]


def name_within(text: str) -> str:
    """Return the name that a broken call seems to have; empty where none can be read."""
    found = _NAMED.search(text)
    return "" if found is None else next(filter(None, found.groups()), "").strip()


_NAMED = re.compile("|".join(syntax.named for syntax in SYNTAXES.values()))


def lost_marks(forms: Iterable[CallForm], special: Collection[str]) -> frozenset[str]:
    """Return marks without which calls cannot be read, and which are special tokens.

    Engines leave special tokens out of texts.
    """
    needed = marks_of(form for form in forms if SYNTAXES[form].needs_marks)
    return needed & frozenset(special)


def closers_of(forms: Iterable[CallForm]) -> frozenset[str]:
    """Return the texts that end calls of these forms."""
    return frozenset(tag for form in forms for tag in SYNTAXES[form].closers)


def marks_of(forms: Iterable[CallForm]) -> frozenset[str]:
    """Return all texts that stand around and within calls of these forms."""
    return frozenset(tag for form in forms for tag in SYNTAXES[form].tags)


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
    shown = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return spaced(shown)


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
