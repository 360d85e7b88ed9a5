"""Errors over HTTP, and the errors of plaudit that they become.

======================================  ==================  =========  =============
what happened                           cause               retryable  ends the run
======================================  ==================  =========  =============
no connection, reset, unknown host      connection          yes        (in `open`)
untrusted certificate                   -                   -          yes
truncated, too large, not JSON          bad_response        yes        no
3xx 401 402 403 404 405, no credit      bad_request         no         (`Rejected`)
408                                     timeout             yes        no
409 425 5xx                             server_error        yes        no
429                                     rate_limited        yes        no
the prompt is longer than the context   context_overflow    no         no
stopped by a content filter             refused (a reply)   no         no
other 4xx                               bad_request         no         no
======================================  ==================  =========  =============

A `Rejected` request ends the run only where another request is rejected too; the pool asks one.
Nothing here touches the network: `connections` raises the first rows, `translate` the others.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, cast

import msgspec

from plaudit.engines.http.echo import without_echo
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError
from plaudit.types import Json

_QUOTE_LENGTH = 200
_COMPLAINT_LENGTH = 300
_MOST_SEARCHED = 2048
"""Characters of a message that are searched for what it quotes."""


def shorten(text: str) -> str:
    """Cut a foreign text to what an error message may quote."""
    return text if len(text) <= _QUOTE_LENGTH else text[: _QUOTE_LENGTH - 1] + "…"


class Unreachable(CallError):
    """No connection could be made: nothing listens, or the host is unknown."""


class Refusal(CallError):
    """The server refused something in the request that may be given up.

    Attributes:
        reply: what the server said.
    """

    def __init__(
        self, cause: Cause, message: str, reply: "ErrorReply", *, retryable: bool = False
    ) -> None:
        super().__init__(cause, message, retryable=retryable)
        self.reply = reply


class Rejected(EngineUnusableError):
    """The server rejected one request as it rejects all where the key or the URL is wrong.

    Whether it rejects others too is not known: a firewall may dislike the text of this one.

    Attributes:
        said: what the server answered.
        advice: what to do about it where all is rejected.
        status: the HTTP status; 0: none.
    """

    def __init__(self, said: str, advice: str, status: int = 0) -> None:
        super().__init__(f"{said}; {advice}")
        self.said = said
        self.advice = advice
        self.status = status


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True):
    """A server's error message, whatever shape it came in."""

    status: int
    message: str = ""
    """Printable, on one line, without the key."""
    own: str | None = None
    """The beginning of the message without what it quotes of the request; None: all of it."""
    param: str = ""
    """The field of the request that is blamed; empty where the server does not say."""
    code: str = ""
    """The server's own error code and type."""
    needed: int | None = None
    """Tokens of the prompt, where a field of the error counts them."""
    limit: int | None = None
    """Tokens that the context holds, where a field of the error says so."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    location: str = ""
    """Where a redirect leads."""

    @property
    def quote(self) -> str:
        """The message cut to what fits in an error of ours."""
        return shorten(self.message)

    @property
    def says(self) -> str:
        """The beginning of what the server itself says: words of the request mean nothing."""
        return (self.message if self.own is None else self.own)[:_COMPLAINT_LENGTH]

    @property
    def complaint(self) -> str:
        """Code and message, which features are looked for in."""
        return f"{self.code} {self.says}"


# What a server said


def read_error(
    status: int,
    content: bytes,
    headers: Mapping[str, str],
    redact: Callable[[str], str],
    sent: bytes = b"",
) -> ErrorReply:
    """Read a server's error in any of the shapes that providers send.

    Args:
        status: the HTTP status.
        content: the body.
        headers: the reply's headers, or none.
        redact: makes a foreign text printable and takes the key out.
        sent: the body of the request.
    """
    try:
        reply = _parse(status, msgspec.json.decode(content))
    except (ValueError, RecursionError):
        reply = ErrorReply(status=status, message=content.decode(errors="replace"))
    message = redact(reply.message)
    return msgspec.structs.replace(
        reply,
        message=message,
        own=without_echo(message[:_MOST_SEARCHED], sent) if status in _READ_CLOSELY else None,
        param=redact(reply.param),
        code=redact(reply.code),
        retry_after=_retry_after(headers),
        location=redact(headers.get("Location", ""))[:_QUOTE_LENGTH],
    )


def _parse(status: int, body: Json) -> ErrorReply:
    """Find the parts of an error in its body.

    Known shapes: `{"error": {...}}` (OpenAI, Anthropic, llama.cpp), the same fields at the top
    (older vLLM, SGLang, Mistral), `{"error": "text"}`, and FastAPI's `{"detail": text or list}`.
    """
    if not isinstance(body, dict):
        return ErrorReply(status=status, message=body if isinstance(body, str) else "")
    found = cast("dict[str, Json]", body)
    if isinstance(inner := found.get("error"), dict):
        found = cast("dict[str, Json]", inner)
    message, param, kind = _unfold(
        found.get("message") or found.get("error") or found.get("detail") or ""
    )
    codes = (found.get("code"), found.get("type"), kind)
    needed, limit = found.get("n_prompt_tokens"), found.get("n_ctx")
    counted = isinstance(needed, int) and isinstance(limit, int)
    return ErrorReply(
        status=status,
        message=message,
        param=_field(found.get("param")) or param,
        code=" ".join(str(code) for code in codes if code),
        needed=needed if counted else None,
        limit=limit if counted else None,
    )


def _unfold(message: Json) -> tuple[str, str, str]:
    """Return text, blamed field and kind of a message that may hold FastAPI's list of details."""
    if isinstance(message, dict):
        return _unfold(cast("dict[str, Json]", message).get("detail", ""))
    if not isinstance(message, list):
        return str(message), "", ""
    details = [
        cast("dict[str, Json]", item)
        for item in cast("list[Json]", message)
        if isinstance(item, dict)
    ]
    texts = [f"{_field(item.get('loc'))}: {item.get('msg', '')}" for item in details]
    first = details[0] if details else {}
    return "; ".join(texts), _field(first.get("loc")), str(first.get("type", ""))


def _field(blamed: Json) -> str:
    """Return the top-level field of the request that `param` or `loc` names."""
    if isinstance(blamed, str):
        return re.split(r"[.\[]", blamed.removeprefix("body."))[0]
    if isinstance(blamed, list):
        path = [str(step) for step in cast("list[Json]", blamed) if step != "body"]
        return path[0] if path else ""
    return ""


def _token_counts(reply: ErrorReply) -> tuple[int | None, int | None]:
    """Return tokens needed and tokens available, of an error about the context's size."""
    if reply.needed is not None:
        return reply.needed, reply.limit
    message = reply.says
    if match := re.search(r"(\d+) \+ (\d+) > (\d+)", message):
        return int(match[1]) + int(match[2]), int(match[3])
    asked, holds = _NEEDED.search(message), _LIMIT.search(message)
    return (int(asked[1]) if asked else None), (int(holds[1]) if holds else None)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait: milliseconds, seconds or an HTTP date."""
    with suppress(ValueError):
        return max(0.0, float(headers.get("retry-after-ms", "")) / 1000)
    value = headers.get("Retry-After", "")
    with suppress(ValueError):
        seconds = float(value)
        return max(0.0, seconds) if seconds < float("inf") else None
    with suppress(ValueError):
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return None


# What it means


class _Meaning(NamedTuple):
    """The error of ours that a status stands for."""

    cause: Cause | None
    """None: the error ends the run."""
    retryable: bool = False
    advice: str = ""


_KEY_ADVICE = "set {variable} to a key that this endpoint accepts"
_PATH_ADVICE = (
    "check the model's name, that the base URL is complete (most end in /v1), and that the "
    "endpoint offers this mode"
)
_STATUS: dict[int, _Meaning] = {
    401: _Meaning(None, advice=_KEY_ADVICE),
    402: _Meaning(None, advice="the account behind {variable} has no credit"),
    403: _Meaning(None, advice=_KEY_ADVICE),
    404: _Meaning(None, advice=_PATH_ADVICE),
    405: _Meaning(None, advice=_PATH_ADVICE),
    408: _Meaning(Cause.TIMEOUT, retryable=True),
    409: _Meaning(Cause.SERVER_ERROR, retryable=True),
    425: _Meaning(Cause.SERVER_ERROR, retryable=True),
    429: _Meaning(Cause.RATE_LIMITED, retryable=True),
}
_REDIRECT = _Meaning(
    None, advice="redirects are not followed; write the URL it leads to, {location}"
)
_CLIENT_ERROR = _Meaning(Cause.BAD_REQUEST)
_SERVER_ERROR = _Meaning(Cause.SERVER_ERROR, retryable=True)
_ODD_STATUS = _Meaning(Cause.BAD_RESPONSE, retryable=True)
_NO_CREDIT = _STATUS[402]
_NEGOTIABLE = frozenset({400, 422, 501})
_ABOUT_THE_PROMPT = frozenset({400, 413, 422, 500})
_READ_CLOSELY = _NEGOTIABLE | _ABOUT_THE_PROMPT | {403}
"""Statuses whose message decides what they mean."""

_OVERFLOW_CODE = re.compile(r"exceed_context_size|context_length_exceeded", re.IGNORECASE)
_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded|available context size|maximum context length"
    r"|prompt is too long|exceed context limit|model'?s context length|maximum model length"
    r"|exceeds the maximum allowed length|exceed the configured limit|exceed context window"
    r"|`inputs` tokens",
    re.IGNORECASE,
)
_NEEDED = re.compile(
    r"(?:requested(?: a total of)?|resulted in|request has|prompt is too long:|contains"
    r"|(?:input|request|length|tokens) \((?:length )?|\(length|limit:|given:)\s*(\d+)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:context length(?: is| of)?|context (?:length|size) \(|allowed length \("
    r"|configured limit of|model length of|context window of|<=|>|with)\s*(\d+)",
    re.IGNORECASE,
)
_FILTER_CODE = re.compile(r"content_filter|content_policy", re.IGNORECASE)
_FILTERED = re.compile(
    r"content_filter|content_policy|flagged as potentially violating", re.IGNORECASE
)
_UNPAID_CODE = re.compile(r"insufficient_quota|billing_hard_limit", re.IGNORECASE)
_UNPAID = re.compile(r"(your )?credit balance is too low", re.IGNORECASE)
"""What Anthropic says, which has no code for it: its message begins so."""


def translate(
    reply: ErrorReply, endpoint: str, key_variable: str
) -> CallError | ReplyError | EngineUnusableError:
    """Turn a server's error into one of ours, by the table above.

    Args:
        reply: what the server said.
        endpoint: its name, as messages call it.
        key_variable: the environment variable that holds its key.
    """
    said = f"{endpoint} answered {reply.status}: {reply.quote or 'nothing'}"
    if reply.status in _ABOUT_THE_PROMPT:
        if _is_overflow(reply):
            return CallError(Cause.CONTEXT_OVERFLOW, _overflow(reply, endpoint))
        if _FILTER_CODE.search(reply.code) or _FILTERED.search(reply.says):
            return ReplyError(Cause.REFUSED, f"{said}. Its content filter stopped the request")
    meaning = _meaning(reply)
    if _negotiable(reply) and meaning is not _NO_CREDIT:
        cause = meaning.cause or Cause.BAD_REQUEST
        return Refusal(cause, said, reply, retryable=meaning.retryable)
    if meaning.cause is None:
        where = reply.location or "unknown"
        advice = meaning.advice.format(variable=key_variable, location=where)
        return Rejected(said, advice, reply.status)
    return CallError(
        meaning.cause, said, retryable=meaning.retryable, retry_after=reply.retry_after
    )


def _is_overflow(reply: ErrorReply) -> bool:
    if reply.needed is not None or _OVERFLOW_CODE.search(reply.code):
        return True
    return bool(_OVERFLOW.search(reply.says))


def _overflow(reply: ErrorReply, endpoint: str) -> str:
    needed, limit = _token_counts(reply)
    if needed and limit:
        size = f"the request takes {needed} tokens and the context holds {limit}"
    else:
        size = f"the request is longer than the model's context ({reply.quote})"
    return (
        f"{size} ({endpoint}); nothing was cut. Shorten the input, ask for fewer tokens, or "
        "serve the model with a longer context"
    )


def _negotiable(reply: ErrorReply) -> bool:
    """Return whether a refusal may be about one feature of the request only."""
    return reply.status in _NEGOTIABLE or (reply.status == 403 and "logprobs" in reply.complaint)


def _meaning(reply: ErrorReply) -> _Meaning:
    if _UNPAID_CODE.search(reply.code) or _UNPAID.match(reply.says):
        return _NO_CREDIT
    if reply.status in _STATUS:
        return _STATUS[reply.status]
    if 300 <= reply.status < 400:
        return _REDIRECT
    if 400 <= reply.status < 500:
        return _CLIENT_ERROR
    return _SERVER_ERROR if reply.status >= 500 else _ODD_STATUS
