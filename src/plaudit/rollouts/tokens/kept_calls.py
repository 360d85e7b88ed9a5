"""Whether a chat template writes the calls of a message, or leaves them out in silence."""

from collections.abc import Callable
from typing import Any, cast

from plaudit.errors import CallError, Cause
from plaudit.types import Json

Chat = list[dict[str, Json]]
Render = Callable[[Chat], str]

_WORDS = ("w31zq", "k82vd")


def most_calls(render: Render) -> int | None:
    """Return how many calls of a message are written at most; None: all of them are.

    A template that refuses calls says so itself, whenever it gets one.
    """
    for words in (_WORDS, _WORDS[:1]):
        try:
            text = render([{"role": "user", "content": "?"}, _turn(words)])
        except CallError:
            continue
        written = sum(word in text for word in words)
        return None if written == len(_WORDS) else written
    return None


def check_calls(chat: Chat, most: int | None, name: str) -> None:
    """Refuse a conversation of which a template would leave calls out.

    Args:
        chat: the conversation.
        most: calls of one message that the template writes.
        name: the template's.

    Raises:
        CallError: a message has more calls than that.
    """
    if most is None:
        return
    for number, turn in enumerate(chat, 1):
        calls: Any = turn.get("tool_calls") or ()
        if len(cast("list[Any]", calls)) > most:
            which = "tool calls" if most == 0 else f"all tool calls of a message but {most}"
            raise CallError(
                Cause.BAD_REQUEST,
                f"the chat template {name} leaves out {which}, and message {number} has "
                f"{len(cast('list[Any]', calls))}; use a template that writes them, or leave this "
                "conversation out",
            )


def _turn(words: tuple[str, ...]) -> dict[str, Json]:
    calls = [
        {
            "id": f"call0000{number}",
            "type": "function",
            "function": {"name": "find", "arguments": {"what": word}},
        }
        for number, word in enumerate(words)
    ]
    return {"role": "assistant", "content": "", "tool_calls": calls}
