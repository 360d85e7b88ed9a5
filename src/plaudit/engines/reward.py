"""Reward models and classifiers that vLLM or SGLang serve: a conversation in, raw scores out.

A completion of such an engine has the scores as its text, `{"scores": [1.25]}`, before any sigmoid
or softmax. What the model was trained to mean by them is for a judge to say.
"""

import math
import re
from typing import NamedTuple, cast

import msgspec
from yarl import URL

from plaudit.engines.base import Capabilities, Completion, Request, ScoreReply
from plaudit.engines.chat_template import ChatTemplate
from plaudit.engines.http.engine import HTTPEngine
from plaudit.engines.http.errors import Refusal, Rejected
from plaudit.engines.http.transport import TIMEOUTS, Transport, call_timeouts
from plaudit.engines.replies import read_count, read_counts
from plaudit.engines.uri import EngineURI, place_of
from plaudit.errors import UsageError
from plaudit.types import Json, Usage


class _Provider(NamedTuple):
    """What is known of a scheme."""

    base_url: str
    key_variable: str


_PROVIDERS = {
    "vllm-rm": _Provider("http://127.0.0.1:8000", "VLLM_API_KEY"),
    "sglang-rm": _Provider("http://127.0.0.1:30000", "SGLANG_API_KEY"),
}
_ENDPOINTS = ("classify", "pooling")
_NO_CONVERSATION = re.compile(
    r"(?:default|no|a) chat[ _]template"
    r"|(?=.*\b(?:input|messages)\b)(?=.*(?:required|missing|extra|forbidden))",
    re.IGNORECASE | re.DOTALL,
)
"""What a server says that cannot make a text of messages."""


class _Terms(msgspec.Struct, frozen=True):
    """Nothing in a request can be given up."""


_Row = list[float | None]


class _Item(msgspec.Struct):
    """An item of the list that vLLM sends: of `/classify`, or of `/pooling`."""

    probs: _Row | None = None
    num_classes: Json = None
    label: str | None = None
    data: list[float | _Row | None] | None = None


class _Scores(msgspec.Struct):
    data: list[_Item] | None = None
    usage: Json = None


class _Embedding(msgspec.Struct):
    """What SGLang sends for one text."""

    embedding: _Row
    meta_info: Json = None


_VLLM = msgspec.json.Decoder(_Scores)
_SGLANG: msgspec.json.Decoder[_Embedding | list[_Embedding]] = msgspec.json.Decoder(
    _Embedding | list[_Embedding]
)


class _Read(NamedTuple):
    """A reply, whichever server it is from."""

    scores: _Row
    label: str | None
    tokens: int


class RewardEngine(HTTPEngine[_Terms, _Read]):
    """A served reward model or classifier.

    URI options: `labels=NAME:REWARD,...` names the outputs of a classifier in their order, and what
    each is worth; `endpoint=classify|pooling` (vLLM); `chat_template=FILE` (SGLang, which applies
    none itself); `revision=NAME`, `connect_timeout=S`, `first_byte_timeout=S` as elsewhere.
    """

    models_path = "/v1/models"

    def __init__(self, uri: EngineURI) -> None:
        """Prepare the engine; nothing is contacted.

        Raises:
            UsageError: unknown scheme or option, more than one URL, or a file that is no template.
        """
        self._vllm = uri.scheme == "vllm-rm"
        provider = _PROVIDERS[uri.scheme]
        own = {"endpoint": "classify"} if self._vllm else {"chat_template": ""}
        options = uri.take(labels="", revision="", **own, **TIMEOUTS)
        self._endpoint = _endpoint(uri, options.get("endpoint", "classify"))
        self._template = None if self._vllm else _template(uri, options["chat_template"])
        base_url = place_of(uri, provider.base_url)[0].removesuffix("/v1")
        timeouts = call_timeouts(uri, options)
        transport = Transport(uri.scheme, base_url, provider.key_variable, timeouts=timeouts)
        super().__init__(
            uri,
            transport,
            _Terms(),
            Capabilities(scores=True, labels=_labels(uri, options["labels"]), generation=()),
            revision=options["revision"],
        )
        self._score_url = transport.url(f"/{self._endpoint}")

    async def identify(self) -> str:
        """Return `scheme:model`, and what else decides its scores.

        Raises:
            EngineUnusableError: no model is named and the endpoint does not list exactly one.
        """
        identity = await super().identify()
        if self._template is not None:
            return f"{identity}?chat_template={self._template.digest}"
        default = self._endpoint == _ENDPOINTS[0]
        return identity if default else f"{identity}?endpoint={self._endpoint}"

    def _url(self, request: Request) -> URL:
        return self._score_url

    def _body(self, request: Request, terms: _Terms) -> dict[str, Json]:
        assert isinstance(request.prompt, tuple)
        body: dict[str, Json] = {"model": self._served.name}
        if self._template is None:
            body |= {"messages": request.prompt, "use_activation": False}
        else:
            body["text"] = self._template.render(request.prompt)
        body.update(request.sampling.extra)
        return body

    def _final(self, refusal: Refusal, body: dict[str, Json]) -> Exception:
        if not _NO_CONVERSATION.search(refusal.reply.complaint):
            return refusal
        return Rejected(
            str(refusal),
            f"it makes no text of messages at /{self._endpoint}: serve the model with a chat "
            "template (--chat-template), in vLLM 0.12 or later, or try ?endpoint=pooling",
        )

    def _decode(self, content: bytes) -> _Read:
        return self._decode_vllm(content) if self._vllm else self._decode_sglang(content)

    def _decode_vllm(self, content: bytes) -> _Read:
        reply = self.transport.decode(content, _VLLM)
        if reply.data is None or len(reply.data) != 1:
            count = "no" if reply.data is None else len(reply.data)
            raise self.transport.bad_response(f"sent {count} results for one conversation")
        (item,) = reply.data
        scores = _last_row(item.data) if item.probs is None else item.probs
        if not scores or read_count(item.num_classes) not in (None, len(scores)):
            raise self.transport.bad_response("sent a result without the scores that it announces")
        return _Read(scores, item.label, _tokens(reply.usage))

    def _decode_sglang(self, content: bytes) -> _Read:
        reply = self.transport.decode(content, _SGLANG)
        items = reply if isinstance(reply, list) else [reply]
        if len(items) != 1 or not items[0].embedding:
            problem = f"sent {len(items)} results for one conversation, or one without scores"
            raise self.transport.bad_response(problem)
        return _Read(items[0].embedding, None, _tokens(items[0].meta_info))

    def _completion(self, reply: _Read, request: Request) -> Completion:
        text = msgspec.json.encode(ScoreReply(reply.scores, reply.label)).decode()
        return Completion(text=text, usage=Usage(reply.tokens, 0))


def _last_row(data: list[float | _Row | None] | None) -> _Row:
    """Return the outputs of a conversation: of a list with a row for each token, the last row."""
    if not data:
        return []
    if isinstance(data[-1], list):
        return data[-1] if all(isinstance(row, list) for row in data) else []
    return [] if any(isinstance(row, list) for row in data) else cast("_Row", data)


def _tokens(usage: Json) -> int:
    (counted,) = read_counts(usage, "prompt_tokens")
    return counted or 0


def _endpoint(uri: EngineURI, given: str) -> str:
    if given not in _ENDPOINTS:
        raise UsageError(f"engine {uri.scheme}: endpoint={given} is not {' or '.join(_ENDPOINTS)}")
    return given


def _template(uri: EngineURI, path: str) -> ChatTemplate:
    if not path:
        raise UsageError(
            f"engine {uri.scheme}: SGLang makes no text of a conversation that it scores; give the "
            "model's template with ?chat_template=FILE (a Jinja file or its tokenizer_config.json)"
        )
    return ChatTemplate.load(path)


def _labels(uri: EngineURI, given: str) -> tuple[tuple[str, float], ...]:
    """Read what a classifier's outputs are called and worth."""
    if not given:
        return ()
    pairs = [part.rpartition(":") for part in given.split(",")]
    try:
        found = tuple((name.strip(), float(worth)) for name, _, worth in pairs)
    except ValueError:
        found = ()
    names = {name for name, _ in found}
    finite = all(math.isfinite(worth) for _, worth in found)
    if len(found) < 2 or len(names) < len(found) or "" in names or not finite:
        raise UsageError(
            f"engine {uri.scheme}: labels={given} does not name two or more outputs and what each "
            "is worth; write labels=bad:0,good:1"
        )
    return found
