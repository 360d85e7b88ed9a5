"""Reads the one JSON object of a reply, and asks once more where it cannot be read.

A reply is thought, code fences, white space and one object. Nothing is chosen: where a reply says
two things, or says anything beside its object, the error says so.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from plaudit.engines.base import Completion, Request
from plaudit.errors import Cause, ReplyError
from plaudit.judges.readout import Option
from plaudit.judges.spelling import spell_as_json
from plaudit.types import Message

R = TypeVar("R")

REPAIR = "-repair"
"""What the turn of a request ends with that asks for a better reply."""

_THOUGHT = r"(?:seed:)?(?:think|thinking|thought|reasoning|reflection)"
_CLOSE = re.compile(rf"(?i:</{_THOUGHT}>)|\[/THINK\]|◁/think▷")
_CLOSE_ALONE = r"</think>|\[/THINK\]"
"""Ends thought that the prompt began. No other tag does: only these are broken in users' texts, so
a judge that quotes its user cannot turn its own words before the quote into thought."""
_MARK = re.compile(
    rf"(?P<open>(?i:<{_THOUGHT}>)|\[THINK\]|◁think▷)|(?P<close>{_CLOSE_ALONE})"
    r"|\{|\[(?=\s*[\"'{\[\d-])"
)
_NESTING = re.compile(rf"\\.|[\"{{}}\[\]]|{_CLOSE_ALONE}", re.DOTALL)
_FENCE = re.compile(
    r"(?:`+|~{3,})(?:[ \t]*(?:json[5cl]?|javascript|js|python|py|text|plaintext)\b)?", re.IGNORECASE
)
"""Begins or ends a code block; the name of a language is no word of the reply."""
_BLANK = " \t\r\n\f\v\u00a0\u200b\ufeff"


class _ContradictionError(ValueError):
    """An object gives one name two values."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) and any(found[name] != value for name, value in pairs):
        raise _ContradictionError
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, strict=False
)


def read_object(completion: Completion) -> dict[str, Any]:
    """Return the JSON object that a reply is.

    Thought and code fences around the object are passed over, and an object may come several times
    if it is the same each time. Quotes and commas of Python are understood. The time taken grows
    with the length of the reply only.

    Raises:
        ReplyError: `cut_off`; `unparseable`: there is no object, or one whose end is missing;
            `ambiguous`: there are several different ones, one name has two values, or there is text
            beside the object, which may take back what the object says.
    """
    if completion.finish_reason == "length":
        raise ReplyError(Cause.CUT_OFF, "the reply was cut off by max_tokens")
    text = completion.text.strip(_BLANK)
    if not text:
        raise ReplyError(Cause.UNPARSEABLE, "the reply is empty")
    found = _whole_object(text)
    return _take_apart(text).only_object(text) if found is None else found


def _whole_object(text: str) -> dict[str, Any] | None:
    """Return the object that a text is from its first to its last character; None: look closer."""
    if text[0] != "{":
        return None
    try:
        found, end = _DECODER.raw_decode(text)
        return (found if _is_whole(text) else _made_whole(found)) if end == len(text) else None
    except (ValueError, RecursionError):
        return None


def _is_whole(text: str) -> bool:
    """Whether what is read of a text is certain to be neither deep nor half of a character."""
    brackets = text.count("{") + text.count("[")
    return brackets <= _DEEPEST and text.isascii() and "\\u" not in text


class _Parts:
    """A reply taken apart: the JSON in it, and the text beside that."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._values: list[Any] = []
        self._beside: list[str] = []
        self._contradicts = False
        self._unclosed = False

    def add_text(self, text: str) -> None:
        """Note text that is no JSON."""
        self._beside.append(_FENCE.sub("", text))

    def add_json(self, text: str, start: int) -> int:
        """Read what a bracket opens; return where to go on."""
        end, closed = start, True
        try:
            value, end = _DECODER.raw_decode(text, start)
            self._values.append(value if self._whole else _made_whole(value))
        except _ContradictionError:
            self._contradicts = True
            end, closed = _find_end(text, start)
        except (ValueError, RecursionError):
            end, closed = _find_end(text, start)
            if closed:
                self._add_almost_json(text[start:end])
        self._unclosed |= not closed
        return end

    def _add_almost_json(self, text: str) -> None:
        try:
            self._values.append(_made_whole(_DECODER.decode(spell_as_json(text))))
        except _ContradictionError:
            self._contradicts = True
        except (ValueError, RecursionError):
            self._beside.append(text)

    def only_object(self, text: str) -> dict[str, Any]:
        """Return the object, which must be the only content of the reply.

        Raises:
            ReplyError: it is missing, or there is other content.
        """
        objects: list[dict[str, Any]] = [v for v in self._values if isinstance(v, dict)]
        if self._unclosed or not (objects or self._contradicts):
            raise ReplyError(Cause.UNPARSEABLE, f"the reply holds {self._what()}: {text[:80]!r}")
        if self._contradicts:
            raise ReplyError(Cause.AMBIGUOUS, "the reply gives one name two different values")
        if any(value != objects[0] for value in self._values):
            raise ReplyError(
                Cause.AMBIGUOUS, f"the reply holds {len(self._values)} JSON values that differ"
            )
        beside = "".join(self._beside).strip(_BLANK)
        if beside:
            raise ReplyError(
                Cause.AMBIGUOUS, f"the reply holds text beside its JSON object: {beside[:80]!r}"
            )
        return objects[0]

    def _what(self) -> str:
        if self._unclosed:
            return "JSON whose end is missing"
        return "JSON that is not an object" if self._values else "no JSON object"


def _take_apart(text: str) -> _Parts:
    """Take a reply apart, thought left out; tags of thought within its strings are text."""
    whole = _is_whole(text)
    parts, position = _Parts(whole), 0
    while mark := _MARK.search(text, position):
        parts.add_text(text[position : mark.start()])
        if mark["open"]:
            closing = _CLOSE.search(text, mark.end())
            position = closing.end() if closing else len(text)
        elif mark["close"]:  # all before it was thought
            parts, position = _Parts(whole), mark.end()
        else:
            position = parts.add_json(text, mark.start())
    parts.add_text(text[position:])
    return parts


def _find_end(text: str, start: int) -> tuple[int, bool]:
    """Return where a bracket closes, else where thought or the text ends, and whether it does."""
    depth, in_string = 0, False
    for token in _NESTING.finditer(text, start):
        if token[0] == '"':
            in_string = not in_string
        elif in_string or token[0][0] == "\\":
            continue
        elif token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
            if depth == 0:
                return token.end(), True
        else:
            return token.start(), False
    return len(text), False


_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEPEST = 50
"""Most objects and lists within each other; no judge asks for more than three."""


def _made_whole(value: Any, depth: int = 0) -> Any:
    """Return a value of JSON with the replacement character for each half of a character.

    Raises:
        ValueError: it is nested too deeply to be compared or shown.
    """
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_made_whole(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_made_whole(name): _made_whole(item, depth + 1) for name, item in items}
    return value


# Repair.


async def ask_object(
    request: Request,
    ask: Callable[[Request], Awaitable[Completion]],
    escape: Callable[[str], str],
    read: Callable[[dict[str, Any]], R],
) -> R:
    """Ask, and return what is read of the reply's object; give the model one turn to repair it.

    Args:
        request: what is asked.
        ask: gets completions.
        escape: breaks what could forge a section of a prompt.
        read: reads the object; may raise ReplyError, which is repaired too.

    Raises:
        CallError: no reply came.
        ReplyError: the second reply cannot be used either.
    """
    reply = await ask(request)
    try:
        return read(read_object(reply))
    except ReplyError as error:
        repair = repair_request(request, reply, error, escape)
    return read(read_object(await ask(repair)))


def repair_request(
    request: Request,
    reply: Completion,
    error: ReplyError,
    escape: Callable[[str], str],
    how: str = "",
) -> Request:
    """Return the request for a better reply than this one.

    Args:
        request: what was asked.
        reply: what came.
        error: why the reply cannot be used.
        escape: breaks what could forge a section of a prompt.
        how: what else the new reply should be, ending with a comma and a space.
    """
    quoted = escape(reply.text)
    wish = (
        f"That reply cannot be used: {escape(str(error))}. "
        f"Reply once more, {how}with one JSON object of the described form and nothing else."
    )
    if isinstance(request.prompt, str):
        prompt: str | tuple[Message, ...] = f"{request.prompt}{quoted}\n\n{wish}\n"
    else:
        prompt = (*request.prompt, Message("assistant", quoted), Message("user", wish))
    return msgspec.structs.replace(request, prompt=prompt, turn=request.turn + REPAIR)


# Schemas.


def choice_schema(reason: str, choice: str, options: Sequence[Option]) -> dict[str, Any]:
    """Return the JSON schema of a reply with a reason, a choice and a confidence.

    Args:
        reason: name of the field for the reason, of at most 300 characters.
        choice: name of the field for the choice.
        options: what can be chosen.
    """
    return {
        "type": "object",
        "properties": {
            reason: {"type": "string", "maxLength": 300},
            choice: {"type": "string", "enum": [option.label for option in options]},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": [reason, choice, "confidence"],
        "additionalProperties": False,
    }


# Fields.


def take_text(reply: Mapping[str, Any], name: str) -> str:
    """Return a text of the reply; the texts of a list are joined, a line each.

    Raises:
        ReplyError: it is missing, or neither a text nor a list of texts.
    """
    value = _take(reply, name)
    if isinstance(value, str):
        return value
    texts = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        found = str(reply[name])[:60]
        raise ReplyError(
            Cause.UNPARSEABLE, f"{name} is {found!r}, neither a text nor a list of texts"
        )
    return "\n".join(texts)


def take_option(reply: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """Return the option that the reply names.

    Raises:
        ReplyError: it names none, or an unknown one.
    """
    value = _take(reply, name)
    if not isinstance(value, str) or value.strip() not in allowed:
        raise ReplyError(
            Cause.UNKNOWN_OPTION, f"{name} is {str(value)[:60]!r}, not one of {', '.join(allowed)}"
        )
    return value.strip()


def take_number(reply: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """Return a number of the reply.

    Raises:
        ReplyError: it is missing, no number, not finite, or outside `low..high`.
    """
    value = _take(reply, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReplyError(Cause.UNPARSEABLE, f"{name} is {str(value)[:60]!r}, not a number")
    if not low <= value <= high:  # also refuses NaN
        raise ReplyError(Cause.OUT_OF_RANGE, f"{name} is {value}, not in {low:g}..{high:g}")
    return float(value)


def _take(reply: Mapping[str, Any], name: str) -> Any:
    value = reply.get(name)
    if value is None:
        raise ReplyError(Cause.UNPARSEABLE, f"the reply has no {name!r}")
    return value
