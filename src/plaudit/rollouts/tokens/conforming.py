"""Conversations brought into the form that a chat template takes.

Templates differ in what they take: some want the arguments of calls as text, some only ids of nine
characters, some know neither tools nor system messages. A conversation is given as it is first. If
the template refuses it, the fewest changes are sought with which it does not.

Templates also differ in the contents that they write: one text, a list of parts, or either. Some
leave calls out without an error; a conversation of which they would do so is refused here.
"""

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast

import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.engines.chat_template import ChatTemplate, MessageLike
from plaudit.errors import CallError, Cause, InputError
from plaudit.types import Json, Message

Chat = list[dict[str, Json]]

_ID_LENGTH = 9


def as_objects(messages: Iterable[MessageLike]) -> Chat:
    """Return messages as the objects that templates see, arguments of calls read from their text.

    Arguments that are no JSON object stay as they are. Content that is missing without calls in its
    place is empty text: templates would write the word None.

    Raises:
        InputError: a message is no object with a role.
    """
    return [_with_arguments(_object(turn, n), _read) for n, turn in enumerate(messages, 1)]


def render(
    template: ChatTemplate, chat: Chat, tools: Sequence[ToolSpec] = (), *, prompt: bool = False
) -> str:
    """Return a conversation as one text, changed as little as the template asks for.

    Raises:
        CallError: the template refuses it in every form.
    """
    refusal: CallError | None = None
    for changes in _choices(chat):
        changed = chat
        for change in changes:
            changed = change(changed)
        try:
            return template.render(changed, tools, prompt=prompt, begin=True)
        except CallError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _choices(chat: Chat) -> Iterable[tuple[Callable[[Chat], Chat], ...]]:
    """None at all, then every set of changes that change something, the smallest first."""
    yield ()
    useful = [change for change in _CHANGES if change(chat) != chat]
    for count in range(1, len(useful) + 1):
        yield from itertools.combinations(useful, count)


def _object(message: MessageLike, number: int) -> dict[str, Json]:
    turn: Any = msgspec.to_builtins(message) if isinstance(message, Message) else message
    if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):  # pyright: ignore[reportUnknownMemberType]
        raise InputError(f"message {number} is no object with a role")
    found = dict(cast("Mapping[str, Json]", turn))
    if found.get("content") is None and not found.get("tool_calls"):
        found["content"] = ""
    return found


# ---------------------------------------------------------------- changes


def _empty_texts(chat: Chat) -> Chat:
    """Content that is null becomes empty text."""
    return [turn if turn.get("content") is not None else turn | {"content": ""} for turn in chat]


def _joined_parts(chat: Chat) -> Chat:
    """Lists of text parts become one text."""
    return [turn | {"content": _joined(turn.get("content"))} for turn in chat]


def _text_arguments(chat: Chat) -> Chat:
    """Arguments of calls become JSON text."""
    return [_with_arguments(turn, _write) for turn in chat]


def _short_ids(chat: Chat) -> Chat:
    """Ids of calls become nine letters and digits."""
    return [_with_ids(turn) for turn in chat]


def _results_as_user(chat: Chat) -> Chat:
    """Results of tools become messages of the user; those that follow each other become one."""
    found: Chat = []
    for role, turns in itertools.groupby(chat, key=lambda turn: turn.get("role")):
        if role == "tool":
            texts = [str(_joined(turn.get("content")) or "") for turn in turns]
            found.append({"role": "user", "content": "\n\n".join(texts)})
        else:
            found += turns
    return found


def _system_in_user(chat: Chat) -> Chat:
    """The system message becomes the beginning of the user message that follows it."""
    roles = [turn.get("role") for turn in chat[:2]]
    if roles != ["system", "user"]:
        return chat
    texts = [str(_joined(turn.get("content")) or "") for turn in chat[:2]]
    return [chat[1] | {"content": "\n\n".join(texts)}, *chat[2:]]


_CHANGES = (
    _empty_texts,
    _joined_parts,
    _text_arguments,
    _short_ids,
    _system_in_user,
    _results_as_user,
)


# ---------------------------------------------------------------- parts


def _joined(content: Json) -> Json:
    parts = cast("list[Any]", content if isinstance(content, list) else [])
    texts = [_text_of(part) for part in parts]
    if parts and None not in texts:
        return "\n".join(text for text in texts if text is not None)
    return content  # pyright: ignore[reportUnknownVariableType]


def _text_of(part: Any) -> str | None:
    text = cast("dict[str, Any]", part).get("text") if isinstance(part, dict) else part
    return text if isinstance(text, str) else None


def _with_arguments(turn: dict[str, Json], change: Callable[[Json], Json]) -> dict[str, Json]:
    calls: Any = turn.get("tool_calls")
    if not calls:
        return turn
    return turn | {"tool_calls": [_changed_call(call, change) for call in calls]}


def _changed_call(call: dict[str, Json], change: Callable[[Json], Json]) -> dict[str, Json]:
    function: Any = call.get("function")
    if not isinstance(function, dict) or "arguments" not in function:
        return call
    return call | {"function": function | {"arguments": change(function["arguments"])}}


def _read(arguments: Json) -> Json:
    if not isinstance(arguments, str):
        return arguments
    try:
        found = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError):
        return arguments
    return found if isinstance(found, dict) else arguments  # pyright: ignore[reportUnknownVariableType]


def _write(arguments: Json) -> Json:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _with_ids(turn: dict[str, Json]) -> dict[str, Json]:
    changed = dict(turn)
    if isinstance(turn.get("tool_call_id"), str):
        changed["tool_call_id"] = _short(turn["tool_call_id"])
    if turn.get("tool_calls"):
        calls: list[dict[str, Json]] = turn["tool_calls"]
        changed["tool_calls"] = [call | {"id": _short(str(call.get("id", "")))} for call in calls]
    return changed


def _short(name: str) -> str:
    """Return an id of nine letters and digits: the same one for the same id."""
    if len(name) == _ID_LENGTH and name.isascii() and name.isalnum():
        return name
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return base64.b32encode(digest).decode().lower()[:_ID_LENGTH]


_Taken = Literal["text", "parts", "either"]

_WORD = "w31zq"


def sample_call(what: str = "x", number: int = 1) -> dict[str, Json]:
    """Return a call with which chat templates are tried out."""
    function = {"name": "find", "arguments": {"what": what}}
    return {"id": f"call0000{number}", "type": "function", "function": function}


_BEFORE: Mapping[str, Chat] = {
    "assistant": [{"role": "user", "content": "?"}],
    "tool": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [sample_call()]},
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
    calls = [sample_call(word, number) for number, word in enumerate(words)]
    return {"role": "assistant", "content": "", "tool_calls": calls}
