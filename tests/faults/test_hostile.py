"""The hostile server does what it says, by a raw client."""

import http.client
import json
import re
import signal
import socket
import time
from typing import Any

import pytest

from plaudit.judges.feedback import FeedbackJudge
from tests.faults import hostile
from tests.faults.serving import Server, wait_until


def body(n: int) -> bytes:
    text = f"the sample is case-{n:07d}"
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()


def post(
    server: Server, raw: bytes, key: str = "", patience: float = 60
) -> tuple[int, dict[str, str], bytes]:
    """Ask once, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=patience)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("POST", "/v1/chat/completions", raw, headers)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def outcome(server: Server, n: int, patience: float = 60) -> Any:
    """Return what a client sees: a status and body, or the exception."""
    try:
        status, _, content = post(server, body(n), patience=patience)
    except (OSError, http.client.HTTPException) as error:
        return type(error)
    return status, content


def text_of(content: bytes) -> str:
    return json.loads(content)["choices"][0]["message"]["content"]


SEEN = {
    "good": lambda seen: json.loads(text_of(seen[1]))["label"] in hostile.WORDS,
    "wrong": lambda seen: json.loads(text_of(seen[1]))["label"] == "delighted",
    "cut": lambda seen: json.loads(seen[1])["choices"][0]["finish_reason"] == "length",
    "429": lambda seen: seen[0] == 429,
    "500": lambda seen: seen[0] == 500,
    "503": lambda seen: seen[0] == 503,
    "hang": lambda seen: seen is TimeoutError,
    "reset": lambda seen: seen is ConnectionResetError,
    "truncated": lambda seen: seen is http.client.IncompleteRead,
    "html": lambda seen: seen[0] == 200 and b"<h1>" in seen[1],
    "empty": lambda seen: seen[0] == 200 and not json.loads(seen[1]).get("choices"),
    "list": lambda seen: isinstance(json.loads(seen[1]), list),
    "big": lambda seen: seen[0] == 200 and len(seen[1]) > hostile.BIG,
}


@pytest.mark.parametrize("kind", SEEN)
def test_each_answer_is_what_it_is_called(server_of, kind: str) -> None:
    server = server_of("--faults", "none" if kind == "good" else f"{kind}=100")
    for n in range(4):
        seen = outcome(server, n, 0.5 if kind == "hang" else 60)
        assert SEEN[kind](seen), str(seen)[:200]
    assert {entry.answer for entry in server.asked()} == {kind}


def test_a_drip_is_slow(server_of) -> None:
    server = server_of("--faults", "drip=100")
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        raw = body(1)
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(raw), raw))
        started = time.monotonic()
        read = b"".join(client.recv(1000) for _ in range(10))
    assert time.monotonic() - started > 0.5
    head, _, part = read.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head, re.IGNORECASE)
    assert length is not None
    assert 0 < len(part) < int(length[1])


def test_answers_do_not_depend_on_the_order_and_go_on_after_a_kill(server_of) -> None:
    faults = ("--faults", "500=30,html=30")
    forth, back = server_of(*faults), server_of(*faults)
    for n in (*range(20), *range(20)):
        outcome(forth, n)
    for n in reversed(range(20)):
        outcome(back, n)
    back.kill()
    back.start()
    for n in range(20):
        outcome(back, n)
    drawn = [
        {(entry.body, entry.attempt, entry.answer) for entry in server.asked()}
        for server in (forth, back)
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 40
    assert {answer for _, _, answer in drawn[0]} == {"good", "500", "html"}


def test_the_good_reply_is_that_of_an_honest_server(server_of) -> None:
    honest, other = server_of(), server_of("--faults", "500=60", "--seed", 9)
    for n in range(10):
        wanted, seen = outcome(honest, n), outcome(other, n)
        while seen[0] == 500:
            seen = outcome(other, n)
        assert seen == wanted


def test_it_knows_the_words_of_the_judge() -> None:
    assert {option.label: option.word for option in FeedbackJudge.options} == hostile.WORDS


@pytest.mark.full
@pytest.mark.parametrize("window", hostile.WINDOWS)
def test_it_allows_so_many_a_second(server_of, window: str) -> None:
    server = server_of("--rate", 20, "--window", window)
    started = time.monotonic()
    statuses: list[int] = []
    while time.monotonic() - started < 2.5:
        status, headers, _ = post(server, body(1))
        statuses.append(status)
        if status == 429:
            assert headers["retry-after"] == "1"
        time.sleep(0.01)
    # Two whole windows and what is left of a third; a bucket is full at first.
    assert 40 <= statuses.count(200) <= 80
    assert statuses.count(429) > 20


def test_the_key_the_model_and_the_echo(server_of) -> None:
    server = server_of("--key", "sk-right", "--model", "other", "--echo-key")
    status, _, content = post(server, body(1), "sk-wrong")
    assert (status, b"sk-wrong" in content) == (401, True)
    assert post(server, body(1), "sk-right")[0] == 404
    status, _, content = post(server, body(1).replace(b'"m"', b'"other"'), "sk-right")
    assert (status, b"sk-right" in content) == (200, True)


def test_it_takes_its_time_and_can_be_slowed(server_of) -> None:
    def ask() -> float:
        started = time.monotonic()
        assert outcome(server, 1)[0] == 200
        return time.monotonic() - started

    server = server_of("--delay", 0.03)
    assert ask() >= 0.03
    server.slow_down()
    wait_until(lambda: ask() >= 0.3)
    server.process.send_signal(signal.SIGUSR2)


def test_it_leaves_with_its_parent(server_of) -> None:
    server = server_of()
    server.process.stdin.close()
    assert server.process.wait(60) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port))
