"""How trainers ask `plaudit serve`: a served reward and rows in, values out."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.support.equality import in_process
from tests.support.equality.rows import UNSCORED, Row, Values, asked, messages, without
from tests.support.serving import Answer, Client


class Served(NamedTuple):
    """One reward of a server."""

    client: Client
    name: str

    @property
    def url(self) -> str:
        """Of the native protocol."""
        return f"{self.client.address.url}/v1/score/{self.name}"

    async def post(self, path: str, body: Any) -> Any:
        """Return what a dialect answers."""
        found: Answer = await self.client.post(f"/{self.name}{path}", body)
        assert found.status == 200, found.body
        return found.body


async def native(served: Served, rows: Sequence[Row]) -> Values:
    found = await served.client.post(f"/v1/score/{served.name}", list(rows))
    assert found.status == 200, found.body
    return [row["value"] if row["status"] == "ok" else None for row in found.body]


async def trl(served: Served, rows: Sequence[Row]) -> Values:
    return await in_process.trl(served.url, rows)


async def openrlhf(served: Served, rows: Sequence[Row]) -> Values:
    body = {
        "query": [row["prompt"] + row["completion"] for row in rows],
        "prompts": [row["prompt"] for row in rows],
        "labels": [row["answer"] for row in rows],
    }
    found = await served.post("/openrlhf", body)
    values = [without(value) for value in found["rewards"]]
    assert found["extra_logs"]["unscored"] == [float(value is None) for value in values]
    return values


async def slime(served: Served, rows: Sequence[Row]) -> Values:
    async def one(row: Row) -> float | None:
        body = {"prompt": row["prompt"], "response": row["completion"], "label": row["answer"]}
        return without(await served.post("/slime", body))

    return await asyncio.gather(*map(one, rows))


async def nemo_gym(served: Served, rows: Sequence[Row]) -> Values:
    async def one(row: Row) -> float | None:
        found = await served.post("/nemo-gym/verify", gym_request(row))
        assert found["unscored"] == float(found["reward"] == UNSCORED)
        return without(found["reward"])

    return await asyncio.gather(*map(one, rows))


def gym_request(row: Row) -> Row:
    """A row as NeMo Gym sends it."""
    completion = messages(row, "completion", "assistant")
    return {
        "responses_create_params": {"input": asked(row)},
        "response": {"output": [item for one in completion for item in _items(one)]},
        "expected_answer": row["answer"],
    }


def _items(message: Row) -> list[Row]:
    """A message as items of the Responses API."""
    if message["role"] == "tool":
        output = {"call_id": message["tool_call_id"], "output": message["content"]}
        return [{"type": "function_call_output"} | output]
    calls = [
        {"type": "function_call", "call_id": call["id"], **call["function"]}
        for call in message.get("tool_calls", ())
    ]
    text = {"type": "output_text", "text": message["content"], "annotations": []}
    return calls or [{"type": "message", "role": "assistant", "content": [text]}]


async def llama_factory(served: Served, rows: Sequence[Row]) -> Values:
    body = {"model": "m", "messages": [_rendered(row) for row in rows]}
    found = await served.post("/llama-factory", body)
    return [without(value) for value in found["scores"]]


async def vllm_score(served: Served, rows: Sequence[Row]) -> Values:
    body = {
        "text_1": [row["prompt"] for row in rows],
        "text_2": [row["completion"] for row in rows],
    }
    found = await served.post("/score", body)
    return [without(item["score"]) for item in found["data"]]


async def vllm_classify(served: Served, rows: Sequence[Row]) -> Values:
    found = await served.post("/classify", {"input": [_rendered(row) for row in rows]})
    return [without(item["probs"][0]) for item in found["data"]]


def _rendered(row: Row) -> str:
    """A chat of one turn as a template renders it."""
    said = f"<|im_start|>assistant\n{row['completion']}<|im_end|>"
    return f"<|im_start|>user\n{row['prompt']}<|im_end|>\n{said}"
