"""What requests ask for over OpenAI's protocol, and what of it can be given up."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Literal

import msgspec

from plaudit.engines.base import Sampling, Schema, ToolSpec
from plaudit.engines.http.errors import ErrorReply
from plaudit.engines.http.features import TEMPERATURE, TOP_P, Feature, complains
from plaudit.engines.replies import arguments_text
from plaudit.types import Json, Message

_ID_FIELDS = frozenset({"return_token_ids", "return_tokens", "verbose"})
"""Fields that ask for token ids."""
_RUNGS = (20, 5)

Form = Literal["prompt_logprobs", "echo"]
"""How a server is asked."""
SchemaForm = Literal["json_schema", "json_object", "text"]

NO_IDS = "gives no token ids"
"""The note on an endpoint that gives no ids of sampled tokens."""
NO_LOGPROBS = (
    "sends probabilities, or other numbers, in place of log-probabilities: use the json readout"
)
"""The note on an endpoint whose log-probabilities cannot be right."""


class Terms(msgspec.Struct, frozen=True):
    """What requests ask for; empty names and False are left out."""

    logprobs: int
    schema: SchemaForm = "json_schema"
    seed: str = "seed"
    max_tokens: str = "max_tokens"
    temperature: bool = True
    top_p: bool = True
    thinking: bool = False
    token_ids: bool = True


class _LogprobsFeature(Feature[Terms], frozen=True):
    def lower(self, terms: Terms, reply: ErrorReply, body: dict[str, Json]) -> dict[str, Json]:
        """Ask for as many as the server says it gives, else for the next usual number."""
        asked = int(body.get("top_logprobs") or body["logprobs"])
        said = _LOGPROBS_LIMIT.search(reply.message)
        if said and 0 < int(said[1]) < asked:
            return {"logprobs": int(said[1])}
        rung = next((rung for rung in _RUNGS if rung < asked), None)
        return {"logprobs": rung} if rung else {}


class _TokensFeature(Feature[Terms], frozen=True):
    def lower(self, terms: Terms, reply: ErrorReply, body: dict[str, Json]) -> dict[str, Json]:
        """Do without ids; not where candidates are asked for too, of which there may be fewer."""
        candidates = body.get("top_logprobs") or body.get("logprobs", 0)
        fewer = candidates > 1 and LOGPROBS.is_meant_by(reply)
        return {} if fewer or _ID_FIELDS.isdisjoint(body) else {"token_ids": False}


class _SchemaFeature(Feature[Terms], frozen=True):
    def lower(self, terms: Terms, reply: ErrorReply, body: dict[str, Json]) -> dict[str, Json]:
        """Ask for a JSON object, then for nothing."""
        return {"schema": "json_object" if terms.schema == "json_schema" else "text"}


_LOGPROBS_LIMIT = re.compile(
    r"(?:max(?:imum)? allowed|less than or equal to|at most|maximum(?: value)?(?: is| of)?|<="
    r"|between 0 and|between 1 and|\[0, ?)[ :]*(\d+)",
    re.IGNORECASE,
)
LOGPROBS = _LogprobsFeature(
    fields=frozenset({"logprobs", "top_logprobs"}),
    complaint=re.compile(r"logprobs", re.IGNORECASE),
    note="gives at most {logprobs} log-probabilities",
    quiet=True,
)
"""How many log-probabilities are shown."""

FEATURES: tuple[Feature[Terms], ...] = (
    _TokensFeature(
        fields=_ID_FIELDS | {"logprobs"},
        complaint=re.compile(r"return_token|verbose|logprobs", re.IGNORECASE),
        note=NO_IDS,
    ),
    LOGPROBS,
    _SchemaFeature(
        fields=frozenset({"response_format"}),
        complaint=re.compile(
            r"response_format|json_schema|json_object|structured.?output|guided|grammar|\bschema\b",
            re.IGNORECASE,
        ),
        note="does not take this JSON schema; replies are constrained to {schema} instead",
    ),
    Feature(
        fields=frozenset({"max_tokens"}),
        complaint=complains("max_tokens"),
        instead={"max_tokens": "max_completion_tokens"},
        note="wants max_tokens as {max_tokens}",
        quiet=True,
    ),
    TOP_P,
    TEMPERATURE,
    Feature(
        fields=frozenset({"seed", "random_seed"}),
        complaint=complains("seed", "random_seed"),
        instead={"seed": ""},
        note="does not take a seed; replies may differ from run to run",
    ),
    Feature(
        fields=frozenset({"chat_template_kwargs"}),
        complaint=re.compile(r"chat_template|enable_thinking", re.IGNORECASE),
        instead={"thinking": False},
        note="does not take chat_template_kwargs; thinking is not turned off",
    ),
)
"""What can be given up, in the order in which it is tried."""


NO_THINKING = {"enable_thinking": False}


def add_sampling(body: dict[str, Json], sampling: Sampling, terms: Terms) -> None:
    """Put the parameters of sampling that the terms have into a request's body."""
    if terms.temperature:
        body["temperature"] = sampling.temperature
    if terms.top_p:
        body["top_p"] = sampling.top_p
    if terms.seed and sampling.seed is not None:
        body[terms.seed] = sampling.seed
    if sampling.stop:
        body["stop"] = sampling.stop


def constrain(
    body: dict[str, Json], schema: Schema, form: SchemaForm, *, lengths: bool, llama: bool
) -> None:
    """Have a request's body constrain the reply to a JSON schema, or to any JSON object.

    Args:
        body: with a `prompt` or with `messages`.
        schema: the schema.
        form: how much of it the endpoint takes.
        lengths: whether the schema may have `maxLength`.
        llama: whether the server may be llama.cpp's.
    """
    if form != "json_schema":
        body["response_format"] = {"type": form}
        return
    shape: Json = schema.body if lengths else _without_lengths(bytes(schema.body))
    strict = {"name": schema.name, "schema": shape, "strict": True}
    body["response_format"] = {"type": form, "json_schema": strict}
    if llama and "prompt" in body:  # llama.cpp ignores response_format in completion mode.
        body["json_schema"] = shape


@cache
def _without_lengths(schema: bytes) -> Json:
    """Return a schema without `maxLength`, which OpenAI's strict schemas do not allow."""
    shape = msgspec.json.decode(schema)
    for field in shape.get("properties", {}).values():
        field.pop("maxLength", None)
    return shape


# Token ids, given texts and tools


def extend(body: dict[str, Json], continuation: str, form: Form) -> None:
    """Turn the body of a request into one that asks about a continuation.

    Args:
        body: with a `prompt`, or with `messages`, to which a partial assistant message is added.
        continuation: the text; put behind the prompt as it is.
        form: how the server is asked.
    """
    if "prompt" in body:
        body["prompt"] += continuation
    else:
        body["messages"] = [*body["messages"], Message("assistant", continuation)]
        body["add_generation_prompt"] = False
        body["continue_final_message"] = True
    if form == "echo":
        body["echo"] = True
        body["logprobs"] = 1
    else:
        body["prompt_logprobs"] = 1


def ask_tokens(body: dict[str, Json], llama: bool) -> None:
    """Have a request's body ask for the ids and log-probabilities of all sampled tokens.

    Args:
        body: with a `prompt` or with `messages`; log-probabilities that it asks for stay.
        llama: whether the server may be llama.cpp's.
    """
    body["return_token_ids"] = True
    if llama:
        body["return_tokens"] = body["verbose"] = True
    if "logprobs" not in body:
        body["logprobs"] = 1 if "prompt" in body else True


def offered(tools: Iterable[ToolSpec]) -> list[dict[str, Json]]:
    """Return tools in the form in which they are sent."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


def sendable(messages: Sequence[Message | msgspec.Raw]) -> list[Message | msgspec.Raw]:
    """Return messages whose tool calls have JSON objects as arguments.

    Servers refuse a whole conversation for one call whose arguments cannot be read. Such a call's
    text is sent as an object that holds it.
    """
    return [
        msgspec.structs.replace(message, tool_calls=[_readable(c) for c in message.tool_calls])
        if isinstance(message, Message) and message.tool_calls
        else message
        for message in messages
    ]


def _readable(call: dict[str, Json]) -> dict[str, Json]:
    function: Any = call.get("function") or {}
    text = function.get("arguments", "{}")
    if not isinstance(text, str):
        return call
    return call | {"function": function | {"arguments": arguments_text(text)}}


_TOOL_FIELDS = frozenset({"tools", "tool_choice", "functions"})
_ABOUT_TOOLS = re.compile(
    r"(?s)(?=.*(?:\btools?\b|tool_choice|tool.?call|function.?call))(?=.*(?:not support|unsupported"
    r"|requires? --|unrecognized|unknown|unexpected|not permitted|not allowed|not available"
    r"|not implemented|extra inputs))",
    re.IGNORECASE,
)


def refuses_tools(reply: ErrorReply) -> bool:
    """Return whether a server says that it takes no tools at all."""
    return (not reply.param or reply.param in _TOOL_FIELDS) and bool(
        _ABOUT_TOOLS.search(f"{reply.param} {reply.complaint}")
    )
