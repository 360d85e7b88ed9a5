"""Contents of messages as a chat template takes them: one text, or a list of parts.

Templates that know no parts print such a list in Python's notation, and an absent content as the
word None. Templates of models that see pictures may take nothing but parts, and leave a text out.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

from plaudit.engines.chat_template import ChatTemplate
from plaudit.errors import CallError, Cause
from plaudit.types import Json

Chat = list[dict[str, Json]]

_Taken = Literal["text", "parts", "either"]

_WORD = "w31zq"
_CALL = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "find", "arguments": {"what": "x"}},
}
_BEFORE: Mapping[str, Chat] = {
    "assistant": [{"role": "user", "content": "?"}],
    "tool": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    ],
}


class Contents:
    """Fits contents to one chat template."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._known: dict[str, _Taken] = {}

    def fit(self, chat: Chat) -> Chat:
        """Return messages whose contents the template writes as they are.

        An absent content becomes an empty text; parts become one text, or a text one part, where
        the template takes nothing else.

        Raises:
            CallError: a part is no text, and the template would print it as it stands.
        """
        return [self._fitted(turn, number) for number, turn in enumerate(chat, 1)]

    def _fitted(self, turn: dict[str, Json], number: int) -> dict[str, Json]:
        content = turn.get("content")
        if content is None:
            return turn | {"content": ""}
        taken = self._taken(str(turn["role"]))
        if isinstance(content, str):
            return turn | {"content": _parts(content)} if taken == "parts" else turn
        if taken != "text" or not isinstance(content, list):
            return turn
        return turn | {"content": self._joined(cast("list[Any]", content), number)}

    def _joined(self, parts: list[Any], number: int) -> str:
        texts = [_text_of(part) for part in parts]
        if None in texts:
            raise CallError(
                Cause.BAD_REQUEST,
                f"message {number} has a content part that is no text, which the chat template "
                f"{self._template.name} cannot show; leave this conversation out",
            )
        return "\n".join(text for text in texts if text is not None)

    def _taken(self, role: str) -> _Taken:
        if role not in self._known:
            self._known[role] = self._find(role)
        return self._known[role]

    def _find(self, role: str) -> _Taken:
        text, parts = self._written(role, _WORD), self._written(role, _parts(_WORD))
        if _WORD in text:
            return "either" if parts == text else "text"
        return "parts" if _WORD in parts and "'text'" not in parts else "text"

    def _written(self, role: str, content: Json) -> str:
        chat = [*_BEFORE.get(role, []), {"role": role, "content": content}]
        if role not in ("user", "assistant", "tool"):
            chat.append({"role": "user", "content": "?"})
        try:
            return self._template.render(chat)
        except CallError:
            return ""


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _text_of(part: Any) -> str | None:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else None
