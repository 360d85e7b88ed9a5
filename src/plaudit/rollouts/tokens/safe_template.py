"""A chat template whose control tokens only it can write."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate, MessageLike
from plaudit.engines.replies import mend_text
from plaudit.prompts.escape import JOINER, Escaper
from plaudit.rollouts.calls.forms import OwnMessage
from plaudit.rollouts.calls.parsing import THOUGHTS
from plaudit.rollouts.tokens import conforming
from plaudit.rollouts.tokens.conforming import Chat, Contents, check_calls, most_calls
from plaudit.rollouts.tokens.tokenizer import Tokenizer
from plaudit.types import Json

_NAMING = ("system", "developer", "assistant")
"""Roles whose texts may name marks that models write, such as `<tool_call>`."""
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Fields of thoughts, around which a template writes the tags."""


class SafeTemplate:
    """Renders conversations of untrusted texts.

    Where a text holds a special token's text, an invisible character breaks it
    (`plaudit.prompts.escape`): every mark that is a token of its own in what users and tools say,
    control tokens elsewhere. What is no Unicode becomes U+FFFD. All other texts stay as they are.
    Marks of plaudit's own in messages of its own (`OwnMessage`) are kept. A thought cannot hold the
    tag that ends it.
    """

    def __init__(
        self, template: ChatTemplate, tokenizer: Tokenizer, kept: Iterable[str] = ()
    ) -> None:
        """Join template and tokenizer; `kept` are plaudit's own marks."""
        self._template = template
        self._contents = Contents(template)
        self._most_calls: dict[bool, int | None] = {}
        longest_first = sorted({*kept, JOINER}, key=len, reverse=True)
        self._kept = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
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
        turns = conforming.as_objects(messages)
        return [
            self._turn(turn, isinstance(message, OwnMessage))
            for turn, message in zip(turns, messages, strict=True)
        ]

    def render(self, chat: Chat, tools: Sequence[ToolSpec] = (), *, prompt: bool = False) -> str:
        """Return a conversation with safe texts as one text.

        Raises:
            CallError: the template refuses it.
        """
        safe = [self._tool(tool) for tool in tools]
        fitting = self._contents.fit(chat)
        return conforming.render(self._template, fitting, safe, prompt=prompt)

    def check_calls(self, chat: Chat, tools: Sequence[ToolSpec] = ()) -> None:
        """Refuse a conversation of which the template leaves calls out in silence.

        Raises:
            CallError: it does.
        """
        if not any(turn.get("tool_calls") for turn in chat):
            return
        key = bool(tools)
        if key not in self._most_calls:
            self._most_calls[key] = most_calls(lambda tried: self.render(tried, tools))
        check_calls(chat, self._most_calls[key], self.name)

    def written(self, text: str) -> str:
        """Return a text of the model's, its control tokens broken."""
        return self._lenient(text)

    def controls(self, text: str) -> list[re.Match[str]]:
        """Return where control tokens stand in a text."""
        return list(self._control.finditer(text))

    def _turn(self, turn: dict[str, Json], own: bool) -> dict[str, Json]:
        guard = self._lenient if turn["role"] in _NAMING else self._strict
        if own:
            guard = self._keeping(guard)
        safe = {name: _mapped(value, guard) for name, value in turn.items()}
        thoughts = {
            name: _closing_tags.escape(safe[name])
            for name in _REASONING
            if isinstance(safe.get(name), str)
        }
        return safe | thoughts

    def _keeping(self, guard: Callable[[str], str]) -> Callable[[str], str]:
        """Make all of a text safe but plaudit's own marks, and what it has broken already."""
        return lambda text: "".join(
            part if place % 2 else guard(part) for place, part in enumerate(self._kept.split(text))
        )

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
        # Halves of characters, which JSON can hold, are no Unicode.
        return self._escape(text if text.isascii() else mend_text(text))


_closing_tags = Escaper((), THOUGHTS.values(), known=())


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
