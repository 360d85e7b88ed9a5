"""The baseline of `throughput`: aiohttp and orjson in a bare loop, which judges nothing.

    python benchmarks/bare_loop.py URL BODY PROMPTS [--uvloop]

BODY is a request as JSON whose last message lacks its content, PROMPTS a file with one such content
a line, as JSON. Every reply is read and parsed; 100 requests are in flight. Prints seconds.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

IN_FLIGHT = 100


async def ask_all(url: str, body: dict[str, Any], prompts: Iterator[bytes]) -> int:
    """Send a request for each prompt; return how many replies had a choice."""
    headers = {"Content-Type": "application/json"}
    *opening, last = body["messages"]
    answered = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        for prompt in prompts:
            message = {"role": last["role"], "content": orjson.loads(prompt)}
            data = orjson.dumps(body | {"messages": [*opening, message]})
            async with session.post(url, data=data, headers=headers) as response:
                reply = orjson.loads(await response.read())
            answered += bool(reply["choices"])

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session) for _ in range(IN_FLIGHT)))
    return answered


def main() -> None:
    """Time the loop, the start of the interpreter and the imports left out."""
    url, body, prompts, *options = sys.argv[1:]
    run: Any = asyncio.run
    if "--uvloop" in options:
        import uvloop

        run = uvloop.run
    started = time.perf_counter()
    with Path(prompts).open("rb") as lines:
        answered = run(ask_all(url, orjson.loads(Path(body).read_bytes()), iter(lines)))
    print(answered, time.perf_counter() - started)


if __name__ == "__main__":
    main()
