"""What engines over HTTP share: an address, a preflight, and features that can be given up."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from yarl import URL

from plaudit.engines.base import Capabilities, Completion, EngineURI, Request, check_base_url
from plaudit.engines.http.errors import ErrorReply, Refusal, Rejected, Unreachable
from plaudit.engines.http.transport import Transport
from plaudit.errors import CallError, Cause, EngineUnusableError, UsageError
from plaudit.types import Json, Message

_PATIENCE_SECONDS = 0.5  # Less than any time limit: who waits longer would be late unsent.
_RESTART_SECONDS = 0.5
_MOST_LISTED = 10
_HERE = "127.0.0.1"
_URL = re.compile(r"^(https?:|//)", re.IGNORECASE)
_ADDRESS = re.compile(
    r"^\w+:/|^//|://|^(localhost|\d+(\.\d+){3}|\[[\da-f:.]+\])(:|/|$)|:\d{2,5}(/|$)", re.IGNORECASE
)
"""What addresses look like and names of hosted models do not."""
_UNKNOWN_MODEL = re.compile(r"model_not_found|invalid_model|unknown_model", re.IGNORECASE)

_LOG = logging.getLogger(__name__)

R = TypeVar("R")
Terms = TypeVar("Terms", bound=msgspec.Struct)


def place_of(uri: EngineURI, default: str, variable: str | None = None) -> tuple[str, bool]:
    """Return where an engine is reached, and whether the user said so.

    Args:
        uri: its base URL comes first.
        default: where the provider is.
        variable: an environment variable that comes before the default.

    Raises:
        UsageError: the URI or the variable holds no base URL, or a password; or the name of the
            model is an address, which would be sent to the provider together with its key.
    """
    given = only_base_url(uri)
    if given is not None:
        return check_base_url(given, f"engine {uri.scheme}: what follows @"), True
    given = os.environ.get(variable, "").strip() if variable else ""
    if variable and given:
        return check_base_url(given, variable), True
    looks = _URL if urlsplit(default).hostname == _HERE else _ADDRESS
    if looks.search(uri.model):
        raise UsageError(
            f"engine {uri.scheme}: the name of the model is an address; write "
            f"{uri.scheme}:MODEL@http://host:port/v1"
        )
    return default, False


def only_base_url(uri: EngineURI) -> str | None:
    """Return the base URL of an engine URI, None where it names none.

    Raises:
        UsageError: it names several, of which `load_engine` makes an engine each.
    """
    if len(uri.base_urls) > 1:
        raise UsageError(f"one {uri.scheme} engine has one URL; load_engine({str(uri)!r}) has all")
    return uri.base_urls[0] if uri.base_urls else None


class Feature(msgspec.Struct, Generic[Terms], frozen=True, kw_only=True):
    """Something in a request that an endpoint may not know and that can be given up."""

    fields: frozenset[str]
    """Fields of the request's body that carry it."""
    complaint: re.Pattern[str]
    """What a server says that refuses it."""
    instead: dict[str, Json] = {}
    """The fields of the terms that change when it is given up."""
    note: str
    """What is told when it is given up; the changed fields are filled in."""
    quiet: bool = False
    """Whether nothing is lost by it, so that it is no warning."""

    def is_meant_by(self, reply: ErrorReply) -> bool:
        """Tell whether an error may be about this feature."""
        return bool(self.complaint.search(f"{reply.param} {reply.complaint}"))

    def lower(self, terms: Terms, reply: ErrorReply, body: dict[str, Json]) -> dict[str, Json]:
        """Return the fields of the terms to change, given the refused body and what was said.

        No field, or none that changes: there is nothing left to give up.
        """
        return self.instead


def complains(*about: str) -> re.Pattern[str]:
    """Return a pattern for messages that say that one of the fields is not supported at all.

    A value out of range is not meant: to drop that silently would not be what the user asked for.
    """
    words = "|".join(about)
    return re.compile(
        rf"(?s)(?=.*\b(?:{words})\b)(?=.*(?:not support|unsupported|deprecated|only the default"
        r"|not permitted|forbidden|unrecognized|unknown|unexpected|not allowed|cannot both"
        r"|not available|not implemented|incompatible))",
        re.IGNORECASE,
    )


class HTTPEngine(Generic[Terms, R]):
    """What engines over HTTP share: identity, preflight, discovery and negotiation.

    An endpoint that refuses a feature is asked again without it. What was given up is remembered;
    the first request of each kind finds it out alone while the others wait a moment. Later
    requests take no lock.
    """

    features: ClassVar[tuple[Feature[Any], ...]] = ()
    """What can be given up, in the order in which it is tried."""
    models_path: ClassVar[str] = "/models"
    """Where models are listed."""

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
        """Put an engine together.

        Args:
            uri: what it is made from.
            transport: how it is reached.
            terms: what requests ask for until something is refused.
            capabilities: what it can do.
            revision: a part of its identity.
            needs_key: whether it is of no use without a key.
        """
        self._uri = uri
        self._needs_key = needs_key
        self._transport = transport
        self._terms = terms
        self._capabilities = capabilities
        self._models_url = transport.url(self.models_path)
        self._revision = revision
        self._model = uri.model
        self._listed: list[str] = []
        self._settled: set[_Kind] = set()
        self._notes: list[str] = []
        self.refused = 0
        """Requests that were refused for a feature and sent again without it."""
        self._ready = False
        self._opening: tuple[Message, ...] = ()
        self._encoded: list[msgspec.Raw] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def __reduce__(self) -> Any:
        """Pickle the URI alone; the key is read from the environment where it is loaded."""
        return type(self), (self._uri,)

    @property
    def uri(self) -> str:
        """The engine URI that makes this engine again."""
        return str(self._uri)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, before anything was negotiated."""
        return self._capabilities

    @property
    def base_url(self) -> str:
        """Where it is reached."""
        return self._transport.base_url

    @property
    def notes(self) -> tuple[str, ...]:
        """What the endpoint refused and was given up; each continues "the endpoint ..."."""
        return tuple(self._notes)

    async def identify(self) -> str:
        """Return `scheme:model` or `scheme:model@revision`.

        Raises:
            EngineUnusableError: no model is named and the endpoint does not list exactly one.
        """
        await self._find_model()
        revision = f"@{self._revision}" if self._revision else ""
        return f"{self._transport.scheme}:{self._model}{revision}"

    async def open(self) -> None:
        """Check that the endpoint is there and takes the key.

        Raises:
            EngineUnusableError: it cannot be reached, refuses the key, or names no model.
        """
        if self._ready:
            return
        if self._needs_key and not self._transport.has_key:
            raise EngineUnusableError(
                f"{self._transport.name} needs a key; set {self._transport.key_variable}"
            )
        try:
            await self._preflight()
        except Unreachable:
            await self._preflight_again()
        await self._find_model()
        self._ready = True

    async def close(self) -> None:
        """Close the connections; the engine may be opened again."""
        self._ready = False
        await self._transport.close()

    async def complete(self, request: Request) -> Completion:
        """Complete one request.

        Raises:
            CallError: no reply came.
            ReplyError: a filter refused, or log-probabilities were asked for and none came.
            EngineUnusableError: no further request can succeed.
        """
        if not self._model:
            await self._find_model()
        kind = _kind(request)
        if kind not in self._settled:
            async with _patiently(await self._transport.lock()):
                if kind not in self._settled:
                    return await self._negotiate(request, kind)
        return await self._negotiate(request, kind)

    async def _negotiate(self, request: Request, kind: "_Kind") -> Completion:
        """Send a request on the terms found so far, giving up what is refused."""
        terms = self._terms
        given_up: list[tuple[Feature[Terms], dict[str, Json]]] = []
        while True:  # Once, but for what is refused.
            body = self._body(request, terms)
            reader = partial(self._read, request, kind, given_up)
            try:
                return await self._transport.post(self._url(request), self._encode(body), reader)
            except Rejected as rejection:
                raise self._about_model(rejection) from None
            except Refusal as refusal:
                if self._is_unknown_model(refusal.reply):
                    rejection = Rejected(str(refusal), "check the model's name", 404)
                    raise self._about_model(rejection) from None
                feature, changes = self._lower(terms, refusal, body)
                self.refused += 1
                given_up.append((feature, changes))
                terms = msgspec.structs.replace(terms, **changes)

    def _read(
        self,
        request: Request,
        kind: "_Kind",
        given_up: "list[tuple[Feature[Terms], dict[str, Json]]]",
        content: bytes,
    ) -> Completion:
        """Read the body of a reply; what was given up for it was what the endpoint refused."""
        reply = self._decode(content)
        if given_up:
            self._remember(given_up)
        self._settled.add(kind)
        return self._completion(reply, request)

    def _lower(
        self, terms: Terms, refusal: Refusal, body: dict[str, Json]
    ) -> tuple[Feature[Terms], dict[str, Json]]:
        """Find what a refusal is about, and how to do without.

        Raises:
            CallError: the refusal itself, if it is about nothing that can be given up.
        """
        reply = refusal.reply
        blamed = [f for f in self.features if reply.param in f.fields] or self.features
        for feature in blamed:
            if feature.fields.isdisjoint(body) or not feature.is_meant_by(reply):
                continue
            changes = feature.lower(terms, reply, body)
            if any(getattr(terms, name) != value for name, value in changes.items()):
                return feature, changes
        raise self._give_up(refusal, body) from None

    def _is_unknown_model(self, reply: ErrorReply) -> bool:
        """Tell whether a refusal is about the model, of a server that lists others."""
        if not self._listed or self._model in self._listed:
            return False
        if reply.param == "model" or _UNKNOWN_MODEL.search(reply.code):
            return True
        named = re.search(rf"(?<!\w){re.escape(self._model)}(?!\w)", reply.says)
        return bool(named and re.search(r"\bmodel\b", reply.says, re.IGNORECASE))

    def _about_model(self, rejection: Rejected) -> Rejected:
        """Return a rejection with the models that the server lists, where this is none of them."""
        if rejection.status != 404 or not self._listed or self._model in self._listed:
            return rejection
        advice = f"{rejection.advice}; it lists {self._names(self._listed)}"
        return Rejected(rejection.said, advice, rejection.status)

    def _names(self, models: Sequence[str]) -> str:
        listed = self._transport.redact(", ".join(models[:_MOST_LISTED]))
        return listed + (", …" if len(models) > _MOST_LISTED else "")

    def _give_up(self, refusal: Refusal, body: dict[str, Json]) -> Exception:
        """Return what to raise for a refusal that nothing can be done about."""
        return refusal

    def _remember(self, given_up: list[tuple[Feature[Terms], dict[str, Json]]]) -> None:
        """Keep what was given up; called once a request succeeded without it."""
        for feature, changes in given_up:
            self._terms = msgspec.structs.replace(self._terms, **changes)
            self._note(feature.note.format(**changes), quiet=feature.quiet)

    def _note(self, note: str, *, quiet: bool = False) -> None:
        """Tell once what the endpoint does not do."""
        if note not in self._notes:
            self._notes.append(note)
            level = logging.INFO if quiet else logging.WARNING
            _LOG.log(level, "%s: it %s", self._transport.name, note)

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

    def _encode(self, body: dict[str, Json]) -> bytes:
        try:
            return msgspec.json.encode(body)
        except (UnicodeEncodeError, TypeError) as error:
            raise CallError(
                Cause.BAD_REQUEST, f"the request to {self._transport.name} is no JSON: {error}"
            ) from None

    async def _preflight(self) -> None:
        """Ask for the models; whatever answers but a refused key is good enough.

        Many servers take names that they do not list, such as aliases and adapters: an unlisted
        model is refused only where the server refuses it too.
        """
        try:
            status, content = await self._transport.get(self._models_url)
        except Unreachable:
            raise
        except CallError:
            return
        self._check_key(status, content)
        if status == 200:
            with suppress(CallError):
                self._listed = self._model_names(content)

    async def _preflight_again(self) -> None:
        """Give a server that restarts one more chance."""
        await asyncio.sleep(_RESTART_SECONDS)
        try:
            await self._preflight()
        except Unreachable as error:
            raise EngineUnusableError(f"{error}; is the server running?", outage=True) from None

    def _check_key(self, status: int, content: bytes) -> None:
        if status in (401, 403):
            raise self._transport.translate(self._transport.read_error(status, content))

    async def _find_model(self) -> None:
        if self._model:
            return
        async with await self._transport.lock():
            if not self._model:
                self._model = await self._discover()

    async def _discover(self) -> str:
        """Return the one model that the endpoint serves."""
        url = self._models_url
        try:
            status, content = await self._transport.get(url)
        except CallError as error:
            raise EngineUnusableError(
                f"no model is named and {url} cannot be asked for one: {error}", outage=True
            ) from None
        self._check_key(status, content)
        name = f"write {self._uri.scheme}:MODEL"
        if status != 200:
            said = self._transport.read_error(status, content).quote or "nothing"
            raise EngineUnusableError(
                f"no model is named and {url} answered {status}: {said}; {name}",
                outage=status >= 500,
            )
        try:
            models = self._model_names(content)
        except CallError as error:
            raise EngineUnusableError(
                f"no model is named and {url} is no list of models ({error}); {name}"
            ) from None
        if len(models) == 1:
            return models[0]
        if not models:
            raise EngineUnusableError(f"no model is named and {url} lists none; {name}")
        raise EngineUnusableError(
            f"{url} lists {len(models)} models; {name} with one of: {self._names(models)}"
        )

    def _model_names(self, content: bytes) -> list[str]:
        """Return the models that a list names.

        Raises:
            CallError: it is no list.
        """
        return self._transport.read(content, self._listed_models)

    def _listed_models(self, content: bytes) -> list[str]:
        found = self._transport.decode(content, _MODELS)
        listed = found if isinstance(found, list) else found.data
        return [model.id for model in listed if model.id]

    def _url(self, request: Request) -> URL:
        raise NotImplementedError

    def _body(self, request: Request, terms: Terms) -> dict[str, Json]:
        raise NotImplementedError

    def _decode(self, content: bytes) -> R:
        raise NotImplementedError

    def _completion(self, reply: R, request: Request) -> Completion:
        raise NotImplementedError


class _Model(msgspec.Struct):
    id: str = ""


class _ModelList(msgspec.Struct):
    data: list[_Model]


_MODELS: msgspec.json.Decoder[_ModelList | list[_Model]] = msgspec.json.Decoder(
    _ModelList | list[_Model]
)


class _Kind(NamedTuple):
    """The set of features that a request uses."""

    completion: bool
    logprobs: bool
    schema: bool
    seed: bool
    tools: bool
    tokens: bool


def _kind(request: Request) -> _Kind:
    return _Kind(
        isinstance(request.prompt, str),
        request.logprobs > 0,
        request.schema is not None,
        request.sampling.seed is not None,
        bool(request.tools),
        request.trace_tokens,
    )


@asynccontextmanager
async def _patiently(lock: asyncio.Lock) -> AsyncGenerator[None]:
    """Wait for a lock, but not long: a slow first reply must not hold up all the others.

    Refusals come before a model starts to write, so after this time the first request was accepted.
    """
    held = await _acquire(lock)
    try:
        yield
    finally:
        if held:
            lock.release()


async def _acquire(lock: asyncio.Lock) -> bool:
    """Tell whether the lock could be had in time."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await lock.acquire()
    except TimeoutError:
        return False
    return True
