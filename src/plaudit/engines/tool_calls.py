"""Tool calls as engines tell of them, in one form."""

from collections.abc import Iterable
from typing import cast

import msgspec

from plaudit.engines.base import Request, ToolCall
from plaudit.types import Json


def made_calls(
    request: Request, reported: Iterable[tuple[str | None, str, Json]]
) -> tuple[ToolCall, ...]:
    """Return the calls of a reply, each with an id that its conversation does not have yet.

    Args:
        request: what was asked; its messages hold the calls made before.
        reported: id, name and arguments of each call, in order. The engine's id is kept where it is
            new; without one it becomes `call-TURN-NUMBER`. Arguments are text, or what some
            servers send instead: the object itself, or nothing for a tool that takes none.
    """
    taken = _known_ids(request)
    calls: list[ToolCall] = []
    for number, (id_, name, arguments) in enumerate(reported):
        if not id_ or id_ in taken:
            id_ = _new_id(request.turn, number, taken)
        taken.add(id_)
        calls.append(ToolCall(id_, name, _as_text(arguments)))
    return tuple(calls)


def arguments_object(text: str) -> dict[str, Json]:
    """Return a call's arguments as an object, for servers that take no others.

    Args:
        text: as a model wrote it. What is no JSON object becomes one that holds the text under
            `unreadable_arguments`; nothing becomes an empty one.
    """
    found = _read_object(text)
    return {_UNREADABLE: text.encode(errors="replace").decode()} if found is None else found


def arguments_text(text: str) -> str:
    """Return a call's arguments as they were written, or as text of an object that holds them."""
    if text and _read_object(text) is not None:
        return text
    return msgspec.json.encode(arguments_object(text)).decode()


_UNREADABLE = "unreadable_arguments"


def _read_object(text: str) -> dict[str, Json] | None:
    try:
        found = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    return cast("dict[str, Json]", found) if isinstance(found, dict) else None


def _new_id(turn: str, number: int, taken: set[str]) -> str:
    id_ = f"call-{turn}-{number}"
    while id_ in taken:
        id_ += "-again"
    return id_


def _known_ids(request: Request) -> set[str]:
    if isinstance(request.prompt, str):
        return set()
    calls = (call for message in request.prompt for call in message.tool_calls or ())
    return {str(call["id"]) for call in calls if "id" in call}


def _as_text(arguments: Json) -> str:
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode({} if arguments is None else arguments).decode()
