"""The embedded engine: llama.cpp in this process, for `local`, `gguf:PATH` and `hf:REPO/FILE`.

Determinism. One slot, an f32 KV cache and flash attention off make a prompt's log-probabilities
independent of what else is asked. The number of threads does not change them. Reuse of a cached
prefix changes them for some weight types (their kernels sum in another order for small batches), so
it is tried out once per model and machine, and used only where it was found to change nothing.
"""

import asyncio
import atexit
import contextlib
import ctypes
import hashlib
import logging
import os
import platform
import secrets
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

import msgspec
import psutil

from plaudit._util.aio import aside
from plaudit._util.forks import finished_before_a_fork
from plaudit._util.workers import Workers
from plaudit.engines.base import (
    Capabilities,
    Completion,
    EngineURI,
    PromptToken,
    Request,
    whole_option,
)
from plaudit.engines.llama import models
from plaudit.engines.llama.gguf import GGUF, read_gguf
from plaudit.engines.llama.native import (
    PARAMETERS,
    THINKING_SWITCH,
    LocalHTTP,
    decode,
    encode,
    prompt_tokens,
    template_arguments,
)
from plaudit.engines.llama.replies import Call, Token, closed, not_unicode, overflow
from plaudit.engines.llama.tokens import Traits, complete_traced
from plaudit.errors import (
    CallError,
    Cause,
    EngineUnusableError,
    ToolsRefusedError,
    UsageError,
)
from plaudit.types import Json, Message

T = TypeVar("T")
Prefix = Literal["auto", "on", "off"]

LOCAL_MODEL = "smollm2-135m-instruct"
"""What `local` runs."""
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
_BATCH = 256  # Tokens computed in one go, and so how long a cancelled request goes on.
_GRACE = 2.0  # Seconds that a process at its end waits for requests in flight.

_log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run."""

    context: int
    """Tokens of prompt and reply together, for each slot."""
    slots: int = 1
    """Requests computed together; more than 1 is not deterministic."""
    threads: int = 1
    gpu_layers: int = 0
    """Layers computed on a GPU, where the installed xllamacpp can."""


# ---------------------------------------------------------------- the native library


class NativeServer(Protocol):
    """What is used of `xllamacpp.Server`, which has no stubs."""

    @property
    def listening_address(self) -> str:
        """Base URL of its HTTP server."""
        ...

    def handle_completions(self, body: bytes, callback: Callable[[bytes], bool]) -> object:
        """Answer a completion request; the callback gets each chunk, and returns True to stop."""
        ...

    def handle_chat_completions(self, body: bytes, callback: Callable[[bytes], bool]) -> object:
        """Answer a chat request in the same way."""
        ...


def _library() -> Any:
    """Import xllamacpp, with a short spin at its barriers.

    By default libgomp spins for long, which makes llama.cpp five to ten times slower as soon as
    another process wants the same cores. The variable is read when the library is loaded.
    """
    ours = "xllamacpp" not in sys.modules and not (
        {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    )
    if ours:
        os.environ["GOMP_SPINCOUNT"] = "1000"
    try:
        with finished_before_a_fork():
            import xllamacpp  # pyright: ignore[reportMissingTypeStubs]

        return xllamacpp
    except ImportError as error:
        raise EngineUnusableError(
            f"xllamacpp, which runs models in this process, cannot be loaded: {error}. "
            "Reinstall it (pip install --force-reinstall xllamacpp), or use an endpoint"
        ) from error
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]


def make_server(
    path: Path | str,
    settings: Settings,
    host: str | None = None,
    port: int | None = None,
    key: str | None = None,
) -> NativeServer:
    """Load a model with plaudit's deterministic settings; it answers in process and over HTTP.

    The HTTP server is OpenAI-compatible (`listening_address` + `/v1`). xllamacpp always starts it;
    without `host` and `port` it listens on 127.0.0.1 behind `key`, else a random one, so that no
    other user of the machine can ask it. Loading takes 0.2 s for 100 MB and holds the interpreter
    lock meanwhile.

    Raises:
        EngineUnusableError: the file cannot be loaded, or the port cannot be had.
    """
    library = _library()
    params = library.CommonParams()
    params.model.path = str(path)
    params.n_ctx = settings.context * settings.slots
    params.n_parallel = settings.slots
    params.n_gpu_layers = settings.gpu_layers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.cache_type_k = params.cache_type_v = library.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_batch = params.n_ubatch = _BATCH
    params.no_extra_bufts = True  # Repacked weights are summed in an order that batches change.
    params.swa_full = True  # Else models with sliding windows cannot reuse a prefix.
    params.fit_params = False  # It would shrink the context by the memory that is free just now.
    params.cache_ram_mib = 0
    params.warmup = params.ui = False
    params.verbosity = -1
    params.hostnames, params.port = [host or "127.0.0.1"], port or 0
    # No page in a browser may read what it answers; by default it allows every page.
    params.cors_origins, params.cors_credentials, params.cors_origins_explicit = "", False, True
    if host is None and port is None:
        # One for each reply, and two to tokenise meanwhile.
        params.api_keys = [key or secrets.token_hex(32)]
        params.n_threads_http = settings.slots + 2
    try:
        return cast("NativeServer", library.Server(params))
    except RuntimeError as error:
        where = f" (or port {port} is taken)" if port else ""
        raise EngineUnusableError(
            f"llama.cpp cannot load {path}: the file is damaged, or its architecture is newer than "
            f"the installed xllamacpp {library.__version__}, or memory is short{where}. Download "
            "the file again, update xllamacpp, or lower ?context="
        ) from error


def default_threads() -> int:
    """Return the cores that this process may use: physical, allowed, and within its quota."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError, ValueError):  # A container's quota, such as "200000 100000".
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class _Loaded:
    """A loaded model with its threads and the calls in flight; belongs to one process."""

    def __init__(self, server: NativeServer, settings: Settings, key: str) -> None:
        self.server: NativeServer | None = server
        self._address = server.listening_address
        self._key = key
        self.settings = settings
        self.reuse = False
        """Whether a cached prefix may be used."""
        self.workers = Workers(settings.slots, "plaudit-llama")
        self.calls: set[_Cancellable] = set()
        self.idle = threading.Condition()
        self.pid = os.getpid()
        _live.add(self)

    def __del__(self) -> None:
        self.workers.stop()

    def ask(self, call: Call, body: bytes, chat: bool = False) -> Call:
        """Compute one request; returns when the reply is whole, or `call` is cancelled.

        Raises:
            CallError: there is no whole reply.
        """
        server = self._begin(call)
        try:
            if chat:
                server.handle_chat_completions(body, call.take)
            else:
                server.handle_completions(body, call.take)
        except RuntimeError as error:
            raise CallError(
                Cause.BAD_REQUEST, f"llama.cpp rejected the request: {error}"
            ) from error
        finally:
            # Else this frame, or an error's traceback, would keep the model beyond `close`, and
            # it would be destroyed by this thread in the middle of the process's end: a crash.
            del server
            self._end(call)
        call.check()
        return call

    def http(self) -> LocalHTTP:
        """Return a connection-less handle of the model's HTTP server, for one cancellable call."""
        return LocalHTTP(self._address, self._key)

    def over_http(self, http: LocalHTTP, function: Callable[[LocalHTTP], T]) -> T:
        """Do something that asks the model's HTTP server, and have `close` wait for it."""
        self._begin(http)
        try:
            return function(http)
        finally:
            self._end(http)

    def _begin(self, call: _Cancellable) -> NativeServer:
        with self.idle:
            if self.server is None:
                raise closed()
            self.calls.add(call)
            return self.server

    def _end(self, call: _Cancellable) -> None:
        with self.idle:
            self.calls.discard(call)
            self.idle.notify_all()

    def close(self, patience: float | None = None) -> bool:
        """Cancel what is in flight, wait for it, and free the model; return whether that was done.

        llama.cpp aborts the process when a model is freed under a waiting request, so a model
        whose requests outlast `patience` seconds (None: no limit) is left to the system. So is one
        that a forked child loaded, because freeing it waits for a thread of the parent.
        """
        with self.idle:
            for call in self.calls:
                call.cancel()
            done = self.idle.wait_for(lambda: not self.calls, patience)
            server, self.server = self.server, None
        self.workers.stop()
        if not done or _inherited:
            _immortalise(server)
        return done

    def abandon(self) -> None:
        """In a forked child: never touch the parent's model again, not even to destroy it."""
        _immortalise(self.server)
        self.server = None


def _immortalise(server: NativeServer | None) -> None:
    """Give an object a reference that nothing ever drops, so that its destructor never runs."""
    if server is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))


_live: "weakref.WeakSet[_Loaded]" = weakref.WeakSet()
_engines: "weakref.WeakSet[LlamaEngine]" = weakref.WeakSet()
_hooked = False
_inherited = False  # Whether this process was forked from one that had loaded a model.
_hook_lock = threading.Lock()


def _hook() -> None:
    """Have models freed when the process ends and abandoned when it forks; once, on first use."""
    global _hooked
    with _hook_lock:
        if not _hooked:
            _hooked = True
            atexit.register(_close_all)
            os.register_at_fork(after_in_child=_abandon_all)


def _close_all() -> None:
    for loaded in tuple(_live):
        if loaded.pid == os.getpid():
            loaded.close(_GRACE)


def _abandon_all() -> None:
    global _inherited, _hook_lock
    _inherited = True
    _hook_lock = threading.Lock()
    _skip_native_exit()
    for loaded in tuple(_live):
        loaded.abandon()
    for engine in tuple(_engines):
        engine.forget()


def _skip_native_exit() -> None:
    """End this forked child without llama.cpp's static destructors, which wait for lost threads.

    What Python does at its exit is done before; as with `os._exit` in a `multiprocessing` child,
    native exit handlers that were registered before the fork are not run.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # glibc; elsewhere the destructors do not wait.
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)


# ---------------------------------------------------------------- the engine


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

    def __init__(self, uri: EngineURI, progress: models.Progress | None = None) -> None:
        self._uri = uri
        self._progress = progress
        options = uri.take(
            context="0",
            slots="1",
            threads="0",
            gpu_layers="0",
            logprobs="256",
            prefix="auto",
            **({"revision": "main"} if uri.scheme == "hf" else {}),
        )
        number = {n: whole_option(uri, n, options[n], *ends) for n, ends in _NUMBERS.items()}
        self._context = number["context"]
        self._slots = number["slots"]
        self._threads = number["threads"]
        self._gpu_layers = number["gpu_layers"]
        self._logprobs = number["logprobs"]
        self._revision = options.get("revision", "main")
        self._prefix: Prefix = _prefix(uri, options["prefix"])
        self._known = _known(uri)
        self._loaded: _Loaded | None = None
        self._lock = threading.Lock()
        _engines.add(self)

    def __reduce__(self) -> tuple[type["LlamaEngine"], tuple[EngineURI]]:
        """Pickle the URI alone; the copy loads the model itself."""
        return type(self), (self._uri,)

    @property
    def uri(self) -> str:
        """The engine URI that makes this engine again."""
        return str(self._uri)

    @property
    def capabilities(self) -> Capabilities:
        """What it can do. For `gguf:` and `hf:` the file's metadata is read."""
        base = self._known.base if self._known else self.metadata.is_base
        return Capabilities(
            logprobs=self._logprobs,
            json_schema=True,
            chat=not base,
            completion=True,
            default_mode="completion" if base or self._uri.scheme == "local" else "chat",
            generation=PARAMETERS,
            closed=True,
            token_ids=True,
            token_prompts=True,
            seed=True,
            deterministic=self._slots == 1 and not self._gpu_layers and self._prefix != "on",
            concurrency=self._slots,
            remote=False,
        )

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Texts that become special tokens wherever they stand in a prompt, longest first."""
        if self._known and self._known.special_tokens:
            return self._known.special_tokens
        return self.metadata.vocabulary.special

    @property
    def reasoning(self) -> bool:
        """Whether it thinks before it answers in chat mode, and cannot be told not to."""
        if self._known:
            return False
        template = self.metadata.chat_template or ""
        return "<think>" in template and THINKING_SWITCH not in template

    @cached_property
    def metadata(self) -> GGUF:
        """The file's metadata: vocabulary, chat template and so on.

        Blocks: fetches the file where it is not here, then reads its header (some 30 ms).

        Raises:
            EngineUnusableError: the file cannot be had or is no usable GGUF file.
        """
        path = self.path()
        try:
            metadata = read_gguf(path)
        except UsageError as error:
            raise EngineUnusableError(str(error)) from error
        if metadata.shards > 1:
            raise EngineUnusableError(
                f"{metadata.path} is one of {metadata.shards} files of a model. Join them first: "
                "llama-gguf-split --merge FIRST.gguf WHOLE.gguf"
            )
        return metadata

    def path(self) -> Path:
        """Return the model file, fetched where it is not here. Blocks."""
        if self._known:
            return models.ensure(self._known, self._progress)
        if self._uri.scheme == "hf":
            return models.hub_file(self._uri.model, self._revision)
        return Path(self._uri.model).expanduser()

    async def identify(self) -> str:
        """Return `gguf-sha256:HEX`, with what else changes the numbers (`?slots=2`).

        Fetches and reads the file, except for `local`, whose facts are pinned; after it the
        properties block no more.
        """
        if not (self._known and self._known.special_tokens):
            await aside(lambda: self.metadata)
        digest = self._known.sha256 if self._known else await aside(self._digest)
        extra = [f"slots={self._slots}"] if self._slots > 1 else []
        extra += [f"gpu_layers={self._gpu_layers}"] if self._gpu_layers else []
        extra += ["prefix=on"] if self._prefix == "on" else []
        return f"gguf-sha256:{digest}" + ("?" + "&".join(extra) if extra else "")

    def _digest(self) -> str:
        return models.file_identity(self.metadata.path)

    async def open(self) -> None:
        """Fetch the weights where needed and load them, in another thread.

        Raises:
            EngineUnusableError: the file cannot be had or loaded.
        """
        if self._here() is None:
            stop = threading.Event()
            try:
                await aside(partial(self._load, stop))
            except asyncio.CancelledError:
                stop.set()
                raise

    async def close(self) -> None:
        """Cancel what is in flight and free the model."""
        loaded, self._loaded = self._here(), None
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
            body = _body(request, loaded.reuse, self._can_stop_thinking(request))
        except UnicodeEncodeError as error:
            raise not_unicode(error) from error
        call = Call()
        asking = partial(loaded.ask, call, body, request.mode == "chat")
        return (await _cancelling(loaded.workers.submit(asking), call)).completion(request)

    async def _trace(self, loaded: _Loaded, request: Request) -> Completion:
        metadata = self.metadata
        traits = Traits(
            vocabulary=len(metadata.vocabulary.tokens),
            end_id=metadata.eos_id or 0,
            reuse=loaded.reuse,
            template=template_arguments(request, self._can_stop_thinking(request)),
        )
        http = loaded.http()

        def trace() -> Completion:
            return loaded.over_http(http, partial(complete_traced, request=request, traits=traits))

        return await _cancelling(loaded.workers.submit(trace), http)

    async def tokenize(self, request: Request) -> list[PromptToken]:
        """Return the tokens of a request's prompt as the model reads them; nothing is computed.

        Raises:
            EngineUnusableError: the file cannot be had or loaded.
        """
        template = template_arguments(request, self._can_stop_thinking(request))
        return await self._over_http(lambda http: prompt_tokens(http, request, template))

    async def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the ids of a text, without the token that texts begin with.

        Args:
            text: any text; a part of a prompt gives the ids that it has there only where no token
                spans its ends, as is so beside a special token.
            special: whether a special token's text becomes that token.

        Raises:
            EngineUnusableError: the file cannot be had or loaded.
        """
        return await self._over_http(lambda http: encode(http, text, special=special))

    async def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens; special ones are spelled out, what is no UTF-8 is U+FFFD.

        Raises:
            CallError: an id is none of the model's.
            EngineUnusableError: the file cannot be had or loaded.
        """
        return await self._over_http(lambda http: decode(http, ids))

    async def _over_http(self, function: Callable[[LocalHTTP], T]) -> T:
        """Ask the model's HTTP server for something that needs no slot."""
        loaded = await self._ready()
        return await aside(partial(loaded.over_http, loaded.http(), function))

    async def _ready(self) -> _Loaded:
        await self.open()
        loaded = self._here()
        if loaded is None:
            raise closed()
        return loaded

    def forget(self) -> None:
        """In a forked child: have no model loaded, and a lock that no lost thread holds."""
        self._loaded = None
        self._lock = threading.Lock()

    def _here(self) -> _Loaded | None:
        """The loaded model, unless it is another process's or is closed."""
        loaded = self._loaded
        if loaded is not None and loaded.pid == os.getpid() and loaded.server is not None:
            return loaded
        return None

    def _check_mode(self, request: Request) -> None:
        if request.mode == "chat" and not self.capabilities.chat:
            raise UsageError(
                f"{self._uri} is a base model without a chat template; use --mode completion"
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
        vocabulary = self.metadata.vocabulary
        if vocabulary.covers_bytes:
            least = _characters(request.prompt) // vocabulary.longest_token_bytes
            if least > settings.context and not self._drops_text(request):
                raise overflow(f"at least {least}", settings.context)

    def _can_stop_thinking(self, request: Request) -> bool:
        return request.mode == "chat" and THINKING_SWITCH in (self.metadata.chat_template or "")

    def _drops_text(self, request: Request) -> bool:
        """Whether the chat template may leave some of the text out (old thoughts)."""
        return request.mode == "chat" and "think" in (self.metadata.chat_template or "")

    def _load(self, stop: threading.Event) -> None:
        with self._lock:
            if self._here() is not None:
                return
            self._fetch(stop)
            settings = self._settings()
            _hook()
            key = secrets.token_hex(32)
            loaded = _Loaded(make_server(self.metadata.path, settings, key=key), settings, key)
            try:
                loaded.reuse = self._may_reuse(loaded)
            except BaseException:
                loaded.close()
                raise
            self._loaded = loaded

    def _fetch(self, stop: threading.Event) -> None:
        """Have the weights here; ends soon after `stop` is set."""

        def report(done: int, total: int, label: str) -> None:
            if stop.is_set():
                raise EngineUnusableError("interrupted while the model was fetched")
            if self._progress:
                self._progress(done, total, label)

        if self._known:
            models.ensure(self._known, report)

    def _settings(self) -> Settings:
        trained = self.metadata.context_length or MOST_CONTEXT
        return Settings(
            context=self._context or min(trained, MOST_CONTEXT),
            slots=self._slots,
            threads=self._threads or default_threads(),
            gpu_layers=self._gpu_layers,
        )

    def _may_reuse(self, loaded: _Loaded) -> bool:
        """Whether cached prefixes are used: as told, or as found on this machine before or now."""
        if self._prefix != "auto" or self._slots > 1:
            return self._prefix != "off"
        digest = self._known.sha256 if self._known else self._digest()
        key = f"{digest} gpu_layers={self._gpu_layers} {_machine()}"
        found = models.recall("prefix", key)
        if found is None:
            found = [int(_reuse_is_exact(loaded, self.metadata))]
            models.note("prefix", key, found)
            if not found[0]:
                _log.info("%s: a cached prefix changes log-probabilities; not used", self._uri)
        return bool(found[0])


def _body(request: Request, reuse: bool, no_thinking: bool) -> bytes:
    """The request as an OpenAI-compatible llama.cpp server takes it, streamed.

    At least one log-probability is asked for, because token ids come with them only. A request is
    streamed, which is what makes it stoppable.
    """
    sampling = request.sampling
    body: dict[str, Json] = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "cache_prompt": reuse,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = sampling.stop
    if isinstance(request.prompt, str):
        prompt = request.prompt_ids or request.prompt
        body |= {"prompt": prompt, "logprobs": max(1, request.logprobs)}
    else:
        body |= {"messages": request.prompt}
        body |= {"logprobs": True, "top_logprobs": max(1, request.logprobs)}
    if no_thinking:
        body["chat_template_kwargs"] = {THINKING_SWITCH: False}
    if request.schema is not None:
        body |= _constraint(request)
    return msgspec.json.encode(body | dict(sampling.extra))


def _constraint(request: Request) -> dict[str, Json]:
    """What constrains the reply; llama.cpp ignores `response_format` in completion mode."""
    assert request.schema is not None
    if request.mode == "completion":
        return {"json_schema": request.schema.body}
    schema = {"name": request.schema.name, "schema": request.schema.body, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _characters(prompt: str | tuple[Message, ...]) -> int:
    """Characters of text that must reach the model; templates trim the ends of messages."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(m.content.strip()) for m in prompt if isinstance(m.content, str))


# ---------------------------------------------------------------- prefix reuse, tried out

# Sizes of the pieces in which the prompt is given; kernels differ most between small ones.
_PIECES = (*range(1, 13), 17, 32)
_COMPARED = (8, len(_PIECES))


def _reuse_is_exact(loaded: _Loaded, metadata: GGUF) -> bool:
    """Whether a prompt computed piece by piece gives the very log-probabilities it gives at once.

    Some 300 tokens are computed. It is a trial on one prompt with pieces of 14 sizes, not a proof.
    """
    types = metadata.vocabulary.types
    plain = [token for token in range(100, len(types)) if types[token] == 1]
    step = max(1, len(plain) // sum(_PIECES))
    ids = plain[::step][: sum(_PIECES)]
    warm: dict[int, list[Token]] = {}
    for count in range(1, len(_PIECES) + 1):
        end = sum(_PIECES[:count])
        warm[end] = _probe(loaded, ids[:end], reuse=count > 1)
    ends = [sum(_PIECES[:count]) for count in _COMPARED]
    return all(_probe(loaded, ids[:end], reuse=False) == warm[end] for end in ends)


def _probe(loaded: _Loaded, ids: list[int], reuse: bool) -> list[Token]:
    body = {
        "prompt": ids,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 100,
        "cache_prompt": reuse,
        "stream": True,
    }
    return loaded.ask(Call(), msgspec.json.encode(body)).tokens


def _machine() -> str:
    """What the kernels that run depend on: library, system and processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        reported = [line for line in lines if line.startswith(("model name", "CPU part", "flags"))]
        processor = " ".join(reported[:2])
    except OSError:
        processor = platform.processor()
    about = f"{platform.system()} {platform.machine()} {processor}"
    return f"{_library().__version__} {hashlib.sha256(about.encode()).hexdigest()[:16]}"


# ---------------------------------------------------------------- helpers


async def _cancelling(future: Future[T], call: _Cancellable) -> T:
    """Wait for what a thread does; have it stop where the waiting is cancelled."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        call.cancel()
        raise


def _prefix(uri: EngineURI, text: str) -> Prefix:
    if text not in ("auto", "on", "off"):
        raise UsageError(f"{uri}: prefix must be auto, on or off, not {text!r}")
    return text


def _known(uri: EngineURI) -> models.KnownModel | None:
    """The known model that a URI names, if it is a `local` one."""
    if uri.scheme == "local":
        return models.known_model(uri.model or LOCAL_MODEL)
    if not uri.model or (uri.scheme == "hf" and uri.model.count("/") < 2):
        form = {"gguf": "gguf:PATH", "hf": "hf:OWNER/REPO/FILE.gguf"}[uri.scheme]
        raise UsageError(f"{uri} names no file; write {form}")
    return None
