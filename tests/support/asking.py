"""Questions to endpoints that tests share."""

import traceback

import msgspec
import pytest

from plaudit.engines.base import Completion, Request, Sampling, Schema
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import PlauditError
from plaudit.types import Message
from tests.support.server import FakeOpenAI

KEY = "sk-very-secret-0123456789"
ASK = Request(prompt=(Message("user", "hello"),), sampling=Sampling(max_tokens=8))
SCHEMA = Schema("verdict", msgspec.Raw(b'{"type": "object"}'))
TOP = [("yes", -0.1), ("no", -2.5), (" yes", -3.0)]
TOO_MANY_LOGPROBS = (
    "Requested sample logprobs of {asked}, which is greater than max allowed: {limit}"
)
"""What vLLM says."""


def request(prompt="hi", *, chat_mode=True, **options) -> Request:
    sampling = options.pop("sampling", Sampling())
    messages = (Message("system", "be good"), Message("user", prompt))
    return Request(prompt=messages if chat_mode else prompt, sampling=sampling, **options)


def engine_at(server: FakeOpenAI, scheme: str = "vllm", model: str = "m") -> OpenAIEngine:
    return OpenAIEngine(EngineURI.parse(f"{scheme}:{model}@{server.url}"))


async def ask(server: FakeOpenAI, request: Request = ASK) -> Completion:
    engine = engine_at(server)
    try:
        return await engine.complete(request)
    finally:
        await engine.close()


async def failure(reply, request: Request = ASK) -> PlauditError:
    with FakeOpenAI(reply) as server:
        with pytest.raises(PlauditError) as caught:
            await ask(server, request)
        assert KEY not in "".join(traceback.format_exception(caught.value))
        return caught.value
