"""The embedded engine: llama.cpp in this process, for `local`, `gguf:PATH` and `hf:REPO/FILE`.

Determinism. One slot, an f32 KV cache and flash attention off make a prompt's log-probabilities
independent of what else is asked. The number of threads does not change them. Reuse of a cached
prefix changes them for some weight types, whose kernels sum in another order for small batches. So
it is tried out once per model and machine, and used only where it changed nothing.
"""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeVar

from plaudit._util.aio import aside
from plaudit.engines.base import (
    Capabilities,
    Completion,
    EngineInfo,
    PromptToken,
    Request,
)
from plaudit.engines.llama.cache import note, recall
from plaudit.engines.llama.file import ModelFile
from plaudit.engines.llama.gguf import GGUF
from plaudit.engines.llama.models import Progress
from plaudit.engines.llama.native import (
    Cancellable,
    LoadedModel,
    ModelSlot,
    Settings,
    cancelling,
    default_threads,
    hook_exits,
    machine,
    make_server,
    reuse_is_exact,
)
from plaudit.engines.llama.replies import (
    PARAMETERS,
    THINKING_SWITCH,
    Call,
    closed,
    not_unicode,
    overflow,
    streamed_body,
)
from plaudit.engines.llama.server import (
    LocalHTTP,
    Traits,
    complete_traced,
    decode,
    encode,
    prompt_tokens,
    template_arguments,
)
from plaudit.engines.uri import EngineURI, whole_option
from plaudit.errors import CallError, Cause, ToolsRefusedError, UsageError
from plaudit.types import Message

T = TypeVar("T")
Prefix = Literal["auto", "on", "off"]

MOST_CONTEXT = 8192
"""Tokens of context taken by default where the model has more; its KV cache costs memory."""
_NUMBERS = {
    "context": (0, 10_000_000),
    "slots": (1, 256),
    "threads": (0, 4096),
    "gpu_layers": (0, 10_000),
    "logprobs": (0, 1_000_000),
}
"""Options of the engine URI that are whole numbers, and their ranges."""

_log = logging.getLogger(__name__)


class LlamaEngine:
    """A GGUF model run in this process.

    URI: `local[:NAME]`, `gguf:PATH` or `hf:OWNER/REPO/FILE.gguf`, with these options:

    - `context`: tokens of prompt and reply; default the model's own, at most 8192.
    - `slots`: requests computed together, default 1. More are not deterministic.
    - `threads`: default the physical cores; changes no value.
    - `gpu_layers`: default 0; more are not declared deterministic.
    - `logprobs`: most log-probabilities of a token, default 256. For a vocabulary of 49,152 tokens
      200 cost 1 ms a request, 1000 cost 5 ms, 5000 cost 20 ms and all of them 300 ms.
    - `prefix`: whether a cached prefix is used: `auto` (where that was found to change no value),
      `on` (always; not declared deterministic) or `off`.
    - `revision` (hf only): branch, tag or commit, default `main`.

    Raises:
        UsageError: the URI names no model, or an option is unknown or out of range.
    """

    def __init__(self, uri: EngineURI, progress: Progress | None = None) -> None:
        self.uri = str(uri)
        """The engine URI that makes this engine again."""
        self._uri = uri
        options = uri.take(
            context="0",
            slots="1",
            threads="0",
            gpu_layers="0",
            logprobs="256",
            prefix="auto",
            **({"revision": "main"} if uri.scheme == "hf" else {}),
        )
        self._numbers = {
            name: whole_option(uri, name, options[name], *ends) for name, ends in _NUMBERS.items()
        }
        self._prefix: Prefix = _prefix(uri, options["prefix"])
        self._file = ModelFile(uri, options.get("revision", "main"), progress)
        self._slot = ModelSlot()

    def __reduce__(self) -> tuple[type["LlamaEngine"], tuple[EngineURI]]:
        """Pickle the URI alone; the copy loads the model itself."""
        return type(self), (self._uri,)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. For `gguf:` and `hf:` the file's metadata is read."""
        base, slots = self._file.is_base, self._numbers["slots"]
        return Capabilities(
            logprobs=self._numbers["logprobs"],
            json_schema=True,
            chat=not base,
            completion=True,
            default_mode="completion" if base or self._uri.scheme == "local" else "chat",
            generation=PARAMETERS,
            closed=True,
            token_ids=True,
            token_prompts=True,
            seed=True,
            deterministic=slots == 1 and not self._numbers["gpu_layers"] and self._prefix != "on",
            concurrency=slots,
            remote=False,
        )

    @property
    def info(self) -> EngineInfo:
        """Facts about the model. Reads the file's metadata, except for `local`."""
        return EngineInfo(
            special_tokens=self._file.special_tokens,
            reasoning=self._file.reasoning,
            tokenizer=self.tokenizer,
        )

    @property
    def tokenizer(self) -> "LlamaTokenizer":
        """The model's tokenizer, and the metadata of its file."""
        return LlamaTokenizer(self, self._file)

    @property
    def calls(self) -> frozenset[Cancellable]:
        """The requests that the model computes now."""
        loaded = self._slot.model
        return frozenset(loaded.calls if loaded else ())

    async def identify(self) -> str:
        """Return `gguf-sha256:HEX`, with what else changes the numbers (`?slots=2`).

        Fetches and reads the file, except for `local`, whose facts are pinned; after it the
        properties block no more.
        """
        if not (self._file.known and self._file.known.special_tokens):
            await aside(lambda: self._file.metadata)
        digest = await aside(lambda: self._file.digest)
        slots, layers = self._numbers["slots"], self._numbers["gpu_layers"]
        extra = [f"slots={slots}"] if slots > 1 else []
        extra += [f"gpu_layers={layers}"] if layers else []
        extra += ["prefix=on"] if self._prefix == "on" else []
        return f"gguf-sha256:{digest}" + ("?" + "&".join(extra) if extra else "")

    async def open(self) -> None:
        """Fetch the weights where needed and load them, in another thread.

        Raises:
            EngineUnusableError: the file cannot be fetched or loaded.
        """
        if self._slot.model is None:
            stop = threading.Event()
            try:
                await aside(partial(self._slot.fill, partial(self._load, stop)))
            except asyncio.CancelledError:
                stop.set()
                raise

    async def close(self) -> None:
        """Cancel what is in flight and free the model."""
        loaded = self._slot.empty()
        if loaded is not None:
            await aside(loaded.close)

    async def complete(self, request: Request) -> Completion:
        """Complete one request.

        A cancelled one stops within 256 tokens of computation, with `trace_tokens` within a second
        more.

        Raises:
            CallError: the prompt is too long (nothing is ever cut), empty, or was rejected.
            UsageError: chat was asked of a base model, which has no chat template.
            ToolsRefusedError: tools were given.
        """
        self._check_mode(request)
        loaded = await self._ready()
        self._check(request, loaded.settings)
        if request.trace_tokens:
            return await self._trace(loaded, request)
        try:
            body = streamed_body(request, loaded.reuse, self.can_stop_thinking(request))
        except UnicodeEncodeError as error:
            raise not_unicode(error) from error
        call = Call()
        asking = partial(loaded.ask, call, body, request.mode == "chat")
        return (await cancelling(loaded.workers.submit(asking), call)).completion(request)

    async def _trace(self, loaded: LoadedModel, request: Request) -> Completion:
        metadata = self._file.metadata
        traits = Traits(
            vocabulary=len(metadata.vocabulary.tokens),
            end_id=metadata.eos_id or 0,
            reuse=loaded.reuse,
            template=template_arguments(request, self.can_stop_thinking(request)),
        )
        http = loaded.http()

        def trace() -> Completion:
            return loaded.over_http(http, partial(complete_traced, request=request, traits=traits))

        return await cancelling(loaded.workers.submit(trace), http)

    async def over_http(self, function: Callable[[LocalHTTP], T]) -> T:
        """Ask the model's HTTP server for something that needs no slot; loads the model.

        Raises:
            EngineUnusableError: the file cannot be fetched or loaded.
        """
        loaded = await self._ready()
        return await aside(partial(loaded.over_http, loaded.http(), function))

    async def _ready(self) -> LoadedModel:
        await self.open()
        loaded = self._slot.model
        if loaded is None:
            raise closed()
        return loaded

    def _check_mode(self, request: Request) -> None:
        if request.mode == "chat" and self._file.is_base:
            raise UsageError(
                f'{self._uri} is a base model without a chat template; use mode="completion"'
            )
        if request.tools:
            raise ToolsRefusedError(f"{self._uri} takes no tools; have it write calls as text")

    def _check(self, request: Request, settings: Settings) -> None:
        """Refuse what cannot succeed, without handing it to llama.cpp."""
        if not request.prompt and not request.prompt_ids:
            raise CallError(Cause.BAD_REQUEST, "the prompt is empty")
        if request.prompt_ids:
            if len(request.prompt_ids) > settings.context:
                raise overflow(f"{len(request.prompt_ids)}", settings.context)
            return
        vocabulary = self._file.metadata.vocabulary
        # A chat template may leave some of the text out (old thoughts).
        drops_text = request.mode == "chat" and "think" in self._file.template
        if vocabulary.covers_bytes and not drops_text:
            least = _characters(request.prompt) // vocabulary.longest_token_bytes
            if least > settings.context:
                raise overflow(f"at least {least}", settings.context)

    def can_stop_thinking(self, request: Request) -> bool:
        """Return whether the chat template has a switch that turns thinking off."""
        return request.mode == "chat" and THINKING_SWITCH in self._file.template

    def _load(self, stop: threading.Event) -> LoadedModel:
        self._file.fetch(stop)
        settings = self._settings()
        hook_exits()
        key = secrets.token_hex(32)
        server = make_server(self._file.metadata.path, settings, key=key)
        loaded = LoadedModel(server, settings, key)
        try:
            loaded.reuse = self._may_reuse(loaded)
        except BaseException:
            loaded.close()
            raise
        return loaded

    def _settings(self) -> Settings:
        trained = self._file.metadata.context_length or MOST_CONTEXT
        return Settings(
            context=self._numbers["context"] or min(trained, MOST_CONTEXT),
            slots=self._numbers["slots"],
            threads=self._numbers["threads"] or default_threads(),
            gpu_layers=self._numbers["gpu_layers"],
        )

    def _may_reuse(self, loaded: LoadedModel) -> bool:
        """Whether cached prefixes are used: by option, or by a trial on this machine."""
        if self._prefix != "auto" or loaded.settings.slots > 1:
            return self._prefix != "off"
        key = f"{self._file.digest} gpu_layers={loaded.settings.gpu_layers} {machine()}"
        found = recall("prefix", key)
        if found is None:
            found = [int(reuse_is_exact(loaded, self._file.metadata))]
            note("prefix", key, found)
            if not found[0]:
                _log.info("%s: a cached prefix changes log-probabilities; not used", self._uri)
        return bool(found[0])


class LlamaTokenizer:
    """The tokenizer of an embedded engine's model; see `ModelTokenizer`."""

    def __init__(self, engine: LlamaEngine, file: ModelFile) -> None:
        self._engine = engine
        self._file = file

    @property
    def metadata(self) -> GGUF:
        """Vocabulary and chat template. Blocks while the file is fetched and read."""
        return self._file.metadata

    async def tokenize(self, request: Request) -> list[PromptToken]:
        """Return the tokens of a request's prompt as the model reads them; computes nothing."""
        template = template_arguments(request, self._engine.can_stop_thinking(request))
        return await self._engine.over_http(lambda http: prompt_tokens(http, request, template))

    async def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of a text; see `ModelTokenizer.encode`."""
        return await self._engine.over_http(lambda http: encode(http, text, special=special))

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens; see `ModelTokenizer.decode`."""
        return await self._engine.over_http(lambda http: decode(http, ids))


def _characters(prompt: str | tuple[Message, ...]) -> int:
    """Characters of text that must reach the model; templates trim the ends of messages."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(m.content.strip()) for m in prompt if isinstance(m.content, str))


def _prefix(uri: EngineURI, text: str) -> Prefix:
    if text not in ("auto", "on", "off"):
        raise UsageError(f"{uri}: prefix must be auto, on or off, not {text!r}")
    return text
