"""Replies as gpt-oss writes them: messages with a channel and a recipient, one of them a call.

A message has a header, which `<|message|>` ends, and a content, which one of several marks ends.
The channel `analysis` holds thoughts, `final` the answer. A message to a tool is a call. The first
header of a reply may lack its beginning, which the prompt held.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from plaudit.rollouts.calls.objects import BrokenCallError, Called, object_at
from plaudit.rollouts.calls.syntax import CallAttempt, Syntax, spaced
from plaudit.types import Json

FIRST = re.compile(r"(?=\s*to=[\w.:/-]{1,128}[^\n]{0,80}?<\|message\|>|\s*<\|message\|>)")
"""A header whose beginning the prompt held."""
HEADERS = ("<|start|>", "<|channel|>")
TERMINATORS = ("<|end|>", "<|call|>", "<|return|>", "<|eom|>", "<|eot|>")
"""What ends a message; the last two end those of models that write no channels."""

_TO = r"(?:\s*+to=([\w.:/-]{1,128}))?"
_HEADER = re.compile(
    rf"(?:<\|start\|>\s*+(?:assistant)?+)?{_TO}(?:\s*+<\|channel\|>\s*+(\w{{0,32}}))?{_TO}"
    r"\s*+(?:<\|constrain\|>)?\s*+[\w/+.-]{0,64}\s*+<\|message\|>"
)
_END = re.compile("|".join(map(re.escape, (*TERMINATORS, *HEADERS, "<|message|>"))))
_MESSAGE_END = re.compile("|".join(map(re.escape, (*TERMINATORS, HEADERS[0]))))
_NOT_CALLED = frozenset({"", "self", "user", "all", "assistant"})
_PREFIX = "functions."
_INTENDED = re.compile(r"(?:(?!<\|message\|>|<\|end\|>)[^\n]){0,80}?to=[\w.:/-]")


class Header(NamedTuple):
    """The header of a message."""

    recipient: str
    channel: str
    end: int

    @property
    def is_thought(self) -> bool:
        """Whether the message says something to nobody."""
        return self.recipient == "self" or (self.channel == "analysis" and not self.is_call)

    @property
    def is_call(self) -> bool:
        """Whether the message goes to a tool."""
        return self.recipient not in _NOT_CALLED


class Harmony(Syntax):
    """`<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}<|call|>`."""

    form = "harmony"
    inner = (*HEADERS, "<|constrain|>", "<|message|>", *TERMINATORS)
    named = r"\bto=(?:functions\.)?([\w.:/-]{1,128})"
    how = "write a message to it, whose content is a JSON object of its arguments, in this form"
    several = "For several calls write one message after the other."

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write a message to a tool."""
        header = f"<|channel|>commentary to={_PREFIX}{name} <|constrain|>json<|message|>"
        return f"{header}{spaced(dict(arguments))}<|call|>"


def read_header(text: str, place: int) -> Header | None:
    """Read the header that begins at a place; None where there is none.

    Raises:
        BrokenCallError: it goes to a tool and does not end.
    """
    found = _HEADER.match(text, place)
    if found is not None:
        return Header(found[1] or found[3] or "", found[2] or "", found.end())
    if _INTENDED.match(text, place):
        raise BrokenCallError("its header does not end with <|message|>", place)
    return None


def content_end(text: str, place: int) -> tuple[int, int]:
    """Return where the content ends that begins at a place, and where the text goes on."""
    found = _END.search(text, place)
    if found is None:
        return len(text), len(text)
    after = found.end() if found.group() in TERMINATORS else found.start()
    return found.start(), after


def message_end(text: str, place: int) -> int:
    """Return where a message ends whose header is broken."""
    found = _MESSAGE_END.search(text, place)
    if found is None:
        return len(text)
    return found.start() if found.group() == HEADERS[0] else found.end()


def read_call(text: str, start: int, header: Header) -> CallAttempt:
    """Read the call that a message to a tool is.

    Raises:
        BrokenCallError: its content is no JSON object.
    """
    body, end = object_at(text, header.end)
    called = Called(header.recipient.removeprefix(_PREFIX), body)
    content, after = content_end(text, end)
    if text[end:content].strip():
        raise BrokenCallError("more than a JSON object follows", end)
    return CallAttempt(called, start, after)
