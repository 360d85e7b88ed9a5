import asyncio
import gc
import multiprocessing
import os
import pickle
import re
import socket
import threading

import pytest

from plaudit.engines.base import Request, Sampling
from plaudit.engines.http.transport import Transport
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, EngineUnusableError, PlauditError
from tests.support.asking import ASK, KEY, ask, engine_at, failure
from tests.support.server import FakeOpenAI, Reply, chat, error
from tests.support.waiting import await_until


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
        b"[" * 100_000,
        b"x" * (9 * 1024 * 1024),
    ],
    ids=range(18),
)
async def test_bad_response(body):
    caught = await failure(Reply(200, body))
    assert isinstance(caught, CallError)
    assert (caught.cause, caught.retryable) == (Cause.BAD_RESPONSE, True)
    assert len(str(caught)) < 500


async def test_huge_body_is_not_read():
    caught = await failure(Reply(200, b'{"choices": "' + b"x" * (50 * 1024 * 1024)))
    assert isinstance(caught, CallError)
    assert caught.cause is Cause.BAD_RESPONSE
    assert "8 MB" in str(caught)


async def test_truncated_body():
    caught = await failure(Reply(200, chat("yes"), cut=10))
    assert isinstance(caught, CallError)
    assert caught.cause in (Cause.BAD_RESPONSE, Cause.CONNECTION)
    assert caught.retryable


def raw_server(
    *answers: bytes, reset: bool = False, heard: list[bytes] | None = None
) -> tuple[str, threading.Thread]:
    """A socket that answers each connection once with bytes and closes it.

    What it hears is appended to `heard`.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    said = peer.recv(65536)
                    if heard is not None:
                        heard.append(said)
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


@pytest.mark.parametrize("url", [None, "http://no-such-host.invalid/v1"])
async def test_unreachable(url):
    engine = OpenAIEngine(EngineURI("vllm", "m", (url or free_url(),)))
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
    transport = Transport("vllm", "http://127.0.0.1:1/v1", "VLLM_API_KEY")
    shown = [repr(engine), str(engine), engine.uri, repr(transport)]
    assert not any(KEY in text for text in shown)
    assert KEY.encode() not in pickle.dumps(engine)
    with pytest.raises(TypeError):
        pickle.dumps(transport)


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


def _ask_in_child(engine: OpenAIEngine, answers) -> None:
    answers.put(asyncio.run(engine.complete(ASK)).text)


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
        assert await asyncio.to_thread(answers.get, True, 60) == "yes"
        await asyncio.to_thread(child.join, 60)
        assert child.exitcode == 0
        assert (await in_flight).text == "yes"
        for _ in range(3):
            assert (await asyncio.wait_for(engine.complete(ASK), 60)).text == "yes"
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
                del engine
                gc.collect()
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        replies = await asyncio.wait_for(
            asyncio.gather(*(engine.complete(ASK) for _ in range(5))), 60
        )
        assert [reply.text for reply in replies] == ["yes"] * 5
        await engine.close()


async def test_many_requests_share_connections():
    async def reply(body):
        await await_until(lambda: server.peak > 100, "101 requests at once")
        return "yes"

    with FakeOpenAI(reply) as server:
        transport = Transport("vllm", server.url, "VLLM_API_KEY")
        url, body = transport.url("/chat/completions"), b'{"model": "m", "messages": []}'
        await asyncio.gather(*(transport.post(url, body, bytes) for _ in range(300)))
        assert len(transport.connections) == 1
        await transport.close()
        assert not transport.connections


async def test_proxy_from_the_environment(monkeypatch):
    with FakeOpenAI("via proxy") as server:
        monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{server.port}")
        engine = OpenAIEngine(EngineURI.parse("vllm:m@http://10.255.255.1:1/v1"))
        assert (await engine.complete(ASK)).text == "via proxy"
        assert server.completions[0].headers["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"
        await engine.close()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert (await ask(server)).text == "via proxy"


@pytest.mark.parametrize(
    "proxy", ["http://me:hunter2@[::1", "http://me:hunter2@h:port", "htp://me:hunter2@h", "h:80"]
)
async def test_defect_46_a_proxy_that_is_no_url_is_named_without_its_password(proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    engine = OpenAIEngine(EngineURI.parse("vllm:m@http://192.0.2.1/v1"))
    with pytest.raises(EngineUnusableError, match="HTTP_PROXY is no URL of a proxy") as caught:
        await engine.open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("login", "header"), [("", None), ("user:pass@", "Basic dXNlcjpwYXNz")], ids=["open", "login"]
)
async def test_proxy_of_an_encrypted_endpoint_never_sees_the_key(login, header, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    heard: list[bytes] = []
    url, thread = raw_server(b"", heard=heard)
    monkeypatch.setenv("https_proxy", url.replace("://", f"://{login}"))
    engine = OpenAIEngine(EngineURI.parse("vllm:m@https://10.255.255.1/v1"))
    with pytest.raises(CallError):
        await engine.complete(ASK)
    await engine.close()
    thread.join(5)
    assert heard[0].startswith(b"CONNECT 10.255.255.1:443 ")
    assert KEY.encode() not in heard[0]
    sent = re.findall(rb"Proxy-Authorization: (.*)\r\n", heard[0])
    assert sent == ([header.encode()] if header else [])
