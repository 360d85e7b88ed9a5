"""Real HTTP servers on 127.0.0.1 that speak the protocols of model providers.

    with FakeOpenAI(reply="yes") as server:
        engine = OpenAIEngine(EngineURI.parse(f"vllm:m@{server.url}"))

`reply` is what to answer: text, a JSON body (dict or list), a `Reply`, or a function of the
request's parsed body (plain or async) that returns one of these. `server.requests` holds what came
in, `server.peak` the most requests that were in flight at once.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Logprobs = Sequence[tuple[str, float | None]]


@dataclass(frozen=True)
class Reply:
    """An answer in full. `body` is JSON, or bytes sent as they are."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    """Drop the connection after so many bytes of the body; -1: before anything is sent."""


@dataclass(frozen=True)
class Received:
    """A request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answer = str | dict[str, Any] | list[Any] | Reply
Replier = Answer | Callable[[Any], Answer | Awaitable[Answer]]


class _FakeServer:
    """A server in a thread, on a free port. Enter it to start it."""

    posts: Sequence[str] = ()
    models_path = "/v1/models"

    def __init__(
        self,
        reply: Replier = "ok",
        *,
        models: Sequence[str] = ("fake-model",),
        models_reply: Answer | None = None,
        delay: float = 0.0,
        key: str | None = None,
    ) -> None:
        """Prepare.

        reply: what to answer to completions.
        models: what the list of models names.
        models_reply: answered instead of that list.
        delay: seconds before each completion.
        key: where given, requests without it are answered 401.
        """
        self.reply = reply
        self.models = models
        self.models_reply = models_reply
        self.delay = delay
        self.key = key
        self.requests: list[Received] = []
        self.in_flight = 0
        self.peak = 0
        self.port = 0

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL that goes into an engine URI."""
        return self.root

    @property
    def completions(self) -> list[Received]:
        """The requests that asked for a completion."""
        return [request for request in self.requests if request.method == "POST"]

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the requests that asked for a completion."""
        return [request.body for request in self.completions]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; on the same port as before if it was stopped."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(100), "the fake server did not start"

    def stop(self) -> None:
        """Stop, so that nothing listens any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(100)

    def _serve(self, started: threading.Event) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            app = web.Application(client_max_size=2**28)
            app.router.add_get(self.models_path, self._list_models)
            for path in self.posts:
                app.router.add_post(path, self._complete)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=1024)
            await site.start()
            self.port = runner.addresses[0][1]
            started.set()
            await self._stop.wait()
            await runner.cleanup()

        asyncio.run(serve())

    def authorized(self, request: web.Request) -> bool:
        raise NotImplementedError

    def error(self, status: int, message: str) -> Reply:
        return error(status, message)

    def wrap(self, path: str, text: str, body: Any) -> dict[str, Any]:
        raise NotImplementedError

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        self._record(request, None)
        if not self.authorized(request):
            return await self._send(request, self.error(401, "no such key"))
        answer = self.models_reply
        if answer is None:
            answer = {"object": "list", "data": [{"id": name} for name in self.models]}
        return await self._send(request, answer)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            body = json.loads(await request.read())
            self._record(request, body)
            if not self.authorized(request):
                return await self._send(request, self.error(401, "no such key"))
            if self.delay:
                await asyncio.sleep(self.delay)
            answer: Any = self.reply
            if callable(answer):
                answer = answer(body)
                if asyncio.iscoroutine(answer):
                    answer = await answer
            return await self._send(request, answer, body)
        finally:
            self.in_flight -= 1

    def _record(self, request: web.Request, body: Any) -> None:
        headers = dict(request.headers.items())
        self.requests.append(Received(request.method, request.path, headers, body))

    async def _send(
        self, request: web.Request, answer: Answer, body: Any = None
    ) -> web.StreamResponse:
        if isinstance(answer, str):
            answer = self.wrap(request.path, answer, body)
        reply = answer if isinstance(answer, Reply) else Reply(body=answer)
        if reply.delay:
            await asyncio.sleep(reply.delay)
        raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Type": "application/json", **reply.headers}
        if reply.cut is None:
            return web.Response(status=reply.status, body=raw, headers=headers)
        assert request.transport is not None
        if reply.cut < 0:
            request.transport.abort()
            return web.Response()
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(raw)
        await response.prepare(request)
        await response.write(raw[: reply.cut])
        await asyncio.sleep(0.01)
        request.transport.abort()
        return response


class FakeOpenAI(_FakeServer):
    """Speaks OpenAI's protocol, as vLLM, SGLang, llama.cpp and many others do."""

    posts = ("/v1/chat/completions", "/v1/completions")

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def authorized(self, request: web.Request) -> bool:
        return self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}"

    def wrap(self, path: str, text: str, body: Any) -> dict[str, Any]:
        return chat(text) if path.endswith("/chat/completions") else completion(text)


class FakeAny(FakeOpenAI):
    """Answers alike on every path, whatever the protocol."""

    posts = ("/{path:.*}",)


class FakeAnthropic(_FakeServer):
    """Speaks Anthropic's Messages API."""

    posts = ("/v1/messages",)

    def authorized(self, request: web.Request) -> bool:
        return self.key is None or request.headers.get("x-api-key") == self.key

    def error(self, status: int, message: str) -> Reply:
        return anthropic_error(status, message)

    def wrap(self, path: str, text: str, body: Any) -> dict[str, Any]:
        return message(text)


_USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def chat(
    text: str | None,
    logprobs: Logprobs | None = None,
    *,
    finish_reason: str | None = "stop",
    sampled: tuple[str, float] | None = None,
    **choice: Any,
) -> dict[str, Any]:
    """A chat completion, `logprobs` being the candidates of its first token.

    `sampled` is the token drawn, by default the first candidate.
    """
    found: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish_reason,
        "logprobs": None if logprobs is None else content_logprobs(logprobs, sampled),
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [found | choice],
        "usage": _USAGE,
    }


def completion(
    text: str | None,
    logprobs: Logprobs | None = None,
    *,
    finish_reason: str | None = "stop",
    sampled: tuple[str, float] | None = None,
    maps: bool = True,
    **choice: Any,
) -> dict[str, Any]:
    """A text completion; log-probabilities as maps (vLLM) or as a `content` list (llama.cpp)."""
    shape = map_logprobs if maps else content_logprobs
    found: dict[str, Any] = {
        "index": 0,
        "text": text,
        "finish_reason": finish_reason,
        "logprobs": None if logprobs is None else shape(logprobs, sampled),
    }
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [found | choice],
        "usage": _USAGE,
    }


def content_logprobs(top: Logprobs, sampled: tuple[str, float] | None = None) -> dict[str, Any]:
    """Log-probabilities of the first token as a list."""
    token, logprob = sampled or top[0]
    entries = [{"token": text, "logprob": value, "bytes": None} for text, value in top]
    return {"content": [{"token": token, "logprob": logprob, "top_logprobs": entries}]}


def map_logprobs(top: Logprobs, sampled: tuple[str, float] | None = None) -> dict[str, Any]:
    """Log-probabilities of the first token as maps keyed by text."""
    token, logprob = sampled or top[0]
    return {
        "tokens": [token],
        "token_logprobs": [logprob],
        "top_logprobs": [dict(top)],
        "text_offset": [0],
    }


def message(
    text: str | None = None,
    *,
    tool_input: Any = None,
    stop_reason: str | None = None,
    usage: Any = None,
) -> dict[str, Any]:
    """A message of Anthropic's API: text, or the input of a tool."""
    blocks: list[dict[str, Any]] = []
    if text is not None:
        blocks.append({"type": "text", "text": text})
    if tool_input is not None:
        blocks.append({"type": "tool_use", "id": "t1", "name": "verdict", "input": tool_input})
    reason = stop_reason or ("tool_use" if tool_input is not None else "end_turn")
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": blocks,
        "stop_reason": reason,
        "usage": usage or {"input_tokens": 12, "output_tokens": 3},
    }


def error(status: int, message: str, *, headers: Mapping[str, str] = {}, **fields: Any) -> Reply:
    """An error as OpenAI sends it; `fields` are param, code, type, ..."""
    return Reply(status, {"error": {"message": message, **fields}}, headers)


def anthropic_error(status: int, message: str, type: str = "invalid_request_error") -> Reply:
    """An error as Anthropic sends it."""
    return Reply(status, {"type": "error", "error": {"type": type, "message": message}})
