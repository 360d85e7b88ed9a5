"""The HTTP server of a model that this process loaded: tokenizer, chat template, whole replies.

What xllamacpp answers in process has no tokenizer, and a reply that is not streamed cannot be
stopped there. Over HTTP it can: the server looks once a second whether its client is still there.
"""

import contextlib
import http.client
import socket
import threading
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from plaudit.engines.base import SAMPLING, PromptToken, Request
from plaudit.engines.llama.replies import ServerError, closed, not_unicode, refused
from plaudit.engines.replies import read_body
from plaudit.errors import CallError, Cause
from plaudit.types import Json

THINKING_SWITCH = "enable_thinking"
"""What chat templates of hybrid models call it."""

PARAMETERS = (
    *SAMPLING, "top_k", "min_p", "typical_p", "top_n_sigma", "min_keep", "samplers",
    "presence_penalty", "frequency_penalty", "repeat_penalty", "repeat_last_n",
    "dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n",
    "dry_sequence_breakers", "xtc_probability", "xtc_threshold", "mirostat", "mirostat_tau",
    "mirostat_eta", "dynatemp_range", "dynatemp_exponent", "adaptive_target", "adaptive_decay",
    "logit_bias", "ignore_eos", "grammar", "stop", "chat_template_kwargs",
)  # fmt: skip
"""Generation parameters of llama.cpp's server, which ignores all others."""


T = TypeVar("T")

_NAME = "llama.cpp's own server"


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
        stopped computing, so whoever waits for the reply knows when that is.
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
