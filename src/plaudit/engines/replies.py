"""How replies are read, whatever the protocol: one boundary, and what all replies have in common.

A server may send anything. `read_body` is the only place where bytes become something else: what a
reader cannot read is a `bad_response` of that endpoint, whichever exception says so.
"""

import json
import logging
import math
import re
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

import msgspec

from plaudit.engines.base import FinishReason, Request, TokenLogprob, ToolCall
from plaudit.engines.http.errors import shorten
from plaudit.errors import CallError, Cause, PlauditError, ReplyError
from plaudit.types import Json

_MOST_TOKENS = 2**40
"""Most tokens that a reply is believed to have; sums of such numbers fit into 64 bits."""
_WORD = 64
"""Bits of the largest integers that servers count in."""
ABOVE_ZERO = 1e-3
"""By how much a log-probability may exceed 0: rounding of half-precision numbers."""
_ABOVE_ONE = 0.05
"""By how much probabilities together may exceed 1: servers round, and compute in half precision."""

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


# The boundary


def read_body(
    content: bytes, reader: Callable[[bytes], T], name: str, redact: Callable[[str], str]
) -> T:
    """Return what a reader makes of a body.

    What is raised holds neither the body nor the frames in which it was read, so that errors that
    are kept for a while do not keep the body.

    Args:
        content: the body of a reply.
        reader: reads it.
        name: the endpoint, as messages call it.
        redact: makes a foreign text printable and takes the key out.

    Raises:
        PlauditError: what the reader raised; any other exception of it as a `CallError` with the
            cause `bad_response`.
    """
    try:
        return reader(content)
    except PlauditError as error:
        problem = error
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__))
        why = shorten(redact(f"{type(error).__name__}: {error}"))
        what = f"a reply that cannot be read ({why})"
        _LOG.debug("%s sent %s\n%s", name, what, frames)
        problem = unreadable(content, what, name, redact)
    problem.__cause__ = problem.__context__ = None
    try:
        raise problem.with_traceback(None)
    finally:
        del content, problem


def unreadable(content: bytes, what: str, name: str, redact: Callable[[str], str]) -> CallError:
    """Return the error for a body that cannot be read: what it is, and its beginning."""
    quote = shorten(redact(content.decode(errors="replace"))) or "an empty body"
    problem = f"{name} sent {what}: {quote}"
    return CallError(Cause.BAD_RESPONSE, problem, retryable=True)


# JSON


_LONE_HIGH = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_LONE_LOW = re.compile(
    rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})"
)
"""Half of a surrogate pair as JSON escapes it, where each backslash begins an escape."""
_BACKSLASH, _UNUSED = rb"\\", b"\0\0"
"""An escaped backslash, and what no JSON holds."""


def decode_json(content: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Decode the JSON that servers write.

    Half of a surrogate pair becomes U+FFFD, a byte order mark is passed over, and NaN and Infinity,
    which Python's servers write, are numbers.

    Raises:
        msgspec.ValidationError: it is JSON of another shape.
        ValueError, RecursionError: it is no JSON.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = content.decode(json.detect_encoding(content))
    mended = _mend_escapes(text.encode())
    try:
        return decoder.decode(mended)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError):
        return msgspec.convert(json.loads(mended), decoder.type)


def _mend_escapes(content: bytes) -> bytes:
    content = content.replace(_BACKSLASH, _UNUSED)
    content = _LONE_LOW.sub(rb"\\ufffd", _LONE_HIGH.sub(rb"\\ufffd", content))
    return content.replace(_UNUSED, _BACKSLASH)


def mend_text(text: str) -> str:
    """Return a text in which each half of a surrogate pair is U+FFFD, so that it can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


# Counts


def read_count(given: Json) -> int | None:
    """Return a number of tokens as servers write it: whole, as `9.0` or as text.

    None where there is none, or one that cannot be: negative, a fraction, or beyond all sense.

    Raises:
        ValueError: it is an integer of more than 64 bits, which no server counts: the reply is
            broken.
    """
    if isinstance(given, str) and given.isdecimal() and len(given) < 20:
        given = int(given)
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        return None
    if given.bit_length() > _WORD:
        raise ValueError(f"a number of tokens of {given.bit_length()} bits")
    return given if 0 <= given <= _MOST_TOKENS else None


def read_counts(usage: Json, *names: str) -> list[int | None]:
    """Return numbers of tokens by name from what a server reports; None where one is unknown."""
    found = cast("dict[str, Json]", usage) if isinstance(usage, dict) else {}
    return [read_count(found.get(name)) for name in names]


# Log-probabilities


def check_logprobs(shown: Sequence[TokenLogprob]) -> None:
    """Refuse candidates of one position whose numbers are no log-probabilities.

    A log-probability is at most 0, and probabilities add up to at most 1; rounding is allowed for.

    Raises:
        ReplyError: one is above 0 or no number, or together they exceed all probability.
    """
    mass, exp = 0.0, math.exp
    for candidate in shown:
        logprob = candidate.logprob
        if not logprob <= ABOVE_ZERO:  # NaN too.
            raise no_logprobs(f"that of {candidate.token[:40]!r} is {logprob:g}")
        mass += exp(logprob)
    if mass > 1 + _ABOVE_ONE:
        raise no_logprobs(f"together they are a probability of {mass:.3g}")


def no_logprobs(found: str) -> ReplyError:
    """Return the error for numbers that are no log-probabilities, given what shows it."""
    return ReplyError(
        Cause.BAD_RESPONSE,
        f"what the reply has as log-probabilities cannot be: {found}. This server sends "
        "probabilities or other numbers in their place; use the json readout",
    )


def is_logprob(value: float) -> bool:
    """Return whether a number can be the log-probability of a token that was sampled."""
    return -math.inf < value <= ABOVE_ZERO


# Ends, thoughts and tool calls


_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "word": "stop",
    "length": "length",
    "limit": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
}


def read_finish(given: str | None) -> FinishReason:
    """Return what a server's finish reason means; `unknown` where it has none that is known."""
    return _FINISH.get(given or "", "unknown")


_OPENER, _CLOSER = "<think>", "</think>"
_BROKEN = "<\u2060/think>"


def as_thought(text: str) -> str:
    """Return thoughts between their tags.

    A closing tag within them is broken by an invisible character: it would end the thought, and the
    rest would be read as the answer.
    """
    return f"{_OPENER}{text.replace(_CLOSER, _BROKEN)}{_CLOSER}"


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
