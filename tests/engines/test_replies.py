"""Whatever a body holds, it ends its own request, with a typed error that holds nothing of it."""

import asyncio
import gc
import logging
import math
import socket
import threading
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from plaudit.engines.base import Request, Sampling, TokenLogprob
from plaudit.engines.openai.engine import OpenAIEngine
from plaudit.engines.replies import (
    check_logprobs,
    decode_json,
    made_calls,
    mend_text,
    read_body,
    read_count,
)
from plaudit.engines.uri import EngineURI
from plaudit.errors import CallError, Cause, PlauditError, ReplyError
from plaudit.types import Message
from tests.support.asking import ASK, KEY, ask, engine_at, request
from tests.support.server import FakeOpenAI, Reply, chat, completion

MB = 2**20


def counted(content: bytes, **options):
    return chat("yes", **options) | {"usage": msgspec.json.decode(content)}


# Counts


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (9, 9),
        (9.0, 9),
        ("9", 9),
        (0, 0),
        (-1, None),
        (-1.0, None),
        (9.5, None),
        (True, None),
        (None, None),
        ("many", None),
        ("9" * 5000, None),
        ("²", None),
        ([9], None),
        (2**62, None),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_a_count_is_read_as_servers_write_it_or_unknown(given, count) -> None:
    assert read_count(given) == count


@pytest.mark.parametrize("given", [10**30, -(10**30), 1e300])
def test_defect_45_a_count_of_more_than_64_bits_is_no_count(given) -> None:
    with pytest.raises(ValueError, match="bits"):
        read_count(given)


@pytest.mark.parametrize(
    "usage",
    [
        b'{"prompt_tokens": 12.0, "completion_tokens": "3"}',
        b'{"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": "none"}',
    ],
)
async def test_defect_10_counts_of_another_type_lose_no_reply(usage: bytes) -> None:
    with FakeOpenAI(counted(usage)) as server:
        reply = await ask(server)
    assert (reply.text, reply.usage.input_tokens, reply.usage.output_tokens) == ("yes", 12, 3)


@pytest.mark.parametrize(
    "usage",
    [
        b'"unknown"',
        b"[1]",
        b"9",
        b'{"prompt_tokens": -1, "completion_tokens": -1}',
        b'{"prompt_tokens": 1000000000000000000, "completion_tokens": 1e18}',
        b'{"prompt_tokens": "many"}',
    ],
)
async def test_defect_45_counts_that_cannot_be_are_unknown(usage: bytes) -> None:
    with FakeOpenAI(counted(usage)) as server:
        reply = await ask(server)
    assert (reply.text, reply.usage.input_tokens, reply.usage.output_tokens) == ("yes", 0, 0)
    msgspec.msgpack.encode(reply)


# Texts


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": None}, {"type": "x"}], "a"),
        (["a", {"text": "b"}], "ab"),
    ],
)
async def test_defect_10_parts_without_text_are_empty(content, text: str) -> None:
    with FakeOpenAI(chat(None, message={"content": content})) as server:
        assert (await ask(server)).text == text


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\ude00 \ud83d\ude00 \ud83d", "\ufffd \U0001f600 \ufffd"),
        (rb"\\ud83d \\\ud83d", "\\ud83d \\\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    ],
)
async def test_defect_10_half_an_emoji_is_replaced(escaped: bytes, text: str) -> None:
    body = b'{"choices": [{"message": {"content": "' + escaped + b'"}}]}'
    with FakeOpenAI(Reply(200, body)) as server:
        assert (await ask(server)).text == text


def test_a_text_is_mended_only_where_it_must_be() -> None:
    assert [mend_text(t) for t in ("é😀", "a\ud83d", "\ud83d\ude00")] == ["é😀", "a\ufffd", "😀"]


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_what_windows_writes_before_json_is_passed_over(codec: str) -> None:
    decoder = msgspec.json.Decoder(list[str | float])
    assert decode_json('["é", 1.0]'.encode(codec), decoder) == ["é", 1.0]
    assert decode_json('["\\ud800", NaN]'.encode(codec), decoder)[0] == "\ufffd"


# What is no reply


@pytest.mark.parametrize(
    "body",
    [
        '{"choices": [{"message": {"content": "café"}}]}'.encode("latin-1"),
        b'{"choices": [{"message": {"content": "\xed\xa0\xbd"}}]}',
        b'{"choices": [{"message": {"content": "\xff"}}], "usage": NaN}',
    ],
    ids=["latin-1", "surrogate", "bytes"],
)
async def test_defect_01_a_body_that_is_not_utf_8_is_a_bad_response(body: bytes) -> None:
    with FakeOpenAI(Reply(200, body)) as server:
        with pytest.raises(CallError) as caught:
            await ask(server)
        assert (caught.value.cause, caught.value.retryable) == (Cause.BAD_RESPONSE, True)
        assert server.url in str(caught.value)
        assert "not UTF-8" in str(caught.value)


async def test_defect_01_a_list_of_models_that_is_not_utf_8_is_none() -> None:
    with FakeOpenAI(models_reply=Reply(200, b'{"data": [{"id": "caf\xe9"}]}')) as server:
        engine = engine_at(server, model="")
        with pytest.raises(PlauditError, match="is no list of models"):
            await engine.open()
        await engine.close()


def test_a_surprise_in_a_reader_is_a_bad_response_that_says_where(caplog) -> None:
    def reader(content: bytes) -> int:
        return {}[KEY]

    with caplog.at_level(logging.DEBUG), pytest.raises(CallError, match="KeyError") as caught:
        read_body(b"body", reader, "the server", lambda text: text.replace(KEY, "[key]"))
    assert caught.value.cause is Cause.BAD_RESPONSE
    assert "in reader" in caplog.text
    assert KEY not in caplog.text + str(caught.value)


# Log-probabilities


@pytest.mark.parametrize(
    "logprobs",
    [
        [("right", 0.9), ("wrong", 0.08)],
        [("right", 0.002), ("wrong", -7.0)],
        [("right", 710.0), ("wrong", -1.0)],
        [("wrong", -0.1), ("right", 1e308)],
        [("right", -0.1), ("wrong", -0.2)],
        [("right", 0.0), ("wrong", 0.0)],
        [("right", math.nan), ("wrong", -3.0)],
        [("right", math.inf), ("wrong", -3.0)],
    ],
)
@pytest.mark.parametrize("shape", [chat, completion])
async def test_defect_09_probabilities_are_no_log_probabilities(shape, logprobs) -> None:
    with FakeOpenAI(shape("right", logprobs)) as server:
        engine = engine_at(server)
        with pytest.raises(ReplyError, match="sends probabilities") as caught:
            await engine.complete(request(chat_mode=shape is chat, logprobs=20))
        await engine.close()
    assert caught.value.cause is Cause.BAD_RESPONSE
    assert any("sends probabilities" in note for note in engine.info.notes)


@pytest.mark.parametrize(
    "logprobs",
    [
        [("a", 0.0005), ("b", -9.0)],
        [("a", 0.0), ("b", -math.inf)],
        [("a", -0.69), ("b", -0.69)],
        [("a", -1e308)],
        [],
    ],
)
def test_rounding_is_allowed_for(logprobs) -> None:
    check_logprobs([TokenLogprob(*entry) for entry in logprobs])


async def test_defect_09_a_token_that_is_listed_twice_counts_once() -> None:
    top = [("right", -0.5), ("wrong", -1.2)]
    with FakeOpenAI(chat("right", top * 3)) as server:
        reply = await ask(server, request(logprobs=20))
    assert reply.logprobs == tuple(TokenLogprob(*entry) for entry in top)


async def test_a_candidate_without_a_number_may_have_all_that_is_left() -> None:
    with FakeOpenAI(chat("wrong", [("right", None), ("wrong", -3.0)], sampled=("wrong", -3.0))) as (
        server
    ):
        reply = await ask(server, request(logprobs=20))
    assert reply.logprobs == (TokenLogprob("wrong", -3.0),)
    assert reply.logprob_floor == pytest.approx(math.log(1 - math.exp(-3.0)))


# Memory


@contextmanager
def pouring(
    head: bytes, piece: bytes, count: int, *, stay: bool = False
) -> Iterator[tuple[str, threading.Event]]:
    """A server that answers each connection with a head and so many pieces.

    Gives its URL, and what is set once all was sent. With `stay` it then sends nothing more.
    """
    poured = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                try:
                    peer.recv(65536)
                    peer.sendall(head)
                    for _ in range(count):
                        peer.sendall(piece)
                    poured.set()
                    while stay and peer.recv(65536):
                        pass
                except OSError:  # It did not want to hear more.
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", poured
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


PIECE = b"x" * (MB // 4)
TYPED = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
BODIES = {
    "too large": (200, b"", 36),
    "no JSON": (200, b"", 24),
    "cut short": (200, b"{", 24),
    "error": (500, b'{"error": {"message": "', 24),
    "refused": (400, b'{"error": {"message": "logprobs ', 24),
}
"""Status, how a body begins, and pieces of a quarter of a megabyte."""


@pytest.mark.parametrize("name", BODIES)
async def test_defect_49_errors_hold_no_bodies(name: str) -> None:
    status, begins, count = BODIES[name]
    length = len(begins) + count * len(PIECE) + (name == "cut short")
    errors: list[PlauditError] = []
    with pouring(TYPED % (status, length, begins), PIECE, count) as (url, _):
        engine = OpenAIEngine(EngineURI("vllm", "m", (url,)))
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(8):
                with pytest.raises(PlauditError) as caught:
                    await engine.complete(ASK)
                errors.append(caught.value)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        await engine.close()
    assert len(errors) == 8
    assert held < 2 * MB


async def test_defect_49_a_request_that_is_given_up_holds_nothing() -> None:
    with pouring(TYPED % (200, 2**30, b""), PIECE, 24, stay=True) as (url, poured):
        engine = OpenAIEngine(EngineURI("vllm", "m", (url,)))
        asking = asyncio.create_task(engine.complete(ASK))
        await asyncio.to_thread(poured.wait, 30)
        gc.disable()
        try:
            asking.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await asking
            frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
            assert not any(frame.f_locals.get("chunks") for frame in frames)
        finally:
            gc.enable()
        await engine.close()


def asked(*messages, turn="0"):
    return Request(prompt=messages or "text", sampling=Sampling(), turn=turn)


def ids(request, *given):
    return [call.id for call in made_calls(request, [(id_, "f", "{}") for id_ in given])]


def test_ids_of_the_engine_are_kept_and_missing_ones_made():
    assert ids(asked(turn="3"), "a", None, "b", "") == ["a", "call-3-1", "b", "call-3-3"]


def test_an_id_is_unique_in_its_reply_and_in_its_conversation():
    """Some servers number the calls of each reply anew, or give all of them one id."""
    before = Message("assistant", tool_calls=[{"id": "a"}, {"id": "call-1-1"}, {}])
    assert ids(asked(before, turn="1"), "a", "a", "c", "c") == [
        "call-1-0",
        "call-1-1-again",
        "c",
        "call-1-3",
    ]


def test_arguments_are_text_as_written_or_the_object_as_text():
    reported = [(None, "f", '{"a": 1'), (None, "f", {"q": ["é", 1.5, None]}), (None, "f", None)]
    assert [call.arguments for call in made_calls(asked(), reported)] == [
        '{"a": 1',
        '{"q":["é",1.5,null]}',
        "{}",
    ]
