import asyncio
import gc
import multiprocessing
import os
import pickle
import socket
import threading
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.support.server import FakeOpenAI, Reply, chat, error

from plaudit.engines import http
from plaudit.engines.base import EngineURI, Request, Sampling
from plaudit.engines.http import ErrorReply, Refusal, Transport
from plaudit.engines.openai import OpenAIEngine
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError, ReplyError
from plaudit.types import Message

KEY = "sk-very-secret-0123456789"
ASK = Request(prompt=(Message("user", "hello"),), sampling=Sampling(max_tokens=8))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def engine_at(server: FakeOpenAI, scheme: str = "vllm", model: str = "m") -> OpenAIEngine:
    return OpenAIEngine(EngineURI.parse(f"{scheme}:{model}@{server.url}"))


async def ask(server: FakeOpenAI, request: Request = ASK):
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


@pytest.mark.parametrize(
    ("status", "cause", "retryable"),
    [
        (400, Cause.BAD_REQUEST, False),
        (406, Cause.BAD_REQUEST, False),
        (408, Cause.TIMEOUT, True),
        (409, Cause.SERVER_ERROR, True),
        (410, Cause.BAD_REQUEST, False),
        (413, Cause.BAD_REQUEST, False),
        (422, Cause.BAD_REQUEST, False),
        (425, Cause.SERVER_ERROR, True),
        (429, Cause.RATE_LIMITED, True),
        (500, Cause.SERVER_ERROR, True),
        (501, Cause.SERVER_ERROR, True),
        (502, Cause.SERVER_ERROR, True),
        (503, Cause.SERVER_ERROR, True),
        (504, Cause.SERVER_ERROR, True),
        (524, Cause.SERVER_ERROR, True),
        (529, Cause.SERVER_ERROR, True),
    ],
)
async def test_status_gives_cause(status, cause, retryable):
    caught = await failure(error(status, "something is off"))
    assert isinstance(caught, CallError)
    assert (caught.cause, caught.retryable) == (cause, retryable)
    assert "something is off" in str(caught)
    assert "vllm at http://127.0.0.1" in str(caught)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "VLLM_API_KEY"),
        (402, "no credit"),
        (403, "VLLM_API_KEY"),
        (404, "check the model's name"),
        (405, "check the model's name"),
        (307, "redirects are not followed"),
    ],
)
async def test_status_ends_the_run(status, advice):
    caught = await failure(error(status, "no"))
    assert isinstance(caught, EngineUnusableError)
    assert advice in str(caught)


@pytest.mark.parametrize("status", [400, 429])
async def test_no_credit_ends_the_run(status):
    caught = await failure(error(status, "You exceeded your quota", code="insufficient_quota"))
    assert isinstance(caught, EngineUnusableError)
    assert "credit" in str(caught)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
async def test_retry_after(headers, seconds):
    caught = await failure(error(429, "slow down", headers=headers))
    assert isinstance(caught, CallError)
    assert caught.retry_after == seconds


async def test_retry_after_date():
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    caught = await failure(error(503, "busy", headers={"Retry-After": then}))
    assert isinstance(caught, CallError)
    assert caught.retry_after is not None
    assert 25 < caught.retry_after <= 30
    past = await failure(error(429, "x", headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    assert isinstance(past, CallError)
    assert past.retry_after == 0


OVERFLOWS = {
    "vllm": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested "
            "5060 tokens (4036 in the messages, 1024 in the completion). Please reduce",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        (5060, 4096),
    ),
    "vllm, newer": (
        400,
        {
            "error": {
                "message": "'max_tokens' or 'max_completion_tokens' is too large: 3072. This "
                "model's maximum context length is 2048 tokens and your request has 100 input "
                "tokens (3072 > 2048 - 100).",
                "code": 400,
            }
        },
        (100, 2048),
    ),
    "vllm, prompt alone": (
        400,
        {
            "error": {
                "message": "The decoder prompt (length 5000) is longer than the maximum model "
                "length of 4096."
            }
        },
        (5000, 4096),
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        (14429, 8192),
    ),
    "llama.cpp, as 500": (
        500,
        {
            "error": {
                "code": 500,
                "message": "the request exceeds the available context size.",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 1407,
                "n_ctx": 256,
            }
        },
        (1407, 256),
    ),
    "llama.cpp, in the text": (
        400,
        {
            "error": {
                "message": "request (14429 tokens) exceeds the available context size (8192 "
                "tokens), try increasing it"
            }
        },
        (14429, 8192),
    ),
    "openai": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 8192 tokens. However, your "
                "messages resulted in 9001 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        (9001, 8192),
    ),
    "openai, newer": (
        400,
        {
            "error": {
                "message": "Input tokens exceed the configured limit of 272000 tokens. Your "
                "messages resulted in 300000 tokens.",
                "code": "context_length_exceeded",
            }
        },
        (300000, 272000),
    ),
    "anthropic": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 208310 tokens > 200000 maximum",
            },
        },
        (208310, 200000),
    ),
    "anthropic, with max_tokens": (
        400,
        {
            "error": {
                "message": "input length and `max_tokens` exceed context limit: 188240 + 21333 > "
                "200000, decrease input length"
            }
        },
        (209573, 200000),
    ),
    "sglang": (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 "
            "tokens).",
            "type": "BadRequestError",
            "code": 400,
        },
        (61709, 40960),
    ),
    "sglang, sum": (
        400,
        {
            "message": "Requested token count exceeds the model's maximum context length of 4096 "
            "tokens. You requested a total of 4320 tokens: 1320 tokens from the input messages"
        },
        (4320, 4096),
    ),
    "sglang, memory": (
        400,
        {
            "message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 "
            "tokens)."
        },
        (160062, 59862),
    ),
    "mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with "
            "32768 maximum context length",
            "code": "3051",
        },
        (40000, 32768),
    ),
}


@pytest.mark.parametrize("name", OVERFLOWS)
async def test_context_overflow(name):
    status, body, (needed, limit) = OVERFLOWS[name]
    caught = await failure(Reply(status, body))
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.CONTEXT_OVERFLOW
    assert not caught.retryable
    assert str(needed) in str(caught)
    assert str(limit) in str(caught)
    assert "nothing was cut" in str(caught)


async def test_context_overflow_without_numbers():
    caught = await failure(error(400, "Too long", code="context_length_exceeded"))
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.CONTEXT_OVERFLOW
    assert "Too long" in str(caught)


async def test_error_with_status_200():
    caught = await failure({"error": {"message": "boom", "code": 503}})
    assert isinstance(caught, CallError)
    assert (caught.cause, caught.retryable) == (Cause.SERVER_ERROR, True)
    body = OVERFLOWS["llama.cpp"][1]
    caught = await failure(body)
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.CONTEXT_OVERFLOW


async def test_content_filter_refuses():
    caught = await failure(error(400, "filtered", code="content_filter"))
    assert isinstance(caught, ReplyError)
    assert caught.cause is Cause.REFUSED


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>502 Bad Gateway</body></html>",
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"42",
        b"{}",
        b"\xff\xfe\x00",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": "x"}',
        b'{"choices": [7]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": "x"}]}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": "x"}}], "usage": [1]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b"[" * 100_000,
        b"x" * (9 * 1024 * 1024),
    ],
    ids=range(20),
)
async def test_bad_response(body):
    caught = await failure(Reply(200, body))
    assert isinstance(caught, CallError)
    assert (caught.cause, caught.retryable) == (Cause.BAD_RESPONSE, True)
    assert len(str(caught)) < 500


@pytest.mark.parametrize("status", [400, 500, 502])
@pytest.mark.parametrize(
    "body", [b"<html>x</html>", b"", b"\x00\xff", b"[1, {}]", b'{"error": []}', b'{"detail": [3]}']
)
async def test_odd_error_bodies(status, body):
    assert isinstance(await failure(Reply(status, body)), CallError)


async def test_huge_body_is_not_read():
    caught = await failure(Reply(200, b'{"choices": "' + b"x" * (50 * 1024 * 1024)))
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.BAD_RESPONSE
    assert "8 MB" in str(caught)


async def test_error_text_is_quoted_short():
    caught = await failure(error(500, "spam \x1b[31m\n" * 1000))
    assert len(str(caught)) < 300
    assert str(caught).isprintable()


async def test_truncated_body():
    caught = await failure(Reply(200, chat("yes"), cut=10))
    assert isinstance(caught, CallError)
    assert caught.cause in (Cause.BAD_RESPONSE, Cause.CONNECTION)
    assert caught.retryable


def raw_server(*answers: bytes, reset: bool = False) -> tuple[str, threading.Thread]:
    """A socket that answers each connection once with bytes and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)
                    if reset:
                        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}", thread


@pytest.mark.parametrize(
    ("answer", "reset", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", False, Cause.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False, Cause.BAD_RESPONSE),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False, Cause.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000 + b"\r\n\r\n", False, Cause.BAD_RESPONSE),
        (b"", False, Cause.CONNECTION),
        (b"", True, Cause.CONNECTION),
    ],
    ids=["truncated", "chunks", "no-http", "header", "closed", "reset"],
)
async def test_broken_http(answer, reset, cause):
    url, thread = raw_server(answer, reset=reset)
    engine = OpenAIEngine(EngineURI("vllm", "m", (url,)))
    with pytest.raises(CallError) as caught:
        await engine.complete(ASK)
    await engine.close()
    thread.join(5)
    assert (caught.value.cause, caught.value.retryable) == (cause, True)


def free_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.mark.parametrize("url", [free_url(), "http://no-such-host.invalid/v1"])
async def test_unreachable(url):
    engine = OpenAIEngine(EngineURI("vllm", "m", (url,)))
    with pytest.raises(CallError) as caught:
        await engine.complete(ASK)
    assert (caught.value.cause, caught.value.retryable) == (Cause.CONNECTION, True)
    with pytest.raises(EngineUnusableError, match="is the server running"):
        await engine.open()
    await engine.close()


async def test_redirect_keeps_the_key(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with FakeOpenAI() as other:
        moved = Reply(307, "", {"Location": f"{other.url}/chat/completions"})
        caught = await failure(moved)
        assert isinstance(caught, EngineUnusableError)
        assert other.url in str(caught)
        assert not other.requests


async def test_key_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", f"  {KEY}\n")
    with FakeOpenAI("yes", key=KEY) as server:
        engine = engine_at(server)
        assert (await engine.complete(ASK)).text == "yes"
        await engine.close()
    shown = [repr(engine), str(engine), engine.uri, repr(engine._transport)]
    assert not any(KEY in text for text in shown)
    assert KEY.encode() not in pickle.dumps(engine)
    with pytest.raises(TypeError):
        pickle.dumps(engine._transport)


@pytest.mark.parametrize(
    "reply",
    [
        error(401, f"Incorrect API key provided: {KEY}."),
        error(400, f"bad {KEY}"),
        error(500, f"{'x' * 190} {KEY}"),
        error(404, KEY),
        Reply(200, KEY.encode()),
        Reply(302, b"", {"Location": f"https://evil.example/?key={KEY}"}),
        chat(KEY, message={"refusal": f"I refuse {KEY}"}),
        Reply(200, {"error": KEY}),
        Reply(400, {"detail": [{"loc": ["body", KEY], "msg": KEY, "type": KEY}]}),
    ],
    ids=range(9),
)
async def test_echoed_key_is_redacted(reply, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    caught = await failure(reply)
    assert KEY[:12] not in str(caught) + repr(caught)


async def test_unsendable_key(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sk-\nbroken")
    with pytest.raises(PlauditError, match="VLLM_API_KEY") as caught:
        OpenAIEngine(EngineURI("vllm", "m"))
    assert "broken" not in str(caught.value)


async def test_unsendable_text():
    with FakeOpenAI() as server:
        with pytest.raises(CallError) as caught:
            await ask(server, Request(prompt="\ud800", sampling=Sampling()))
        assert caught.value.cause is Cause.BAD_REQUEST


async def test_large_request():
    with FakeOpenAI(lambda body: str(len(body["prompt"]))) as server:
        reply = await ask(server, Request(prompt="x" * 3_000_000, sampling=Sampling()))
    assert reply.text == "3000000"


def test_two_event_loops():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)

        async def once() -> str:
            return (await engine.complete(ASK)).text

        assert asyncio.run(once()) == "yes"
        assert asyncio.run(once()) == "yes"

        texts: list[str] = []
        threads = [
            threading.Thread(target=lambda: texts.append(asyncio.run(once()))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["yes"] * 4


async def test_opens_again_after_close():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)
        for _ in range(2):
            await engine.open()
            await engine.complete(ASK)
            await engine.close()


def _ask_in_child(engine: OpenAIEngine, answers) -> None:
    answers.put(asyncio.run(engine.complete(ASK)).text)


def test_pickled():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)
        copy = pickle.loads(pickle.dumps(engine))
        assert copy.uri == engine.uri
        assert asyncio.run(copy.complete(ASK)).text == "yes"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
async def test_fork_leaves_the_parents_connections_alone():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)
        await engine.complete(ASK)
        in_flight = asyncio.create_task(
            engine.complete(Request(prompt="slow", sampling=Sampling()))
        )
        await asyncio.sleep(0.01)
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=_ask_in_child_thread, args=(engine, answers))
        child.start()
        assert await asyncio.to_thread(answers.get, True, 10) == "yes"
        await asyncio.to_thread(child.join, 10)
        assert child.exitcode == 0
        assert (await in_flight).text == "yes"
        for _ in range(3):
            assert (await asyncio.wait_for(engine.complete(ASK), 5)).text == "yes"
        await engine.close()


def _ask_in_child_thread(engine: OpenAIEngine, answers) -> None:
    thread = threading.Thread(target=_ask_in_child, args=(engine, answers))
    thread.start()
    thread.join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
async def test_child_that_collects_what_it_inherited_breaks_nothing():
    with FakeOpenAI("yes") as server:
        engine = engine_at(server)
        await asyncio.gather(*(engine.complete(ASK) for _ in range(5)))
        pid = os.fork()
        if pid == 0:
            try:
                http._inherited.clear()
                del engine
                gc.collect()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        replies = await asyncio.wait_for(
            asyncio.gather(*(engine.complete(ASK) for _ in range(5))), 5
        )
        assert [reply.text for reply in replies] == ["yes"] * 5
        await engine.close()


async def test_many_requests_share_connections():
    with FakeOpenAI("yes", delay=1.0) as server:
        engine = engine_at(server)
        await asyncio.gather(*(engine.complete(ASK) for _ in range(300)))
        assert server.peak > 100
        assert len(engine._transport._connections) == 1
        await engine.close()
        assert not engine._transport._connections


async def test_proxy_from_the_environment(monkeypatch):
    with FakeOpenAI("via proxy") as server:
        monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{server.port}")
        engine = OpenAIEngine(EngineURI.parse("vllm:m@http://10.255.255.1:1/v1"))
        assert (await engine.complete(ASK)).text == "via proxy"
        assert server.completions[0].headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
        await engine.close()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert (await ask(server)).text == "via proxy"


async def test_unknown_error_shapes_are_read():
    transport = Transport("vllm", "http://h", "VLLM_API_KEY", lambda key: {})
    body = b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "no"}]}'
    reply = transport.read_error(422, body)
    assert (reply.param, reply.code, reply.message) == ("seed", "extra_forbidden", "seed: no")
    nested = transport.read_error(422, b'{"message": {"detail": [{"loc": ["body", "x", 1]}]}}')
    assert nested.param == "x"
    refusal = transport.translate(ErrorReply(status=403, message="may not request logprobs"))
    assert isinstance(refusal, Refusal)
