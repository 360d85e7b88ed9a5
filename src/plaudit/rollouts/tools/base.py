"""What a tool is, what it answers, and how arguments and results are checked."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import jsonschema_rs
import msgspec

from plaudit.engines.base import ToolSpec
from plaudit.errors import UsageError
from plaudit.rollouts.trace import CallStatus
from plaudit.types import Json


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool answers."""

    content: str
    """What the model reads."""
    data: Json = None
    """What else rewards may read (`CallRecord.data`); the model does not see it."""


class Tool(Protocol):
    """Something that a model can call.

    A tool may have an attribute `timeout`: seconds that one call may take, in place of its set's.
    """

    @property
    def spec(self) -> ToolSpec:
        """Name, description and schema of the arguments."""
        ...

    @property
    def identity(self) -> str:
        """What its results depend on besides its arguments, such as the hash of an index."""
        ...

    async def call(self, arguments: Mapping[str, Json]) -> ToolResult:
        """Answer one call; the arguments fit the schema. May raise anything."""
        ...


class ToolSource(Protocol):
    """Something that has tools only while it is open, such as a server."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    async def open(self) -> Sequence[Tool]:
        """Make ready and return the tools.

        Raises:
            UsageError: it cannot be used.
        """
        ...

    async def close(self) -> None:
        """Free what `open` took; the source may be opened again."""
        ...


class ToolError(Exception):
    """A tool's answer to a call that it cannot serve. Its text is what the model reads.

    Tools raise it where the model is to do better: there is no such page, the query is empty. The
    call is `declined`, and counts as the model's. Any other exception, and a `ToolError` with the
    status `raised`, is a fault of the tool: rewards that read the tool then have no value, and the
    rollout is rolled out again. It never leaves a tool set.

    Attributes:
        status: what becomes of the call.
    """

    def __init__(self, message: str, status: CallStatus = "declined") -> None:
        super().__init__(message)
        self.status: CallStatus = status


MOST_ERROR_CHARS = 500
"""How much of an error's text a model is shown."""
MOST_DATA_BYTES = 1_000_000
"""Most that a result may carry for rewards, as JSON."""

_CUT = re.compile(r"\n\[cut here: [\d,]+ of [\d,]+ characters are shown\]\Z")


def as_result(value: Any) -> ToolResult:
    """Make a result of what a function returned: texts as they are, other values as JSON.

    Raises:
        ToolError: JSON cannot hold it.
    """
    if isinstance(value, ToolResult):
        return value
    if isinstance(value, str):
        return ToolResult(value)
    try:
        return ToolResult(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(
            f"it returned a {type(value).__name__} that is neither text nor JSON", "bad_result"
        ) from error


def checked(result: Any) -> ToolResult:
    """Return a result that can be written down.

    Raises:
        ToolError: it is no `ToolResult`, or holds what a trace cannot keep.
    """
    if not isinstance(result, ToolResult) or not _is_text(result.content):
        raise ToolError("it returned no text", "bad_result")
    if result.data is not None and _size(result.data) > MOST_DATA_BYTES:
        raise ToolError(f"its data is larger than {MOST_DATA_BYTES:,} bytes", "bad_result")
    return result


def _is_text(content: Any) -> bool:
    if not isinstance(content, str):
        return False
    return content.isascii() or clean(content) == content


def _size(data: Json) -> int:
    try:
        return len(msgspec.json.encode(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError("its data cannot be written as JSON", "bad_result") from error


def cut(text: str, most: int) -> tuple[str, bool]:
    """Return at most the first `most` characters, with a note where text was cut off."""
    if len(text) <= most:
        return text, False
    return f"{text[:most]}\n[cut here: {most:,} of {len(text):,} characters are shown]", True


def shown_chars(text: str) -> int:
    """Return how many characters of a result a text that `cut` cut off shows."""
    note = _CUT.search(text)
    return len(text) if note is None else note.start()


def clean(text: str) -> str:
    """Return the text with question marks for lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def error_text(message: str) -> str:
    """Return a failure as the model reads it: one short text, however long the message is."""
    text = clean(message)
    return "Error: " + (text if len(text) <= MOST_ERROR_CHARS else text[:MOST_ERROR_CHARS] + " …")


def described(error: BaseException) -> str:
    """Say what was raised, without its traceback."""
    try:
        message = str(error)
    except Exception:  # A `__str__` of the user's may raise as well.
        message = ""
    kind = type(error).__name__
    return f"{kind}: {message}" if message else kind


_MOST_FAULTS = 3
"""Most faults of one call that the model reads."""


class ArgumentCheck:
    """Says what is wrong with arguments. A schema never makes it fetch anything."""

    def __init__(self, spec: ToolSpec) -> None:
        """Compile a tool's schema.

        Raises:
            UsageError: it is no JSON schema of an object.
        """
        try:
            schema = msgspec.json.decode(spec.parameters, type=dict[str, Any])
            self._errors: Callable[[Any], Any] = jsonschema_rs.validator_for(
                schema, offline=True
            ).iter_errors
        except (msgspec.MsgspecError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"the parameters of tool {spec.name!r} are no JSON schema: {reason}"
            ) from error

    def __call__(self, arguments: Mapping[str, Json]) -> None:
        """Check the arguments of one call.

        Raises:
            ToolError: they do not fit; the message says where.
        """
        faults = [_fault(error) for error in islice(self._errors(arguments), _MOST_FAULTS)]
        if faults:
            raise ToolError("the arguments do not fit: " + "; ".join(faults), "invalid_arguments")


def _fault(error: jsonschema_rs.ValidationError) -> str:
    place = ".".join(str(part) for part in error.instance_path)
    return f"{place}: {error.message}" if place else error.message
