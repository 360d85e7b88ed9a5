"""A hostile OpenAI-compatible server, on raw sockets since it must speak HTTP badly.

    python tests/faults/hostile.py --port 0 --seed 7 --faults all --log requests.jsonl

Prints `listening PORT`. What it answers to a request is drawn from (seed, hash of the request's
body, how often that body came), so it does not depend on the order of arrival. Its good reply
depends on the sample's text only: on the `case-0000017` that stands in it, else on the last
message. SIGUSR1 slows it to a tenth, SIGUSR2 ends that.

The log has a line when a request came and one when it was answered, written with one system call
each, so that a kill loses none. A server that starts on a log goes on counting where it ended.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

WORDS = {
    "neg_constraint_restate": "requirement",
    "neg_correction": "correction",
    "neg_confusion": "confusion",
    "neutral": "neutral",
    "pos_progress": "next",
    "pos_praise": "praise",
    "topic_shift": "unrelated",
}
"""The feedback judge's labels, and the words by which its logprob readout knows them."""

UNUSABLE = {"wrong": 2.0, "cut": 2.0}
"""Well-formed replies from which no verdict can be read, with their shares in percent."""
TRANSPORT = {
    "429": 6.0,
    "500": 4.0,
    "503": 4.0,
    "hang": 0.5,
    "reset": 4.0,
    "truncated": 4.0,
    "html": 3.0,
    "empty": 3.0,
    "list": 3.0,
    "big": 0.3,
    "drip": 0.5,
}
"""What is no reply, with its share in percent."""
PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "mild": {kind: share / 4 for kind, share in (TRANSPORT | UNUSABLE).items()},
    "transport": TRANSPORT,
    "all": TRANSPORT | UNUSABLE,
}
BIG = 50_000_000
CASE = re.compile(rb"case-\d{7}")


# What it says: functions of the sample alone


def digest(*parts: object) -> int:
    """Return 64 bits drawn from some values."""
    data = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def truth(subject: str) -> tuple[str, float]:
    """Return label and confidence of the good reply: over the gate, and never off topic."""
    drawn = digest("truth", subject)
    labels = [label for label in WORDS if label != "topic_shift"]
    return labels[drawn % len(labels)], 0.7 + (drawn >> 8) % 30 / 100


def text(subject: str, kind: str) -> str:
    """Return what the model writes in the json readout: `good`, `wrong` or `cut`."""
    label, confidence = truth(subject)
    verdict = {
        "rationale": f'{subject}: é, \u2028, \\ and "quotes"',
        "label": "delighted" if kind == "wrong" else label,
        "confidence": confidence,
    }
    whole = json.dumps(verdict)
    return whole[: len(whole) // 2] if kind == "cut" else whole


def candidates(subject: str, kind: str) -> list[tuple[str, float]]:
    """Return the first token's candidates in the logprob readout, the likeliest first."""
    label, confidence = truth(subject)
    words = [WORDS[label], *(word for word in WORDS.values() if word != WORDS[label])]
    if kind != "good":
        words = ["{" if kind == "cut" else "Sure", *(f"other{n}" for n in range(6))]
    rest = (1 - confidence) / (len(words) - 1)
    return [(word, math.log(rest if rank else confidence)) for rank, word in enumerate(words)]


def completion(body: Mapping[str, Any], subject: str, kind: str, usage: bool) -> dict[str, Any]:
    """Return the whole reply, in the form that the request asks for."""
    chat = "messages" in body
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if kind == "cut" else "stop"}
    if body.get("logprobs"):
        top = candidates(subject, kind)
        said = top[0][0]
        choice |= {"finish_reason": "length", "logprobs": _logprobs(top, chat)}
    else:
        said = text(subject, kind)
    choice |= {"message": {"role": "assistant", "content": said}} if chat else {"text": said}
    reply = {"id": f"cmpl-{subject}", "model": body.get("model"), "choices": [choice]}
    if usage:
        reply["usage"] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return reply


def _logprobs(top: list[tuple[str, float]], chat: bool) -> dict[str, Any]:
    token, logprob = top[0]
    if not chat:
        return {"tokens": [token], "token_logprobs": [logprob], "top_logprobs": [dict(top)]}
    shown = [{"token": token, "logprob": value, "bytes": None} for token, value in top]
    return {"content": [{"token": token, "logprob": logprob, "top_logprobs": shown}]}


def subject_of(raw: bytes, body: Mapping[str, Any]) -> str:
    """Return what names the sample of a request, repairs included."""
    named = CASE.findall(raw)
    if named:
        return named[-1].decode()
    last = body["messages"][-1]["content"] if "messages" in body else body.get("prompt")
    return f"text-{digest(last):016x}"


# What it does instead


class Draw:
    """Draws the answer to each request."""

    def __init__(self, seed: int, shares: Mapping[str, float]) -> None:
        """Take the shares of faults, in percent."""
        self._seed = seed
        self._shares = shares

    def __call__(self, key: str, attempt: int) -> str:
        """Return the kind of answer to the n-th request with this body."""
        point = digest(self._seed, key, attempt) / 2**64 * 100
        for kind, share in self._shares.items():
            point -= share
            if point < 0:
                return kind
        return "good"


def read_shares(given: str) -> dict[str, float]:
    """Read `none`, `mild`, `transport`, `all`, or `500=10,hang=0.5` (percent); joined by commas."""
    shares: dict[str, float] = {}
    for part in given.split(","):
        kind, separator, share = part.partition("=")
        shares |= {kind: float(share)} if separator else PRESETS[kind]
    unknown = shares.keys() - PRESETS["all"].keys()
    if unknown:
        raise SystemExit(f"unknown faults: {unknown}")
    return shares


# What it allows


class Sliding:
    """At most `rate` requests within any second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._taken: deque[float] = deque()

    def take(self, now: float) -> float:
        """Take one; return 0, or the seconds until there is one."""
        while self._taken and self._taken[0] <= now - 1:
            self._taken.popleft()
        if len(self._taken) >= self.rate:
            return self._taken[0] + 1 - now
        self._taken.append(now)
        return 0.0


class Fixed:
    """At most `rate` requests within each second of the clock."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._window, self._count = 0, 0

    def take(self, now: float) -> float:
        """Take one; return 0, or the seconds until there is one."""
        if int(now) != self._window:
            self._window, self._count = int(now), 0
        if self._count >= self.rate:
            return self._window + 1 - now
        self._count += 1
        return 0.0


class Bucket:
    """A bucket of `rate / 5` tokens that is filled at `rate` a second."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._size = max(1.0, rate / 5)
        self._left, self._at = self._size, 0.0

    def take(self, now: float) -> float:
        """Take one; return 0, or the seconds until there is one."""
        self._left = min(self._size, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self.rate
        self._left -= 1
        return 0.0


WINDOWS = {"sliding": Sliding, "fixed": Fixed, "bucket": Bucket}


class Log:
    """An append-only file of JSON lines."""

    def __init__(self, path: str | None) -> None:
        """Open it; the lines of earlier servers stay."""
        self._file = os.open(path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, event: str, **entry: object) -> None:
        """Write one line."""
        line = {"at": round(time.time(), 4), "event": event} | entry
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; one that is being written is not there yet."""
    written = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in written]


class Request(NamedTuple):
    """One request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request.

    Raises:
        IncompleteReadError: the client left.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ", 2)
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, raw)


class Hostile:
    """The server."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Prepare it; `options` are those of the command line."""
        self.options = options
        self.draw = Draw(options.seed, read_shares(options.faults))
        self.attempts: Counter[str] = Counter(
            entry["body"]
            for entry in (read_log(Path(options.log)) if options.log else ())
            if entry["event"] == "in" and entry.get("attempt")
        )
        self.log = Log(options.log)
        self.limit = WINDOWS[options.window](options.rate) if options.rate else None
        self.slots = asyncio.Semaphore(options.capacity) if options.capacity else None
        self.slowness = 1
        self.served = 0

    async def serve(self) -> None:
        """Serve until killed."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, setattr, self, "slowness", 10)
        loop.add_signal_handler(signal.SIGUSR2, setattr, self, "slowness", 1)
        server = await asyncio.start_server(
            self.converse, "127.0.0.1", self.options.port, backlog=1024
        )
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await self.answer(await read_request(reader), Wire(reader, writer, self.options))
        writer.close()

    async def answer(self, request: Request, wire: "Wire") -> None:
        """Answer one request, well or badly."""
        wire.echo = request.headers.get("authorization", "") if self.options.echo_key else ""
        if request.method == "GET":
            await self.list_models(request, wire)
            return
        body = json.loads(request.raw)
        key = hashlib.blake2b(request.raw, digest_size=12).hexdigest()
        subject = subject_of(request.raw, body)
        kind, wait = self.decide(request, body, key)
        attempt = self.attempts[key] if kind in _DRAWN else 0
        entry = {"body": key, "subject": subject, "attempt": attempt, "answer": kind}
        self.log.write("in", **entry)
        if kind not in _REFUSED:
            await self.work()
        reply = completion(body, subject, kind, not self.options.no_usage)
        await getattr(wire, f"send_{kind}")(Planned(reply, digest(key, attempt), wait))
        self.log.write("out", **entry)

    def decide(self, request: Request, body: Mapping[str, Any], key: str) -> tuple[str, float]:
        """Return what to answer, and for how long to ask the client to wait."""
        if not self.authorized(request):
            return "unauthorized", 0.0
        if self.options.model and body.get("model") != self.options.model:
            return "unknown_model", 0.0
        wait = self.limit.take(time.time()) if self.limit else 0.0
        if wait:
            return "over", wait
        self.served += 1
        self.attempts[key] += 1
        return self.draw(key, self.attempts[key]), 0.0

    def authorized(self, request: Request) -> bool:
        """Tell whether a request brings the key, as long as that is good."""
        options = self.options
        if options.revoke_after is not None and self.served >= options.revoke_after:
            return False
        return not options.key or request.headers.get("authorization") == f"Bearer {options.key}"

    async def work(self) -> None:
        """Take as long as a request takes, in one of the slots."""
        async with self.slots or contextlib.nullcontext():
            await asyncio.sleep(self.options.delay * self.slowness)

    async def list_models(self, request: Request, wire: "Wire") -> None:
        """Answer GET /v1/models."""
        if not self.options.open_models and not self.authorized(request):
            self.log.write("models", answer="unauthorized")
            await wire.send_unauthorized(Planned())
            return
        self.log.write("models", answer="good")
        name = self.options.model or "m"
        await wire.send(200, {"object": "list", "data": [{"id": name, "object": "model"}]})


_REFUSED = frozenset({"unauthorized", "unknown_model", "over", "429"})
_DRAWN = frozenset({"good", *PRESETS["all"]})


class Planned(NamedTuple):
    """What an answer is made of."""

    reply: Mapping[str, Any] = {}
    """The good reply, or the one that cannot be used."""
    drawn: int = 0
    """Chooses among the variants of a fault."""
    wait: float = 0.0
    """Seconds until the next request is allowed."""


class Wire:
    """One connection, and the ways to answer on it: `send_KIND` for each kind of answer."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        options: argparse.Namespace,
    ) -> None:
        """Take a connection."""
        self.reader = reader
        self.writer = writer
        self.options = options
        self.echo = ""
        """The client's Authorization header, where it is to be echoed."""

    async def send(
        self,
        status: int,
        content: object,
        headers: Mapping[str, str] = {},
    ) -> None:
        """Send a reply as it should be."""
        await self.write(self.head(status, len(raw := self.encode(content)), headers) + raw)

    def encode(self, content: object) -> bytes:
        """Return the body: bytes as they are, else JSON."""
        if isinstance(content, bytes):
            return content
        if self.echo and isinstance(content, dict):
            content = {**content, "echo": self.echo, "system_fingerprint": self.echo}
        return json.dumps(content).encode()

    def head(self, status: int, length: int, headers: Mapping[str, str] = {}) -> bytes:
        """Return the head of a reply."""
        fields = {"Content-Type": "application/json", "Content-Length": str(length), **headers}
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    async def write(self, data: bytes) -> None:
        """Write, and wait while the client does not read.

        Raises:
            ConnectionError: the client left.
        """
        if self.writer.transport.is_closing():  # uvloop says this in a way of its own
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def send_error(
        self,
        status: int,
        message: str,
        code: str,
        headers: Mapping[str, str] = {},
    ) -> None:
        """Send an error in OpenAI's form."""
        said = f"{message} {self.echo}".strip()
        error = {"message": said, "type": code, "code": code, "param": None}
        await self.send(status, {"error": error}, headers)

    # What is drawn

    async def send_good(self, planned: Planned) -> None:
        """Send the reply."""
        await self.send(200, planned.reply)

    send_wrong = send_cut = send_good

    async def send_429(self, planned: Planned) -> None:
        """Ask to wait: seconds, none, a date, or without saying how long."""
        asked: tuple[Mapping[str, str], ...] = (
            {"Retry-After": "1"},
            {"Retry-After": "0"},
            {"Retry-After": formatdate(time.time() + 1, usegmt=True)},
            {},
        )
        await self.send_error(429, "Slow down.", "rate_limit", asked[planned.drawn % 4])

    async def send_500(self, planned: Planned) -> None:
        """Fail."""
        await self.send_error(500, "The worker died.", "internal_error")

    async def send_503(self, planned: Planned) -> None:
        """Be overloaded."""
        await self.send(503, b"<html>no backend " + self.echo.encode() + b"</html>")

    async def send_hang(self, planned: Planned) -> None:
        """Say nothing until the client leaves."""
        await self.reader.read(1)
        self.writer.close()

    async def send_reset(self, planned: Planned) -> None:
        """Reset the connection within the body, or before the reply."""
        if planned.drawn % 3:
            raw = self.encode(planned.reply)
            await self.write(self.head(200, len(raw)) + raw[: len(raw) // 2])
            await asyncio.sleep(0.01)
        held: socket.socket = self.writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def send_truncated(self, planned: Planned) -> None:
        """Promise more than comes; what comes is half of the JSON, or all of it."""
        raw = self.encode(planned.reply)
        sent = raw if planned.drawn % 2 else raw[: len(raw) // 2]
        await self.write(self.head(200, len(raw) + 100) + sent)
        self.writer.close()

    async def send_html(self, planned: Planned) -> None:
        """Send a web page as if all were well."""
        page = f"<!doctype html><h1>Welcome to nginx!</h1>{self.echo}".encode()
        await self.send(200, page, {"Content-Type": "text/html"})

    async def send_empty(self, planned: Planned) -> None:
        """Send no choices: an empty list, null, or nothing at all."""
        choices: tuple[Mapping[str, Any], ...] = ({"choices": []}, {"choices": None}, {})
        await self.send(200, {"id": "x", **choices[planned.drawn % 3]})

    async def send_list(self, planned: Planned) -> None:
        """Send the good reply, in a list."""
        await self.send(200, self.encode([planned.reply]))

    async def send_big(self, planned: Planned) -> None:
        """Send a good reply of 50 MB, with its length or in chunks."""
        start, end = self.encode(planned.reply)[:-1] + b', "padding": "', b'"}'
        block = b"x" * 1_000_000
        if planned.drawn % 2:
            await self.write(self.head(200, len(start) + BIG + len(end)) + start)
            for _ in range(BIG // len(block)):
                await self.write(block)
            await self.write(end)
            return
        fields = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        await self.write(f"HTTP/1.1 200 OK\r\n{fields}".encode())
        for part in (start, *[block] * (BIG // len(block)), end, b""):
            await self.write(b"%x\r\n%s\r\n" % (len(part), part))

    async def send_drip(self, planned: Planned) -> None:
        """Send a good reply, one byte at a time."""
        raw = self.encode(planned.reply)
        await self.write(self.head(200, len(raw)))
        for byte in raw:
            await self.write(bytes([byte]))
            await asyncio.sleep(0.1)

    # What is refused

    async def send_over(self, planned: Planned) -> None:
        """Refuse what comes too fast."""
        asked = {"Retry-After": str(math.ceil(planned.wait))}
        await self.send_error(429, "Too many requests.", "rate_limit", asked)

    async def send_unauthorized(self, planned: Planned) -> None:
        """Refuse the key."""
        await self.send_error(401, "Incorrect API key provided.", "invalid_api_key")

    async def send_unknown_model(self, planned: Planned) -> None:
        """Refuse the model."""
        await self.send_error(404, "The model does not exist.", "model_not_found")


def _leave_with_parent() -> None:
    """End when standard input does, so that no server outlives its test."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=0)
    add("--seed", type=int, default=7)
    add("--faults", default="none", help="none, transport, mild, all, or e.g. all,500=10 (%%)")
    add("--log", help="append every request and answer to this file")
    add("--rate", type=float, help="requests allowed a second")
    add("--window", choices=[*WINDOWS], default="sliding", help="how they are counted")
    add("--delay", type=float, default=0.0, help="seconds that an answer takes")
    add("--capacity", type=int, help="requests worked on at once; others queue")
    add("--key", help="answer 401 without it")
    add("--open-models", action="store_true", help="list the models without a key")
    add("--revoke-after", type=int, help="answer 401 after so many requests")
    add("--model", help="the only one it knows")
    add("--echo-key", action="store_true", help="put the Authorization header into replies")
    add("--no-usage", action="store_true", help="count no tokens in replies")
    add("--attached", action="store_true", help="end when standard input does")
    return parser.parse_args(arguments)


def main() -> None:
    """Serve as the command line says."""
    options = read_options(sys.argv[1:])
    if options.attached:
        _leave_with_parent()
    run: Callable[[Awaitable[None]], None] = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        run = uvloop.run
    run(Hostile(options).serve())


if __name__ == "__main__":
    main()
