"""How models write calls as text: the forms, a call in each, and how a model is told of them."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, get_args

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.prompts.escape import Escaper
from plaudit.types import Json, Message

CallForm = Literal["json", "hermes", "llama", "qwen", "mistral"]
"""`json` a bare object; `hermes` also of Qwen 2.5, Qwen 3 and SmolLM; `llama` of Llama 3; `qwen` of
Qwen3-Coder; `mistral` of Mistral's instruct models."""

FORMS: tuple[CallForm, ...] = get_args(CallForm)
"""All forms."""

_SYNTAX: Mapping[CallForm, tuple[str, ...]] = {
    "json": (),
    "hermes": ("<tool_call>", "</tool_call>"),
    "llama": ("<function=", "</function>", "<|python_tag|>"),
    "qwen": (
        "<tool_call>",
        "</tool_call>",
        "<function=",
        "</function>",
        "<parameter=",
        "</parameter>",
    ),
    "mistral": ("[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
}
_KEY = re.compile(r"(?!\s)[^<>\n]{1,128}(?<!\s)")
_RESPONSE = ("<tool_response>", "</tool_response>")


def write_call(form: CallForm, name: str, arguments: Mapping[str, Json]) -> str:
    """Write a call as a model of that form would.

    Raises:
        UsageError: the form cannot express the arguments: `qwen` has no way to quote its tags.
    """
    if form == "qwen":
        return _qwen(name, arguments)
    key = "parameters" if form == "llama" else "arguments"
    called = _spaced({"name": name, key: dict(arguments)})
    if form == "hermes":
        return f"<tool_call>\n{called}\n</tool_call>"
    return f"[TOOL_CALLS][{called}]" if form == "mistral" else called


def _qwen(name: str, arguments: Mapping[str, Json]) -> str:
    lines = ["<tool_call>", f"<function={name}>"]
    for key, value in arguments.items():
        text = value if isinstance(value, str) else _spaced(value)
        if not _KEY.fullmatch(key) or any(tag in text for tag in _SYNTAX["qwen"][2:]):
            raise UsageError(
                f"the qwen form cannot write argument {key!r}: it holds a tag of calls"
            )
        lines += [f"<parameter={key}>", text, "</parameter>"]
    return "\n".join([*lines, "</function>", "</tool_call>"])


def describe_tools(specs: Sequence[ToolSpec], form: CallForm) -> str:
    """Return the part of a system prompt that shows tools, and says how to write a call.

    For models without native tools. What tools say of themselves is escaped; the text as a whole
    must not be, since it shows the tags of calls.

    Args:
        specs: at least one.
        form: how the model is to write calls.
    """
    escape = _escaper(form).escape
    lines = [
        "You can use tools. Each line below describes one, with a JSON schema of its arguments:",
        *(escape(_shown(spec)) for spec in specs),
        "",
        f"To use a tool, {_HOW[form]}:",
        write_call(form, "TOOL", {"ARGUMENT": "VALUE"}),
        f"{_SEVERAL[form]} Then stop: the results are given to you in the next message. Use only "
        "the tools above, and give every argument that is required. Once you know the answer, "
        "write it without any call.",
    ]
    return "\n".join(lines)


_HOW: Mapping[CallForm, str] = {
    "json": "answer with nothing but one JSON object of this form",
    "hermes": "write one JSON object between these tags",
    "llama": "answer with nothing but one JSON object of this form",
    "qwen": "write its name and each of its arguments between tags, in this form",
    "mistral": "write a JSON list of calls after this mark",
}
_SEVERAL: Mapping[CallForm, str] = {
    "json": "For several calls write one a line.",
    "hermes": "For several calls write one after the other, each between its own tags.",
    "llama": "For several calls write one a line.",
    "qwen": "For several calls write one after the other, each between its own tags.",
    "mistral": "For several calls write all of them in that list.",
}


def _shown(spec: ToolSpec) -> str:
    told = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return _spaced(told)


def _spaced(value: Json) -> str:
    """Write JSON on one line, spaced as models have seen it most."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


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
    return Message(role="user", content="\n".join(parts))


def _text(message: Message) -> str:
    return message.content if isinstance(message.content, str) else ""


@cache
def _escaper(form: CallForm) -> Escaper:
    return Escaper((*_RESPONSE, *_SYNTAX[form]))
