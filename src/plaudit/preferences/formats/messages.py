"""Lists of messages taken apart and put together without decoding the messages."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from plaudit.errors import InputError


class _Role(msgspec.Struct, frozen=True, gc=False):
    role: str


_role = msgspec.json.Decoder(_Role).decode


def joined(messages: Sequence[Raw]) -> Raw:
    """Return messages as one list."""
    return Raw(b"[" + b",".join(map(bytes, messages)) + b"]")


def split_last(messages: Sequence[Raw]) -> tuple[Raw, Raw]:
    """Return all messages but the last, which is the response, and that one.

    Raises:
        InputError: it is not the assistant's, or there is nothing before it.
    """
    if len(messages) < 2 or role_of(messages[-1]) != "assistant":
        raise InputError("the conversation must end with the assistant's response to something")
    return joined(messages[:-1]), messages[-1]


def split_at_response(messages: Sequence[Raw]) -> tuple[Raw, Raw]:
    """Return the messages before the assistant's first, and the rest from there on.

    Raises:
        InputError: one of those up to there is no message.
    """
    places = (place for place, one in enumerate(messages) if role_of(one) == "assistant")
    first = next(places, len(messages))
    return joined(messages[:first]), joined(messages[first:])


def role_of(message: Raw) -> str:
    """Return who says a message.

    Raises:
        InputError: it is no message.
    """
    try:
        return _role(message).role
    except msgspec.DecodeError as error:
        raise InputError(f"not a message: {error}") from None
