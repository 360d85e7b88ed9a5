"""What engines over HTTP share: the model's name, a preflight, and negotiation of features."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from yarl import URL

from plaudit.engines.base import Capabilities, Completion, EngineInfo, Request
from plaudit.engines.http.errors import ErrorReply, Refusal, Rejected, Unreachable
from plaudit.engines.http.features import (
    PATIENCE_SECONDS,
    Feature,
    GivenUp,
    Negotiation,
    Terms,
    patiently,
)
from plaudit.engines.http.transport import Transport
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError
from plaudit.types import Json, Message

_RESTART_SECONDS = 0.5
_MOST_LISTED = 10
_UNKNOWN_MODEL = re.compile(r"model_not_found|invalid_model|unknown_model", re.IGNORECASE)

R = TypeVar("R")


class HTTPEngine(Generic[Terms, R]):
    """What engines over HTTP share; a subclass writes bodies and reads replies.

    Attributes:
        capabilities: what it can do, before anything was negotiated.
        uri: the engine URI that makes this engine again.
    """

    features: ClassVar[tuple[Feature[Any], ...]] = ()
    """What requests can do without, in the order in which it is tried."""
    models_path: ClassVar[str] = "/models"
    """Path of the list of models."""

    def __init__(
        self,
        uri: EngineURI,
        transport: Transport,
        terms: Terms,
        capabilities: Capabilities,
        *,
        revision: str = "",
        needs_key: bool = False,
    ) -> None:
        """Put an engine together; nothing is contacted.

        Args:
            uri: what it is made from.
            transport: sends its requests.
            terms: what requests ask for until something is refused.
            capabilities: what it can do.
            revision: a part of its identity.
            needs_key: whether it refuses to open without a key.
        """
        self.uri = str(uri)
        self.capabilities = capabilities
        self._uri = uri
        self._needs_key = needs_key
        self.transport = transport
        """What sends its requests."""
        self._negotiation = Negotiation(transport.name, terms, self.features)
        self._served = _ServedModel(uri, transport, transport.url(self.models_path))
        self._revision = revision
        self._ready = False
        self._opening: tuple[Message, ...] = ()
        self._encoded: list[msgspec.Raw] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def __reduce__(self) -> Any:
        """Pickle the URI alone; the key is read from the environment where it is loaded."""
        return type(self), (self._uri,)

    @property
    def info(self) -> EngineInfo:
        """Address, and what the endpoint refused so far."""
        found = self._negotiation
        return EngineInfo(
            base_url=self.transport.base_url, notes=tuple(found.notes), refused=found.refused
        )

    async def identify(self) -> str:
        """Return `scheme:model` or `scheme:model@revision`.

        Raises:
            EngineUnusableError: no model is named and the endpoint does not list exactly one.
        """
        await self._served.find()
        revision = f"@{self._revision}" if self._revision else ""
        return f"{self.transport.scheme}:{self._served.name}{revision}"

    async def open(self) -> None:
        """Check that the endpoint answers and accepts the key.

        Raises:
            EngineUnusableError: it cannot be reached, refuses the key, or names no model.
        """
        if self._ready:
            return
        if self._needs_key and not self.transport.has_key:
            raise EngineUnusableError(
                f"{self.transport.name} needs a key; set {self.transport.key_variable}"
            )
        await self._served.check()
        await self._served.find()
        self._ready = True

    async def close(self) -> None:
        """Close the connections; the engine may be opened again."""
        self._ready = False
        await self.transport.close()

    async def complete(self, request: Request) -> Completion:
        """Complete one request.

        Raises:
            CallError: no reply came.
            ReplyError: a filter refused, or log-probabilities were asked for and none came.
            EngineUnusableError: no further request can succeed.
        """
        if not self._served.name:
            await self._served.find()
        kind = request.kind
        if not self._negotiation.is_settled(kind):
            async with patiently(await self.transport.lock(), PATIENCE_SECONDS):
                if not self._negotiation.is_settled(kind):
                    return await self._negotiate(request)
        return await self._negotiate(request)

    # For requests that are sent in another way, such as in batches

    @property
    def model(self) -> str:
        """The model's name; empty while it is to be found out."""
        return self._served.name

    def write(self, request: Request) -> bytes:
        """Return the body of a request, on the terms found so far.

        Raises:
            CallError: the request is no JSON.
        """
        return _encoded(self._body(request, self._negotiation.terms), self.transport)

    def read(self, request: Request, content: bytes) -> Completion:
        """Read the body of a good reply to a request.

        Raises:
            CallError: it is no reply.
            ReplyError: it holds no completion.
        """

        def reader(body: bytes) -> Completion:
            return self._completion(self._decode(body), request)

        return self.transport.read(self.transport.hide_key(content), reader)

    async def _negotiate(self, request: Request) -> Completion:
        """Send a request on the terms found so far, giving up what is refused."""
        terms = self._negotiation.terms
        given_up: list[GivenUp] = []
        while True:  # Once, but for what is refused.
            body = self._body(request, terms)
            reader = partial(self._read, request, given_up)
            try:
                return await self.transport.post(
                    self._url(request), _encoded(body, self.transport), reader
                )
            except Rejected as rejection:
                raise self._served.blamed(rejection) from None
            except Refusal as refusal:
                found = self._lower(terms, refusal, body)
                given_up.append(found)
                terms = msgspec.structs.replace(terms, **found[1])

    def _read(self, request: Request, given_up: list[GivenUp], content: bytes) -> Completion:
        """Read the body of a reply; what was given up for it was what the endpoint refused."""
        reply = self._decode(content)
        self._negotiation.settle(request.kind, given_up)
        return self._completion(reply, request)

    def _lower(self, terms: Terms, refusal: Refusal, body: dict[str, Json]) -> GivenUp:
        """Return what a refusal is about, and how to do without.

        Raises:
            Rejected: it is about the model.
            CallError: it is about nothing that can be given up; see `_final`.
        """
        if self._served.is_unknown(refusal.reply):
            rejection = Rejected(str(refusal), "check the model's name", 404)
            raise self._served.blamed(rejection) from None
        found = self._negotiation.lower(terms, refusal.reply, body)
        if found is None:
            raise self._final(refusal, body) from None
        return found

    def _messages(self, request: Request) -> Sequence[Message | msgspec.Raw]:
        """Return a chat's messages; those that requests share are encoded once."""
        prompt, shared = request.prompt, request.shared
        assert isinstance(prompt, tuple)
        if not shared:
            return prompt
        opening = prompt[:shared]
        if opening != self._opening:
            self._opening = opening
            self._encoded = [msgspec.Raw(msgspec.json.encode(message)) for message in opening]
        return [*self._encoded, *prompt[shared:]]

    # What a subclass defines

    def _url(self, request: Request) -> URL:
        raise NotImplementedError

    def _body(self, request: Request, terms: Terms) -> dict[str, Json]:
        raise NotImplementedError

    def _decode(self, content: bytes) -> R:
        raise NotImplementedError

    def _completion(self, reply: R, request: Request) -> Completion:
        raise NotImplementedError

    def _final(self, refusal: Refusal, body: dict[str, Json]) -> Exception:
        """Return the exception for a refusal from which nothing can be given up."""
        return refusal


def _encoded(body: dict[str, Json], transport: Transport) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, TypeError) as error:
        raise CallError(
            Cause.BAD_REQUEST, f"the request to {transport.name} is no JSON: {error}"
        ) from None


class _Model(msgspec.Struct):
    id: str = ""


class _ModelList(msgspec.Struct):
    data: list[_Model]


_MODELS: msgspec.json.Decoder[_ModelList | list[_Model]] = msgspec.json.Decoder(
    _ModelList | list[_Model]
)


class _ServedModel:
    """The model that requests name, and those that the endpoint lists.

    Many servers take names that they do not list, such as aliases and adapters: an unlisted model
    is refused only where the server refuses it too.
    """

    def __init__(self, uri: EngineURI, transport: Transport, url: URL) -> None:
        self.name = uri.model
        self._advice = f"write {uri.scheme}:MODEL"
        self.transport = transport
        """What sends its requests."""
        self._url = url
        self._listed: list[str] = []

    async def check(self) -> None:
        """Ask for the models, twice where nothing listens: a server may be restarting.

        Raises:
            EngineUnusableError: the endpoint cannot be reached, or refuses the key.
        """
        try:
            await self._ask()
        except Unreachable:
            await asyncio.sleep(_RESTART_SECONDS)
            try:
                await self._ask()
            except Unreachable as error:
                raise EngineUnusableError(f"{error}; is the server running?", outage=True) from None

    async def _ask(self) -> None:
        """Keep what the endpoint lists; any answer but a refused key will do."""
        try:
            status, content = await self.transport.get(self._url)
        except Unreachable:
            raise
        except CallError:
            return
        self._check_key(status, content)
        if status == 200:
            with suppress(CallError):
                self._listed = self.transport.read(content, self._names_in)

    async def find(self) -> None:
        """Find the one model that the endpoint serves, where none is named.

        Raises:
            EngineUnusableError: it does not list exactly one.
        """
        if self.name:
            return
        async with await self.transport.lock():
            self.name = self.name or await self._discover()

    async def _discover(self) -> str:
        url, advice = self._url, self._advice
        try:
            status, content = await self.transport.get(url)
        except CallError as error:
            raise EngineUnusableError(
                f"no model is named and {url} cannot be asked for one: {error}", outage=True
            ) from None
        self._check_key(status, content)
        if status != 200:
            said = self.transport.read_error(status, content).quote or "nothing"
            raise EngineUnusableError(
                f"no model is named and {url} answered {status}: {said}; {advice}",
                outage=status >= 500,
            )
        try:
            models = self.transport.read(content, self._names_in)
        except CallError as error:
            raise EngineUnusableError(
                f"no model is named and {url} is no list of models ({error}); {advice}"
            ) from None
        if len(models) == 1:
            return models[0]
        if not models:
            raise EngineUnusableError(f"no model is named and {url} lists none; {advice}")
        raise EngineUnusableError(
            f"{url} lists {len(models)} models; {advice} with one of: {self._shown(models)}"
        )

    def _check_key(self, status: int, content: bytes) -> None:
        if status in (401, 403):
            raise self.transport.translate(self.transport.read_error(status, content))

    def _names_in(self, content: bytes) -> list[str]:
        """Return the models that a list names.

        Raises:
            CallError: it is no list.
        """
        found = self.transport.decode(content, _MODELS)
        listed = found if isinstance(found, list) else found.data
        return [model.id for model in listed if model.id]

    def _shown(self, models: Sequence[str]) -> str:
        listed = self.transport.redact(", ".join(models[:_MOST_LISTED]))
        return listed + (", …" if len(models) > _MOST_LISTED else "")

    @property
    def _is_listed(self) -> bool:
        """Whether the endpoint lists the model, or lists nothing."""
        return not self._listed or self.name in self._listed

    def is_unknown(self, reply: ErrorReply) -> bool:
        """Return whether a refusal is about the model, of a server that lists others."""
        if self._is_listed:
            return False
        if reply.param == "model" or _UNKNOWN_MODEL.search(reply.code):
            return True
        named = re.search(rf"(?<!\w){re.escape(self.name)}(?!\w)", reply.says)
        return bool(named and re.search(r"\bmodel\b", reply.says, re.IGNORECASE))

    def blamed(self, rejection: Rejected) -> Rejected:
        """Return a rejection with the models that the server lists, where ours is none of them."""
        if rejection.status != 404 or self._is_listed:
            return rejection
        advice = f"{rejection.advice}; it lists {self._shown(self._listed)}"
        return Rejected(rejection.said, advice, rejection.status)
