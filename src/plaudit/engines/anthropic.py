"""Anthropic's Messages API."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, ClassVar

import msgspec
from yarl import URL

from plaudit.engines.base import Capabilities, Completion, Request, ToolSpec
from plaudit.engines.http.engine import HTTPEngine
from plaudit.engines.http.features import TEMPERATURE, TOP_P, Feature
from plaudit.engines.http.transport import TIMEOUTS, Transport, call_timeouts
from plaudit.engines.replies import (
    arguments_object,
    as_thought,
    made_calls,
    read_counts,
    read_finish,
)
from plaudit.engines.uri import EngineURI, place_of
from plaudit.errors import Cause, EngineUnusableError, ReplyError, UsageError
from plaudit.types import Json, Message, Usage

SCHEMES = ("anthropic", "claude")
"""The schemes of engine URIs that `AnthropicEngine` takes."""

_HOST = "https://api.anthropic.com"
_VERSION = "2023-06-01"
_PARAMETERS = ("temperature", "top_p", "max_tokens", "top_k", "stop_sequences")


class _Terms(msgspec.Struct, frozen=True):
    """What requests ask for."""

    schema: bool = True
    temperature: bool = True
    top_p: bool = True


_FEATURES: tuple[Feature[_Terms], ...] = (
    Feature(
        fields=frozenset({"tool_choice"}),
        complaint=re.compile(r"tool_choice|\btools?\b|input_schema", re.IGNORECASE),
        instead={"schema": False},
        note="does not take this JSON schema; the reply is not constrained",
    ),
    # Before the temperature: newer models take either, and the temperature matters more.
    TOP_P,
    TEMPERATURE,
)


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")


class _Reply(msgspec.Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: Json = None


_REPLY = msgspec.json.Decoder(_Reply)


class AnthropicEngine(HTTPEngine[_Terms, _Reply]):
    """A Claude model: chat only, no log-probabilities, no seed.

    A JSON schema is the input of a tool that the model must call; the tool's input is the text of
    the completion. URI option: `revision=NAME`, part of the identity.
    """

    features: ClassVar[tuple[Feature[_Terms], ...]] = _FEATURES
    models_path = "/v1/models"

    def __init__(self, uri: EngineURI) -> None:
        """Prepare the engine; nothing is contacted.

        Raises:
            UsageError: unknown scheme or option, more than one URL, or a URL that is none.
        """
        if uri.scheme not in SCHEMES:
            raise UsageError(f"engine {uri.scheme}: is not one of {', '.join(SCHEMES)}")
        options = uri.take(revision="", **TIMEOUTS)
        base_url, given = place_of(uri, _HOST, "ANTHROPIC_BASE_URL")
        transport = Transport(
            "anthropic",
            base_url.removesuffix("/v1"),
            "ANTHROPIC_API_KEY",
            _headers,
            timeouts=call_timeouts(uri, options),
        )
        super().__init__(
            uri,
            transport,
            _Terms(),
            Capabilities(json_schema=True, tools=True, generation=_PARAMETERS),
            revision=options["revision"],
            needs_key=not given,
        )
        self._messages_url = transport.url("/v1/messages")

    def _url(self, request: Request) -> URL:
        return self._messages_url

    def _body(self, request: Request, terms: _Terms) -> dict[str, Json]:
        if isinstance(request.prompt, str) or request.logprobs:
            lacks = "log-probabilities" if request.logprobs else "completion mode"
            raise EngineUnusableError(
                f'{self.transport.name} has no {lacks}; use mode="chat" and readout="json"'
            )
        sampling = request.sampling
        system, messages = _lift_system(request.prompt)
        body: dict[str, Json] = {
            "model": self._served.name,
            "max_tokens": sampling.max_tokens,
            "messages": _in_blocks(messages),
        }
        if system:
            body["system"] = system
        if terms.temperature:
            body["temperature"] = sampling.temperature
        if terms.top_p and sampling.top_p != 1:
            body["top_p"] = sampling.top_p
        if sampling.stop:
            body["stop_sequences"] = sampling.stop
        if request.tools:
            body["tools"] = _offered(request.tools)
        if request.schema and terms.schema:
            answer = ToolSpec(request.schema.name, _TOOL, request.schema.body)
            body["tools"] = _offered([*request.tools, answer])
            body["tool_choice"] = {"type": "tool", "name": answer.name}
        body.update(sampling.extra)
        return body

    def _decode(self, content: bytes) -> _Reply:
        reply = self.transport.decode(content, _REPLY)
        if reply.content is None:
            raise self.transport.bad_response("sent no content")
        return reply

    def _completion(self, reply: _Reply, request: Request) -> Completion:
        if reply.stop_reason == "refusal":
            raise ReplyError(Cause.REFUSED, f"{self.transport.name}: the model refused to answer")
        finish = read_finish(reply.stop_reason)
        usage = _sum(reply.usage)
        blocks = reply.content or ()
        uses = [block for block in blocks if block.type == "tool_use"]
        if request.schema and uses:
            answer = bytes(uses[0].input).decode()
            finish = "stop" if finish == "tool_calls" else finish
            return Completion(text=answer, finish_reason=finish, usage=usage)
        text = "".join(block.text or "" for block in blocks if block.type == "text")
        if not request.tools:
            return Completion(text=text, finish_reason=finish, usage=usage)
        reported = [(use.id, use.name, bytes(use.input).decode() or None) for use in uses]
        return Completion(
            text=_thoughts(blocks) + text,
            finish_reason=finish,
            tool_calls=made_calls(request, reported),
            usage=usage,
        )


def _thoughts(blocks: Iterable[_Block]) -> str:
    thoughts = "".join(block.thinking or "" for block in blocks if block.type == "thinking")
    return f"{as_thought(thoughts)}\n" if thoughts else ""


def _headers(key: str) -> dict[str, str]:
    return {"anthropic-version": _VERSION} | ({"x-api-key": key} if key else {})


_TOOL = "Gives the answer in the form that is asked for."


def _lift_system(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """Return the system messages as one text, and the rest.

    A conversation of system messages alone is sent as the user's, since one message is needed.
    """
    others = tuple(message for message in messages if message.role != "system")
    if len(others) == len(messages):
        return "", messages
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    if not others:
        return "", (Message("user", system),)
    return system, others


_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _sum(usage: Json) -> Usage:
    (written,) = read_counts(usage, "output_tokens")
    return Usage(sum(count or 0 for count in read_counts(usage, *_INPUT)), written or 0)


# Tool calls and results are blocks of messages


def _offered(tools: Iterable[ToolSpec]) -> list[dict[str, Json]]:
    """Return tools in the form in which they are sent."""
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in tools
    ]


def _in_blocks(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages with calls and results as blocks; results in a row are one user message."""
    if not any(message.tool_calls or message.role == "tool" for message in messages):
        return messages
    found: list[Message] = []
    for are_results, group in groupby(messages, lambda message: message.role == "tool"):
        if are_results:
            found.append(Message("user", [_result(message) for message in group]))
        else:
            found.extend(_calling(message) if message.tool_calls else message for message in group)
    return found


def _result(message: Message) -> dict[str, Json]:
    return {
        "type": "tool_result",
        "tool_use_id": message.tool_call_id or "",
        "content": message.text,
    }


def _calling(message: Message) -> Message:
    """Return an assistant message whose calls are blocks; empty texts are not allowed there."""
    said = [{"type": "text", "text": message.text}] if message.text.strip() else []
    return Message("assistant", said + [_call(call) for call in message.tool_calls or ()])


def _call(call: dict[str, Json]) -> dict[str, Json]:
    function: Any = call.get("function") or {}
    arguments: Any = function.get("arguments") or ""
    return {
        "type": "tool_use",
        "id": call.get("id", ""),
        "name": function.get("name", ""),
        "input": arguments_object(arguments) if isinstance(arguments, str) else arguments,
    }
