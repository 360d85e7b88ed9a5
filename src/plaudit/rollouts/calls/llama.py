"""Calls as Llama 3 writes them, and bare JSON objects."""

from collections.abc import Mapping

from plaudit.rollouts.calls.hermes import read_values
from plaudit.rollouts.calls.objects import skip
from plaudit.rollouts.calls.qwen import FUNCTION, FUNCTION_END, read_function
from plaudit.rollouts.calls.syntax import Found, Specs, Syntax, spaced
from plaudit.types import Json

_TAG = "<|python_tag|>"


class Bare(Syntax):
    """A bare JSON object. No mark begins it: it counts only where it stands alone."""

    form = "json"
    needs_marks = False
    how = "answer with nothing but one JSON object of this form"
    several = "For several calls write one a line."

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write an object."""
        return spaced({"name": name, "arguments": dict(arguments)})


class Llama(Bare):
    """A bare object, one after `<|python_tag|>`, or `<function=NAME>{...}</function>`."""

    form = "llama"
    openers = (FUNCTION, _TAG)
    inner = (FUNCTION_END,)

    def reach(self, opener: str) -> tuple[str, ...]:
        """A function ends with its tag, objects with their line."""
        return self.inner if opener == FUNCTION else ()

    def read(self, text: str, start: int, place: int, specs: Specs) -> Found:
        """Read what follows a mark."""
        if text.startswith(FUNCTION, start):
            return read_function(text, start, specs)
        return read_values(text, start, skip(text, place))

    def write(self, name: str, arguments: Mapping[str, Json]) -> str:
        """Write an object."""
        return spaced({"name": name, "parameters": dict(arguments)})
