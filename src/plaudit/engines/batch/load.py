"""From an engine to the client of its batch API."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from plaudit.engines.base import Engine
from plaudit.engines.batch.base import BatchClient
from plaudit.engines.http.engine import HTTPEngine

_CLIENTS = {
    "openai": "OpenAIBatches",
    "together": "TogetherBatches",
    "anthropic": "AnthropicBatches",
    "gemini": "GeminiBatches",
    "mistral": "MistralBatches",
}
_PLACES = {"together": "openai"}
BATCH_SCHEMES = tuple(_CLIENTS)
"""Schemes of engines whose providers have a batch API that plaudit speaks."""


def batch_client(engine: Engine) -> BatchClient | None:
    """Return the client of an engine's batch API; None: it has none."""
    if not isinstance(engine, HTTPEngine):
        return None
    endpoint = cast("HTTPEngine[Any, Any]", engine)
    scheme = endpoint.transport.scheme
    if scheme not in _CLIENTS:
        return None
    module = import_module(f"plaudit.engines.batch.{_PLACES.get(scheme, scheme)}")
    make = cast("Callable[[Any], BatchClient]", getattr(module, _CLIENTS[scheme]))
    return make(endpoint)
