"""A static OpenAI-compatible server: the same bytes for every completion, as fast as asyncio goes.

Run as a process of its own: `python benchmarks/static_server.py PORT json|logprob`.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

WORDS = ["requirement", "correction", "confusion", "neutral", "next", "praise", "unrelated"]


def completion(kind: str, words: Sequence[str] = WORDS) -> bytes:
    """Return the body of the reply: 300 characters of JSON, or 20 log-probabilities."""
    usage = {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460}
    if kind == "json":
        verdict = {"rationale": "x" * 240, "label": "pos_praise", "confidence": 0.9}
        message = {"role": "assistant", "content": json.dumps(verdict)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
    else:
        tokens = [*words, *(f"other{n}" for n in range(20 - len(words)))]
        shown = [
            {"token": token, "logprob": -0.5 - rank, "bytes": list(token.encode())}
            for rank, token in enumerate(tokens)
        ]
        message = {"role": "assistant", "content": tokens[0]}
        content = [shown[0] | {"top_logprobs": shown}]
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "length",
            "logprobs": {"content": content},
        }
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "model": "static",
            "choices": [choice],
            "usage": usage,
        }
    ).encode()


def response(body: bytes) -> bytes:
    """Return an HTTP response with keep-alive."""
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Static(asyncio.Protocol):
    """Counts request bodies by their length and answers each."""

    reply = b""
    models = response(json.dumps({"object": "list", "data": [{"id": "static"}]}).encode())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            mark = head.find(b"content-length:")
            length = int(head[mark + 15 :].split(b"\r\n", 1)[0]) if mark >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            self.transport.write(self.models if head.startswith(b"get") else self.reply)


async def serve(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Static, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    Static.reply = response(completion(sys.argv[2]))
    asyncio.run(serve(int(sys.argv[1])))
