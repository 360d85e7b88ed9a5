"""llama.cpp in this process: the library, and a model that it has loaded.

A loaded model belongs to one process. It is freed when the process ends, and left alone by forked
children. `reuse_is_exact` tries out whether a cached prefix changes log-probabilities.
"""

import asyncio
import atexit
import contextlib
import ctypes
import hashlib
import os
import platform
import secrets
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import msgspec
import psutil

from plaudit._util.forks import finished_before_a_fork
from plaudit._util.workers import Workers
from plaudit.engines.llama.gguf import GGUF
from plaudit.engines.llama.replies import Call, Token, closed
from plaudit.engines.llama.server import LocalHTTP
from plaudit.errors import CallError, Cause, EngineUnusableError

T = TypeVar("T")

_BATCH = 256  # Tokens computed in one go, and so how long a cancelled request goes on.
_GRACE = 2.0  # Seconds that a process at its end waits for requests in flight.


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is run."""

    context: int
    """Tokens of prompt and reply together, for each slot."""
    slots: int = 1
    """Requests computed together; more than 1 is not deterministic."""
    threads: int = 1
    gpu_layers: int = 0
    """Layers computed on a GPU, where the installed xllamacpp can."""


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
        EngineUnusableError: the file cannot be loaded, or the port is taken.
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


def machine() -> str:
    """Return what the kernels depend on: library, system and processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        reported = [line for line in lines if line.startswith(("model name", "CPU part", "flags"))]
        processor = " ".join(reported[:2])
    except OSError:
        processor = platform.processor()
    about = f"{platform.system()} {platform.machine()} {processor}"
    return f"{_library().__version__} {hashlib.sha256(about.encode()).hexdigest()[:16]}"


# ---------------------------------------------------------------- a loaded model


class Cancellable(Protocol):
    """A request that another thread may cancel."""

    def cancel(self) -> None:
        """End the request soon."""
        ...


async def cancelling(future: Future[T], call: Cancellable) -> T:
    """Wait for what a thread does; cancel the call where the waiting is cancelled."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        call.cancel()
        raise


class LoadedModel:
    """A loaded model with its threads and the calls in flight; belongs to one process.

    Attributes:
        server: the native server; None once it is closed.
        settings: how the model is run.
        reuse: whether a cached prefix may be used.
        workers: threads that compute requests, one a slot.
        calls: requests in flight.
        idle: signalled when a request ends.
        pid: the process that loaded it.
    """

    def __init__(self, server: NativeServer, settings: Settings, key: str) -> None:
        self.server: NativeServer | None = server
        self._address = server.listening_address
        self._key = key
        self.settings = settings
        self.reuse = False
        self.workers = Workers(settings.slots, "plaudit-llama")
        self.calls: set[Cancellable] = set()
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

    def _begin(self, call: Cancellable) -> NativeServer:
        with self.idle:
            if self.server is None:
                raise closed()
            self.calls.add(call)
            return self.server

    def _end(self, call: Cancellable) -> None:
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


class ModelSlot:
    """Place of one loaded model, which is loaded on demand; in a forked child it is empty."""

    def __init__(self) -> None:
        self._loaded: LoadedModel | None = None
        self._lock = threading.Lock()
        _slots.add(self)

    @property
    def model(self) -> LoadedModel | None:
        """The loaded model; None where there is none, or it is closed or another process's."""
        loaded = self._loaded
        if loaded is not None and loaded.pid == os.getpid() and loaded.server is not None:
            return loaded
        return None

    def fill(self, load: Callable[[], LoadedModel]) -> None:
        """Load the model unless it is loaded already."""
        with self._lock:
            if self.model is None:
                self._loaded = load()

    def empty(self) -> LoadedModel | None:
        """Take the model out, for the caller to close."""
        loaded, self._loaded = self.model, None
        return loaded

    def forget(self) -> None:
        """In a forked child: have no model, and a lock that no lost thread holds."""
        self._loaded = None
        self._lock = threading.Lock()


_live: "weakref.WeakSet[LoadedModel]" = weakref.WeakSet()
_slots: "weakref.WeakSet[ModelSlot]" = weakref.WeakSet()
_hooked = False
_inherited = False  # Whether this process was forked from one that had loaded a model.
_hook_lock = threading.Lock()


def hook_exits() -> None:
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
    for slot in tuple(_slots):
        slot.forget()


def _skip_native_exit() -> None:
    """End this forked child without llama.cpp's static destructors, which wait for lost threads.

    What Python does at its exit is done before; as with `os._exit` in a `multiprocessing` child,
    native exit handlers that were registered before the fork are not run.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # glibc; elsewhere the destructors do not wait.
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)


# ---------------------------------------------------------------- prefix reuse, tried out

# Sizes of the pieces in which the prompt is given; kernels differ most between small ones.
_PIECES = (*range(1, 13), 17, 32)
_COMPARED = (8, len(_PIECES))


def reuse_is_exact(loaded: LoadedModel, metadata: GGUF) -> bool:
    """Return whether a prompt in pieces gives the very log-probabilities that it gives at once.

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


def _probe(loaded: LoadedModel, ids: list[int], reuse: bool) -> list[Token]:
    asked = {"prompt": ids, "max_tokens": 1, "temperature": 0, "logprobs": 100}
    body = msgspec.json.encode(asked | {"cache_prompt": reuse, "stream": True})
    return loaded.ask(Call(), body).tokens
