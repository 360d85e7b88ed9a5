"""Replies of the embedded engine with the exact id and log-probability of every sampled token.

A prompt is tokenised first and sent as ids, so what the model read is known by construction. The
reply is not streamed, because a stream holds text back until a character is whole and then tells
its last token only. Whole replies have all ids; log-probabilities they have of tokens that end a
character, and not of the other tokens of an emoji, nor of the last ones of a stop string. Those are
asked for afterwards, from the last one to the first: each prompt then is what the model has in its
cache but for one token, so it takes one step and gives the number that the model had sampled by.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from plaudit.engines.base import Completion, FinishReason, Request, TokenLogprob
from plaudit.engines.llama.native import LocalHTTP, prompt_tokens
from plaudit.errors import CallError, Cause
from plaudit.types import Json, Usage

_SHOWN = 256  # Candidates that are looked through before all of the vocabulary is.
_FINISH: dict[str, FinishReason] = {"eos": "stop", "word": "stop", "limit": "length"}


class Traits(NamedTuple):
    """What of a model and its settings a traced request depends on."""

    vocabulary: int
    """Number of tokens."""
    end_id: int
    """A token without text."""
    reuse: bool
    """Whether a cached prefix may be used."""
    template: dict[str, Json]
    """Further arguments of the chat template."""


class _Candidate(msgspec.Struct):
    id: int
    token: str
    logprob: float | None = None


class _Sampled(msgspec.Struct):
    id: int
    logprob: float | None = None
    top_logprobs: list[_Candidate] = []


class _Reply(msgspec.Struct):
    content: str
    tokens: list[int]
    stop_type: str
    tokens_evaluated: int
    tokens_predicted: int
    completion_probabilities: list[_Sampled] = []


_REPLY = msgspec.json.Decoder(_Reply)


def complete_traced(http: LocalHTTP, request: Request, traits: Traits) -> Completion:
    """Complete a request; blocks until it is done or cancelled.

    Sampling is from the whole distribution at the temperature and `top_p` that are asked for:
    llama.cpp's own cuts (`top_k`, `min_p`) are off unless the request sets them.

    Raises:
        CallError: the prompt is too long, was rejected, or the reply is not whole.
    """
    prompt = request.prompt_ids or tuple(
        token.id for token in prompt_tokens(http, request, traits.template)
    )
    reply = http.post("/completion", _body(request, prompt, traits.reuse), _REPLY)
    if len(reply.tokens) != reply.tokens_predicted or len(prompt) != reply.tokens_evaluated:
        raise CallError(Cause.BAD_RESPONSE, "llama.cpp's reply lacks ids of tokens")
    look = _Look(http, prompt, tuple(reply.tokens), traits)
    return Completion(
        text=reply.content,
        finish_reason=_FINISH.get(reply.stop_type, "unknown"),
        token_ids=tuple(reply.tokens),
        token_logprobs=_logprobs(reply, look),
        prompt_token_ids=prompt,
        logprobs=look.candidates(request.logprobs) if request.logprobs else None,
        usage=Usage(len(prompt), len(reply.tokens)),
    )


def _body(request: Request, prompt: Sequence[int], reuse: bool) -> dict[str, Json]:
    sampling = request.sampling
    body: dict[str, Json] = {
        "n_predict": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": 0,
        "min_p": 0,
        "cache_prompt": reuse,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = sampling.stop
    if request.schema is not None:
        body["json_schema"] = request.schema.body
    return body | dict(sampling.extra) | {"prompt": prompt, "return_tokens": True, "n_probs": 1}


def _logprobs(reply: _Reply, look: "_Look") -> tuple[float, ...]:
    """Return the log-probability of every sampled token."""
    ids, reported = reply.tokens, reply.completion_probabilities
    found: list[float | None] = [None] * len(ids)
    for place, sampled in zip(
        places(ids, [sampled.id for sampled in reported]), reported, strict=True
    ):
        if place is not None:
            found[place] = sampled.logprob
    missing = [place for place, logprob in enumerate(found) if logprob is None]
    looked = {place: look.logprob(place) for place in reversed(missing)}
    return tuple(looked[n] if logprob is None else logprob for n, logprob in enumerate(found))


def places(ids: Sequence[int], some: Sequence[int]) -> list[int | None]:
    """Tell which of `ids` the ids in `some` are, where some of them were left out.

    A place is certain where the first and the last way to find them all agree; else it is None.
    """
    first = _first_places(ids, some)
    backwards = _first_places(ids[::-1], some[::-1])
    last = [len(ids) - 1 - place for place in reversed(backwards)]
    if len(first) != len(some):
        return [None] * len(some)
    return [one if one == other else None for one, other in zip(first, last, strict=True)]


def _first_places(ids: Sequence[int], some: Sequence[int]) -> list[int]:
    """Return the earliest place of each; fewer where they are not a part of `ids`."""
    found: list[int] = []
    for place, id_ in enumerate(ids):
        if len(found) < len(some) and some[len(found)] == id_:
            found.append(place)
    return found


class _Look:
    """Looks up the distribution that a sampled token was drawn from."""

    def __init__(
        self, http: LocalHTTP, prompt: Sequence[int], ids: Sequence[int], traits: Traits
    ) -> None:
        self._http = http
        self._prompt = prompt
        self._ids = ids
        self._traits = traits

    def logprob(self, place: int) -> float:
        """Return the log-probability of one token."""
        for count in (_SHOWN, self._traits.vocabulary):
            for candidate in self._shown(place, count):
                if candidate.id == self._ids[place] and candidate.logprob is not None:
                    return candidate.logprob
        raise CallError(Cause.BAD_RESPONSE, "llama.cpp does not tell a token's log-probability")

    def candidates(self, count: int) -> tuple[TokenLogprob, ...]:
        """Return the candidates of the first token, most probable first."""
        shown = self._shown(0, count)
        return tuple(TokenLogprob(c.token, c.logprob) for c in shown if c.logprob is not None)

    def _shown(self, place: int, count: int) -> list[_Candidate]:
        """Ask for the candidates of one place; a token without text is forced to be the reply.

        Without that, a reply that begins with a part of a character has no candidates.
        """
        body: dict[str, Any] = {
            "prompt": [*self._prompt, *self._ids[:place]],
            "n_predict": 1,
            "temperature": 0,
            "cache_prompt": True,
            "n_probs": count,
            "return_tokens": True,
            "logit_bias": [[self._traits.end_id, 1e9]],
        }
        reported = self._http.post("/completion", body, _REPLY).completion_probabilities
        return reported[0].top_logprobs if reported else []
