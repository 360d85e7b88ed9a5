"""From an engine URI to an engine. Modules of engines are imported when they are named."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import cast

from plaudit.engines.base import Engine
from plaudit.engines.llama.models import Progress
from plaudit.engines.replicas import Replicas
from plaudit.engines.uri import EngineURI
from plaudit.errors import UsageError

_LLAMA = ("plaudit.engines.llama.engine", "LlamaEngine")
_OPENAI = ("plaudit.engines.openai.engine", "OpenAIEngine")
_REWARD = ("plaudit.engines.reward", "RewardEngine")
_ANTHROPIC = ("plaudit.engines.anthropic", "AnthropicEngine")

SCHEMES: Mapping[str, tuple[str, str]] = {
    "local": _LLAMA,
    "gguf": _LLAMA,
    "hf": _LLAMA,
    "openai": _OPENAI,
    "vllm": _OPENAI,
    "sglang": _OPENAI,
    "vllm-rm": _REWARD,
    "sglang-rm": _REWARD,
    "together": _OPENAI,
    "mistral": _OPENAI,
    "gemini": _OPENAI,
    "grok": _OPENAI,
    "fireworks": _OPENAI,
    "anthropic": _ANTHROPIC,
    "claude": _ANTHROPIC,
    "scripted": ("plaudit.engines.scripted", "ScriptedEngine"),
    "none": ("plaudit.engines.scripted", "NoEngine"),
}
"""Where the engine of each scheme is defined."""


def load_engine(uri: str | Engine, progress: Progress | None = None) -> Engine:
    """Return the engine of a URI; an engine is returned as it is.

    Nothing is contacted and no weights are loaded.

    Args:
        uri: an engine URI, or an engine.
        progress: called with the progress of a download of weights.

    Raises:
        UsageError: the URI is malformed, or there is no such scheme or option.
    """
    if not isinstance(uri, str):
        return uri
    parsed = EngineURI.parse(uri)
    place = SCHEMES.get(parsed.scheme)
    if place is None:
        raise UsageError(f"there is no engine {parsed.scheme!r}; there are {', '.join(SCHEMES)}")
    make = cast("Callable[..., Engine]", getattr(import_module(place[0]), place[1]))
    if place is _LLAMA:
        return make(parsed, progress)
    return Replicas.of(parsed, make) if len(parsed.base_urls) > 1 else make(parsed)


def launch_engine(
    uri: str,
    count: int,
    gpus_per_worker: int | None = None,
    *,
    arguments: Sequence[str] = (),
    timeout: float | None = None,
    report: Callable[[str], None] | None = None,
) -> Engine:
    """Return an engine that starts `count` servers of a model when it is first needed.

    Args:
        uri: `vllm:MODEL` or `sglang:MODEL`, without a URL.
        count: number of servers.
        gpus_per_worker: GPUs of each; None: one, where there are any.
        arguments: further arguments of each server; each is split as a shell does.
        timeout: seconds until all must be ready; None: 600.
        report: called now and then with how far they are.

    Raises:
        UsageError: the URI is malformed, or such servers cannot be started.
    """
    launch = import_module("plaudit.engines.launch.engine")
    return launch.LaunchedEngine(
        EngineURI.parse(uri),
        count,
        gpus_per_worker,
        arguments=arguments,
        timeout=launch.START_SECONDS if timeout is None else timeout,
        report=report,
    )
