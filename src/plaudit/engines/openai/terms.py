"""What requests over OpenAI's protocol ask for, and what of it can be given up."""

import re
from typing import Literal

import msgspec

from plaudit.engines.http.endpoint import Feature, complains
from plaudit.engines.http.errors import ErrorReply
from plaudit.engines.openai.tokens import FIELDS
from plaudit.types import Json

_RUNGS = (20, 5)

SchemaForm = Literal["json_schema", "json_object", "text"]

NO_IDS = "gives no token ids"
"""What is told of an endpoint that does not tell what it sampled."""


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
        return {} if fewer or FIELDS.isdisjoint(body) else {"token_ids": False}


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
        fields=FIELDS | {"logprobs"},
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
    Feature(
        fields=frozenset({"top_p"}),
        complaint=complains("top_p"),
        instead={"top_p": False},
        note="does not take top_p; its default applies",
    ),
    Feature(
        fields=frozenset({"temperature"}),
        complaint=complains("temperature"),
        instead={"temperature": False},
        note="does not take the temperature; its default applies",
    ),
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
