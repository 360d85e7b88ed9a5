"""Calls as Hermes, Qwen 2.5, Qwen 3 and SmolLM write them: JSON between `<tool_call>` tags."""

from collections.abc import Mapping

from plaudit.rollouts.calls.objects import called, members, skip, value_spans
from plaudit.rollouts.calls.syntax import Attempt, Found, Specs, Syntax, expect, spaced
from plaudit.types import Json

OPENER, CLOSER = "<tool_call>", "</tool_call>"


class Hermes(Syntax):
    """`<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, or a list between the tags."""

    form = "hermes"
    openers = (OPENER,)
    closers = (CLOSER,)
    named = r'"name"\s*+:\s*+"([^"\\]{1,128})"'
    how = "write one JSON object between these tags"

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
        """Read the objects between the tags."""
        del specs
        found = read_values(text, start, skip(text, place))
        return shared_end(found, expect(text, CLOSER, found.end))

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write one object between tags."""
        called = spaced({"name": name, "arguments": dict(arguments)})
        return f"{OPENER}\n{called}\n{CLOSER}"


def read_values(text: str, start: int, place: int) -> Found:
    """Read calls as JSON objects, one or several after each other, or in lists.

    Raises:
        BrokenCallError: there is none, or one of them is broken.
    """
    spans = value_spans(text, place)
    calls = [called(raw, span[1]) for span in spans for raw in members(text, span)]
    end = spans[-1][1]
    return Found([Attempt(call, start, end) for call in calls], end)


def shared_end(found: Found, end: int) -> Found:
    """Let calls reach to the end of their closing tag."""
    return Found([attempt._replace(end=end) for attempt in found.attempts], end)
