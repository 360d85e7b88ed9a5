"""A chat template whose control tokens only it can write."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate, MessageLike
from plaudit.prompts.escape import Escaper
from plaudit.rollouts.tokens import conforming
from plaudit.rollouts.tokens.conforming import Chat
from plaudit.rollouts.tokens.tokenizer import Tokenizer
from plaudit.types import Json

_NAMING = ("system", "developer", "assistant")
"""Roles whose texts may name marks that models write, such as `<tool_call>`."""


class SafeTemplate:
    """Renders conversations of untrusted texts.

    Where a text holds a special token's text, an invisible character breaks it
    (`plaudit.prompts.escape`): every mark that is a token of its own in what users and tools say,
    control tokens elsewhere. What is no Unicode becomes U+FFFD. All other texts stay as they are.
    """

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template = template
        self.name = template.name
        self.identity = template.digest
        self.begin_of_text = template.tokens.get("bos_token", "")
        self.end_of_text = template.tokens.get("eos_token", "")
        texts = sorted(tokenizer.control, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, texts)) or "(?!)")
        self._strict = _Guard(tokenizer.special_tokens)
        self._lenient = _Guard(tokenizer.control)

    def chat(self, messages: Sequence[MessageLike]) -> Chat:
        """Return messages as objects with safe texts.

        Raises:
            InputError: a message is no object with a role.
        """
        return [self._turn(turn) for turn in conforming.as_objects(messages)]

    def render(self, chat: Chat, tools: Sequence[ToolSpec] = (), *, prompt: bool = False) -> str:
        """Return a conversation with safe texts as one text.

        Raises:
            CallError: the template refuses it.
        """
        safe = [self._tool(tool) for tool in tools]
        return conforming.render(self._template, chat, safe, prompt=prompt)

    def written(self, text: str) -> str:
        """Return a text of the model's, its control tokens broken."""
        return self._lenient(text)

    def controls(self, text: str) -> list[re.Match[str]]:
        """Return where control tokens stand in a text."""
        return list(self._control.finditer(text))

    def _turn(self, turn: dict[str, Json]) -> dict[str, Json]:
        guard = self._lenient if turn["role"] in _NAMING else self._strict
        return {name: _mapped(value, guard) for name, value in turn.items()}

    def _tool(self, tool: ToolSpec) -> ToolSpec:
        parameters = _mapped(msgspec.json.decode(tool.parameters), self._lenient)
        return ToolSpec(
            self._lenient(tool.name),
            self._lenient(tool.description),
            msgspec.Raw(msgspec.json.encode(parameters)),
        )


class _Guard:
    """Makes texts safe."""

    def __init__(self, special: Iterable[str]) -> None:
        self._escape = Escaper((), special, known=()).escape

    def __call__(self, text: str) -> str:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # Halves of characters, which JSON can hold.
                text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return self._escape(text)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with every text in it changed, names of fields included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(item, change) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {change(key): _mapped(item, change) for key, item in items}
    return value
