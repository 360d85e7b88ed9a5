"""What comes back from a tool, made into what a model reads and a trace keeps."""

import json
import re
from typing import Any

import msgspec

from plaudit.rollouts.tools.base import ToolError, ToolResult
from plaudit.types import Json

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
    """Return what a model is told of a failure: one short text, however long the message is."""
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
