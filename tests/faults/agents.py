"""A server of an agent's model: every rollout's turns and delays follow from its question alone.

Question N makes `turns(N) - 1` searches and then answers. Most turns are quick and a few are very
slow, as those of real models are: delays are Pareto distributed, up to a longest one.
"""

import argparse
import asyncio
import random
import re
from functools import cache
from typing import Any

import orjson
from aiohttp import web

MOST_TURNS = 5
_NUMBER = re.compile(r"number (\d+)\?")


@cache
def delays(number: int, longest: float) -> tuple[float, ...]:
    """Seconds that each turn of a question takes."""
    draw = random.Random(number)
    count = draw.choice((2, 2, 3, 3, 4, 5))
    return tuple(min(longest, 0.1 * draw.paretovariate(1.1)) for _ in range(count))


def chain(number: int, longest: float) -> float:
    """Seconds that the server takes for all turns of a question, one after the other."""
    return sum(delays(number, longest))


def reply(number: int, turn: int, turns: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": f"answer {number}"}
    if turn < turns - 1:
        function = {"name": "search", "arguments": orjson.dumps({"query": f"{number}"}).decode()}
        call = {"id": f"c{turn}", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    finish = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }


class Model:
    def __init__(self, longest: float, log: str, held: int = 0) -> None:
        """Prepare; question 0 gets its first reply once so many others have their answers."""
        self.longest = longest
        self.held = held
        self.freed = asyncio.Event()
        self.log = open(log, "ab", buffering=0)  # noqa: SIM115 - as long as the process
        self.asked = self.inside = self.most = self.answered = 0

    async def chat(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        messages = body["messages"]
        number = int(_NUMBER.search(messages[1]["content"])[1])  # type: ignore[index]
        turn = sum(message["role"] == "assistant" for message in messages)
        waits = delays(number, self.longest)
        self.asked += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(waits[turn])
            if self.held and number == turn == 0:
                await self.freed.wait()
        finally:
            self.inside -= 1
        self.answered += turn == len(waits) - 1
        if self.answered >= self.held:
            self.freed.set()
        self.log.write(f"{number} {turn}\n".encode())
        return web.Response(
            body=orjson.dumps(reply(number, turn, len(waits))), content_type="application/json"
        )

    async def reported(self, request: web.Request) -> web.Response:
        return web.json_response({"asked": self.asked, "most": self.most})

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--longest", type=float, default=1.0)
    parser.add_argument("--held", type=int, default=0)
    given = parser.parse_args()
    model = Model(given.longest, given.log, given.held)
    app = web.Application(client_max_size=2**30)
    app.router.add_post("/v1/chat/completions", model.chat)
    app.router.add_get("/v1/models", model.models)
    app.router.add_get("/told", model.reported)
    web.run_app(
        app, host="127.0.0.1", port=given.port, access_log=None, backlog=4096,
        print=lambda *_: print(f"listening {given.port}", flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
