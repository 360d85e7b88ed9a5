"""A chat template whose control tokens only it can write."""

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate, MessageLike
from plaudit.prompts.escape import Escaper
from plaudit.rollouts import conforming
from plaudit.rollouts.conforming import Chat
from plaudit.rollouts.tokenizer import Tokenizer
from plaudit.types import Json

_NAMING = ("system", "developer", "assistant")
"""Roles whose texts may name marks that models write, such as `<tool_call>`."""


class SafeTemplate:
    """Renders conversations of untrusted texts.

    Where a text holds a special token's text, an invisible character breaks it
    (`plaudit.prompts.escape`); all other texts reach the model as they are. In messages of users
    and tools every mark that is a token of its own is broken, elsewhere control tokens only.
    """

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self.template = template
        texts = sorted(tokenizer.control, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, texts)) or "(?!)")
        self._strict = Escaper((), tokenizer.special_tokens, known=()).escape
        self._lenient = Escaper((), tokenizer.control, known=()).escape

    def chat(self, messages: Sequence[MessageLike]) -> Chat:
        """Return messages as objects with safe texts."""
        return [self._turn(turn) for turn in conforming.as_objects(messages)]

    def render(self, chat: Chat, tools: Sequence[ToolSpec] = (), *, prompt: bool = False) -> str:
        """Return a conversation with safe texts as one text.

        Raises:
            CallError: the template refuses it.
        """
        safe = [self._tool(tool) for tool in tools]
        return conforming.render(self.template, chat, safe, prompt=prompt)

    def written(self, text: str) -> str:
        """Return a text of the model's, its control tokens broken."""
        return self._lenient(text)

    def controls(self, text: str) -> list[re.Match[str]]:
        """Return where control tokens stand in a text."""
        return list(self._control.finditer(text))

    def _turn(self, turn: dict[str, Json]) -> dict[str, Json]:
        return _mapped(turn, self._lenient if turn.get("role") in _NAMING else self._strict)

    def _tool(self, tool: ToolSpec) -> ToolSpec:
        parameters = _mapped(msgspec.json.decode(tool.parameters), self._lenient)
        return ToolSpec(
            self._lenient(tool.name),
            self._lenient(tool.description),
            msgspec.Raw(msgspec.json.encode(parameters)),
        )


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
