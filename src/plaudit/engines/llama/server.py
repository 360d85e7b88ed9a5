"""The HTTP server of a model that this process loaded: tokenizer, chat template, whole replies.

What xllamacpp answers in process has no tokenizer, and a reply that is not streamed cannot be
stopped there. Over HTTP it can: the server looks once a second whether its client is still there.

A *traced* reply has the exact id and log-probability of every sampled token. Its prompt is
tokenised first and sent as ids, so what the model read is known by construction. The reply is not
streamed, because a stream holds text back until a character is whole, and then shows its last token
only. Whole replies have all ids. They have log-probabilities of tokens that end a character, and
not of the other tokens of an emoji, nor of the last ones of a stop string. Those are asked for
afterwards, from the last one to the first: each prompt is then what the model has in its cache but
for one token, so it takes one step and gives the number that the model sampled by.
"""

import contextlib
import http.client
import socket
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from plaudit.engines.base import Completion, PromptToken, Request, TokenLogprob
from plaudit.engines.llama.replies import (
    THINKING_SWITCH,
    ServerError,
    closed,
    not_unicode,
    refused,
)
from plaudit.engines.replies import read_body, read_finish
from plaudit.errors import CallError, Cause
from plaudit.types import Json, Usage

T = TypeVar("T")

_NAME = "llama.cpp's own server"
_SHOWN = 256  # Candidates that are looked through before all of the vocabulary is.


class _Refusal(msgspec.Struct):
    error: ServerError


_REFUSAL = msgspec.json.Decoder(_Refusal)


class LocalHTTP:
    """What one thread asks of a model's HTTP server, request by request; another may cancel it."""

    def __init__(self, address: str, key: str) -> None:
        """Name the server; nothing is asked yet."""
        self._place = urlsplit(address)
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """End the request in flight, and refuse all others.

        Only our half of the connection is closed: the server closes the other one once it has
        stopped computing, so the waiting thread knows when that is.
        """
        with self._lock:
            self._cancelled = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_WR)

    def post(self, path: str, body: dict[str, Json], decoder: "msgspec.json.Decoder[T]") -> T:
        """Return what the server answers, decoded.

        Raises:
            CallError: it refuses the request, its answer cannot be read, or the request was
                cancelled.
        """
        status, content = self._exchange(path, body)
        try:
            if status == 200:
                return read_body(content, decoder.decode, _NAME, str)
            raise refused(read_body(content, _REFUSAL.decode, _NAME, str).error)
        finally:
            del content

    def _exchange(self, path: str, body: dict[str, Json]) -> tuple[int, bytes]:
        try:
            encoded = msgspec.json.encode(body)
        except UnicodeEncodeError as error:
            raise not_unicode(error) from error
        connection = http.client.HTTPConnection(self._place.hostname or "", self._place.port)
        try:
            connection.connect()
            self._hold(connection.sock)
            connection.request("POST", path, encoded, self._headers)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        finally:
            self._hold(None)
            connection.close()
        if self._cancelled:
            raise closed()
        return reply.status, content

    def _hold(self, connected: socket.socket | None) -> None:
        with self._lock:
            self._socket = connected
            if connected is not None and self._cancelled:
                raise closed()

    def _lost(self, error: Exception) -> CallError:
        if self._cancelled:
            return closed()
        return CallError(Cause.CONNECTION, f"llama.cpp's own server: {error}", retryable=True)


class _Pieces(msgspec.Struct):
    id: int
    piece: str | list[int]


class _Tokens(msgspec.Struct):
    tokens: list[_Pieces]


class _Ids(msgspec.Struct):
    tokens: list[int]


class _Text(msgspec.Struct):
    content: str


class _Prompt(msgspec.Struct):
    prompt: str


_TOKENS = msgspec.json.Decoder(_Tokens)
_IDS = msgspec.json.Decoder(_Ids)
_TEXT = msgspec.json.Decoder(_Text)
_PROMPT = msgspec.json.Decoder(_Prompt)


def encode(http: LocalHTTP, text: str, *, special: bool) -> list[int]:
    """Return the ids of a text, without the token that texts begin with.

    Args:
        http: the server.
        text: any Unicode text.
        special: whether a special token's text becomes that token.
    """
    body = {"content": text, "add_special": False, "parse_special": special}
    return http.post("/tokenize", body, _IDS).tokens


def decode(http: LocalHTTP, ids: Sequence[int]) -> str:
    """Return the text of some tokens, special ones spelled out; U+FFFD where it is no UTF-8."""
    return http.post("/detokenize", {"tokens": list(ids)}, _TEXT).content


def prompt_tokens(
    http: LocalHTTP, request: Request, template: dict[str, Json]
) -> list[PromptToken]:
    """Return the tokens of a prompt as the model reads them.

    Args:
        http: the server.
        request: the prompt's ids are taken where it has them.
        template: further arguments of the chat template.
    """
    if request.prompt_ids:
        return [PromptToken(id_, decode(http, [id_])) for id_ in request.prompt_ids]
    body: dict[str, Json] = {"content": _text(http, request, template)}
    body |= {"add_special": True, "parse_special": True, "with_pieces": True}
    reply = http.post("/tokenize", body, _TOKENS)
    return [PromptToken(token.id, _piece(token.piece)) for token in reply.tokens]


def _text(http: LocalHTTP, request: Request, template: dict[str, Json]) -> str:
    if isinstance(request.prompt, str):
        return request.prompt
    body: dict[str, Json] = {"messages": request.prompt}
    if template:
        body["chat_template_kwargs"] = template
    return http.post("/apply-template", body, _PROMPT).prompt


def _piece(piece: str | list[int]) -> str:
    """Return a token's text; llama.cpp gives bytes where they are not UTF-8 by themselves."""
    return piece if isinstance(piece, str) else bytes(piece).decode(errors="backslashreplace")


def template_arguments(request: Request, switch: bool) -> dict[str, Json]:
    """Return the chat template's further arguments: thinking off, unless the request has others.

    Args:
        request: `chat_template_kwargs` among its extra sampling parameters are taken instead.
        switch: whether the template has a switch for thinking.
    """
    given: Any = dict(request.sampling.extra).get("chat_template_kwargs")
    if given is not None:
        return given
    return {THINKING_SWITCH: False} if switch else {}


# Traced replies


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
        finish_reason=read_finish(reply.stop_type),
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
    """Return the places of `some` in `ids`, of which it may lack any.

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
        raise CallError(Cause.BAD_RESPONSE, "llama.cpp does not give a token's log-probability")

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
