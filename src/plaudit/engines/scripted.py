"""Engines without a model: replies from a script, and no replies at all.

A script is JSON Lines of `{"match": {...}, "replies": [...]}`. Replies are chosen by what is asked,
never by order of arrival: the first line whose match fits is used. `match` may hold `contains`
(text that the prompt contains), `sample_id` and `turn`; an empty one fits everything. The reply is
the one at the request's draw number, counted round. These are the fields of a reply, all optional:

- `text`, `finish_reason`, and `delay` in seconds;
- `logprobs`: token to log-probability;
- `tool_calls`, each with `name`, `arguments` (an object, or text) and `id`;
- `token_ids`, `token_logprobs` and `prompt_token_ids`;
- `error`: a cause, or `unusable`.
"""

import asyncio
import hashlib
from pathlib import Path
from typing import cast

import msgspec

from plaudit._util.decoding import decode_json
from plaudit.engines.base import (
    SERVED_PARAMETERS,
    Capabilities,
    Completion,
    FinishReason,
    Request,
    TokenLogprob,
)
from plaudit.engines.replies import made_calls
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.types import Json, Usage

_INVALID = frozenset(
    {
        Cause.REFUSED,
        Cause.CUT_OFF,
        Cause.UNPARSEABLE,
        Cause.AMBIGUOUS,
        Cause.OUT_OF_RANGE,
        Cause.UNKNOWN_OPTION,
        Cause.OPTIONS_NOT_VISIBLE,
        Cause.LOW_OPTION_MASS,
    }
)


class _Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    contains: str | None = None
    sample_id: str | None = None
    turn: str | None = None

    def fits(self, request: Request, prompt: str) -> bool:
        return (
            (self.contains is None or self.contains in prompt)
            and (self.sample_id is None or self.sample_id == request.sample_id)
            and (self.turn is None or self.turn == request.turn)
        )


class _Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: str | dict[str, Json] = {}
    id: str | None = None


class _Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""
    logprobs: dict[str, float] | None = None
    tool_calls: tuple[_Call, ...] = ()
    token_ids: tuple[int, ...] | None = None
    token_logprobs: tuple[float, ...] | None = None
    prompt_token_ids: tuple[int, ...] | None = None
    finish_reason: FinishReason | None = None
    error: str | None = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        reported, ids = self.token_logprobs, self.token_ids
        if reported is not None and len(reported) != len(ids or ()):
            raise ValueError("'token_logprobs' must have one for each of 'token_ids'")


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    match: _Match
    replies: list[_Reply]


class ScriptedEngine:
    """Replies from a script; for tests, docs and users without a model."""

    def __init__(self, uri: EngineURI) -> None:
        """Read the script.

        Raises:
            UsageError: the file cannot be read or is no script.
        """
        uri.take()
        self.uri = str(uri)
        self._path = uri.model
        try:
            data = Path(self._path).read_bytes()
        except OSError as error:
            raise UsageError(f"script {self._path}: {error.strerror}") from None
        self._digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        self._lines = [_line(text, f"{self._path}:{n}") for n, text in _numbered(data)]
        replies = [reply for line in self._lines for reply in line.replies]
        numbered = any(reply.token_ids is not None for reply in replies)
        self.capabilities = Capabilities(
            logprobs=20 if any(reply.logprobs for reply in replies) else 0,
            json_schema=True,
            completion=True,
            tools=any(reply.tool_calls for reply in replies),
            token_ids=numbered,
            token_prompts=numbered,
            seed=True,
            generation=SERVED_PARAMETERS,
            deterministic=True,
        )

    async def identify(self) -> str:
        """Return the hash of the script."""
        return f"scripted:{self._digest}"

    async def open(self) -> None:
        """Do nothing; the script is read already."""

    async def close(self) -> None:
        """Do nothing."""

    async def complete(self, request: Request) -> Completion:
        """Give the scripted reply, after its delay."""
        prompt = _text(request)
        reply = self._find(request, prompt)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.error is not None:
            raise _error(reply.error)
        candidates = sorted((reply.logprobs or {}).items(), key=lambda item: -item[1])
        reported = [(call.id, call.name, call.arguments) for call in reply.tool_calls]
        completion = Completion(
            text=reply.text,
            finish_reason=reply.finish_reason or ("tool_calls" if reported else "stop"),
            logprobs=tuple(TokenLogprob(t, p) for t, p in candidates) if reply.logprobs else None,
            tool_calls=made_calls(request, reported) if reported else (),
            usage=_usage(reply, request, prompt),
        )
        return _traced(completion, reply, request) if request.trace_tokens else completion

    def _find(self, request: Request, prompt: str) -> _Reply:
        for line in self._lines:
            if line.match.fits(request, prompt):
                return line.replies[request.draw % len(line.replies)]
        raise CallError(
            Cause.BAD_RESPONSE,
            f"no line of the script {self._path} matches sample {request.sample_id!r}, "
            f"turn {request.turn!r}",
        )


def _numbered(data: bytes) -> list[tuple[int, bytes]]:
    return [(n, line) for n, line in enumerate(data.splitlines(), 1) if line.strip()]


def _line(text: bytes, where: str) -> _Line:
    try:
        line = decode_json(text, _Line)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{where}: not a line of a script: {error}") from None
    if not line.replies:
        raise UsageError(f"{where}: 'replies' is empty")
    return line


def _traced(completion: Completion, reply: _Reply, request: Request) -> Completion:
    return msgspec.structs.replace(
        completion,
        token_ids=reply.token_ids,
        token_logprobs=reply.token_logprobs,
        prompt_token_ids=reply.prompt_token_ids or request.prompt_ids or None,
    )


def _usage(reply: _Reply, request: Request, prompt: str) -> Usage:
    """Tokens where there are ids, else words."""
    given = reply.prompt_token_ids or request.prompt_ids or prompt.split()
    said = reply.text.split() if reply.token_ids is None else reply.token_ids
    return Usage(len(given), len(said))


def _text(request: Request) -> str:
    """Text of the prompt: of all messages, tool results among them."""
    prompt = request.prompt
    if isinstance(prompt, str):
        return prompt
    contents = [message.content for message in prompt if message.content]
    try:
        return "\n".join(cast("list[str]", contents))
    except TypeError:  # Some are lists of parts.
        return "\n".join(message.text for message in prompt if message.content)


def _error(name: str) -> Exception:
    if name == "unusable":
        return EngineUnusableError("the script says that the engine is unusable")
    try:
        cause = Cause(name)
    except ValueError:
        return UsageError(f"the script names the error {name!r}, which is no cause")
    message = f"scripted {name}"
    return ReplyError(cause, message) if cause in _INVALID else CallError(cause, message)


class NoEngine:
    """Stands where an engine is named, and completes nothing."""

    capabilities = Capabilities(
        model=False,
        generation=(),
        deterministic=True,
        remote=False,
    )

    def __init__(self, uri: EngineURI) -> None:
        """Take the URI, which says nothing but the scheme.

        Raises:
            UsageError: it names a model or has options.
        """
        uri.take()
        if uri.model:
            raise UsageError(f"engine none: has no model, and so none called {uri.model!r}")
        self.uri = f"{uri.scheme}:"

    async def identify(self) -> str:
        """Return `none`."""
        return "none"

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def complete(self, request: Request) -> Completion:
        """Refuse: there is no model.

        Raises:
            EngineUnusableError: always.
        """
        del request
        raise EngineUnusableError("the engine none: has no model that could be asked")
