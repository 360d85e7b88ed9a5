"""Each dialect with the requests that its peer's published client sends."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import RULES, Client, serving

CHAT = "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
TEXT = CHAT + "4<|im_end|>"
NILE = CHAT + "The Nile.<|im_end|>"


def gym(said: str, **row: Any) -> dict[str, Any]:
    """What `simple_agent` of NeMo Gym posts to /verify."""
    text = {"type": "output_text", "text": said, "annotations": []}
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
    search = {"type": "function_call", "call_id": "c", "name": "sum", "arguments": "{}"}
    found = {"type": "function_call_output", "call_id": "c", "output": "5"}
    return {
        "responses_create_params": {"input": [{"role": "user", "content": "2+2?"}], "tools": []},
        "response": {
            "id": "r",
            "object": "response",
            "output": [search, found, message | {"content": [text]}],
        },
        **row,
    }


@pytest.fixture
async def erring(tmp_path: Path):
    async with serving(RULES, folder=tmp_path, when_unscored="error") as client:
        yield client


@pytest.fixture
async def numbered(tmp_path: Path):
    async with serving(RULES, folder=tmp_path, when_unscored="-1") as client:
        yield client


async def test_openrlhf(erring: Client) -> None:
    def body(query: str, prompt: str = CHAT, label: Any = "4") -> dict[str, Any]:
        return {"query": [query], "prompts": [prompt], "labels": [label]}

    found = await erring.post("/openrlhf", body(TEXT))
    assert (found.status, found.body) == (
        200,
        {"rewards": [1.0], "scores": [1.0], "extra_logs": {"unscored": [0.0]}},
    )
    empty = await erring.post("/openrlhf", {"query": [], "prompts": [], "labels": []})
    assert empty.body == {"rewards": [], "scores": [], "extra_logs": {"unscored": []}}
    cut = await erring.post("/openrlhf", body(TEXT[5:]))
    assert cut.status == 422
    assert cut.body["error"]["rows"][0]["cause"] == "no_prompt"
    short = await erring.post("/openrlhf", {"query": [TEXT, TEXT], "prompts": [CHAT]})
    assert [row["cause"] for row in short.body["error"]["rows"]] == ["no_prompt"] * 2
    null = await erring.post("/openrlhf", body(TEXT, label=None))
    assert null.body["error"]["rows"][0]["cause"] == "no_reference"
    assert (await erring.post("/openrlhf", {"queries": []})).status == 400


async def test_openrlhf_with_a_number_counts_what_is_unscored(numbered: Client) -> None:
    body = {"query": [TEXT, "?", TEXT], "prompts": [CHAT] * 3, "labels": ["4", "4", "5"]}
    found = await numbered.post("/openrlhf", body)
    assert found.body == {
        "rewards": [1.0, -1.0, 0.0],
        "scores": [1.0, 0.0, 0.0],
        "extra_logs": {"unscored": [0.0, 1.0, 0.0]},
    }


async def test_slime(erring: Client, numbered: Client) -> None:
    body = {"prompt": CHAT, "response": "4", "label": "4"}
    chat = body | {"prompt": [{"role": "user", "content": "2+2?"}]}
    ended = body | {"response": "4<|im_end|>"}  # slime keeps the end of the turn.
    for given in (body, chat, ended):
        found = await erring.post("/slime", given)
        assert (found.status, found.body) == (200, 1.0)
    lost = body | {"label": None}
    assert (await erring.post("/slime", lost)).status == 422
    assert (await numbered.post("/slime", lost)).body == -1.0


@pytest.fixture
def words(tmp_path: Path) -> str:
    """A reward that needs no reference: the number of words."""
    own = "async def words(trace):\n    return float(len(trace.final_answer.split()))\n"
    (tmp_path / "own.py").write_text(own)
    return '[rewards.words]\nfunction = "own.py:words"\n'


async def test_llama_factory(tmp_path: Path, words: str) -> None:
    async with serving(words, folder=tmp_path, when_unscored="-1") as client:
        body = {"model": "model", "messages": [NILE, "A river? The Nile."]}
        found = await client.post("/llama-factory", body)
        empty = await client.post("/llama-factory", {"model": "model", "messages": []})
    assert found.status == 200
    assert found.body == {"scores": [2.0, -1.0]}
    assert empty.body == {"scores": []}


async def test_nemo_gym(erring: Client, tmp_path: Path) -> None:
    row = gym("4", expected_answer="4", task="sums", _ng_task_index=0)
    found = await erring.post("/nemo-gym/verify", row)
    assert found.status == 200
    assert found.body == row | {"reward": 1.0, "unscored": 0.0}
    tool_alone = gym("4", answer="5")
    tool_alone["response"]["output"].pop()
    ended = await erring.post("/nemo-gym/verify", tool_alone)
    assert ended.body["reward"] == 0.0  # What a tool answered is no answer of the model.
    assert (await erring.post("/nemo-gym/verify", gym("4"))).status == 422
    assert (await erring.post("/nemo-gym/verify", {"response": {}})).status == 400
    assert (await erring.post("/nemo-gym/seed_session", {})).body == {}
    seeded = await erring.post("/nemo-gym/seed_session", {"resources_session_id": "s"})
    assert seeded.body == {"resources_session_id": "s"}
    episode = {"episode_id": {"rollout_id": "0-0", "attempt_index": 0}, "task_id": "sums"}
    for path in ("seed_session", "close_session"):  # Gym's newer environment servers.
        body = {"resources_session_id": "resources-session-1", **episode}
        found = await erring.post(f"/nemo-gym/{path}", body)
        assert found.body == {"resources_session_id": "resources-session-1"}
    assert (await erring.post("/nemo-gym/close_session", {})).body == {}
    assert (await erring.get("/nemo-gym/reverify_mode")).body == "stateless"
    assert (await erring.get("/rewards/nemo-gym/reverify_mode")).body == "stateless"
    assert (await erring.post("/nemo-gym/reverify_mode", {})).status == 405
    newest = {**episode, "verification_input": gym("4")}  # Its reference came with the seed.
    assert (await erring.post("/nemo-gym/verify", newest)).status == 400


async def test_nemo_gym_marks_what_has_no_value(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path, when_unscored="drop") as client:
        lost = (await client.post("/nemo-gym/verify", gym("4", _ng_task_index=0))).body
        kept = (await client.post("/nemo-gym/verify", gym("4", answer="4", _ng_task_index=0))).body
        wrong = (await client.post("/nemo-gym/verify", gym("5", answer="4", _ng_task_index=1))).body
        body = {"verify_responses": [lost, kept, wrong]}
        metrics = (await client.post("/nemo-gym/aggregate_metrics", body)).body
    assert (lost["mask_sample"], lost["_ng_failure_class"]) == (True, "judge_failed")
    assert lost["unscored"] == 1.0
    assert metrics["agent_metrics"]["mean/reward"] == 0.5
    assert metrics["agent_metrics"]["unscored"] == 1
    assert [one["mean/reward"] for one in metrics["group_level_metrics"]] == [1.0, 0.0]
    assert [one["_ng_task_index"] for one in metrics["group_level_metrics"]] == [0, 1]


async def test_vllm(tmp_path: Path, words: str) -> None:
    async with serving(words, folder=tmp_path, when_unscored="error") as client:
        one = await client.post(
            "/score", {"model": "m", "text_1": "A river?", "text_2": ["Nile", "The Rhine"]}
        )
        pairs = await client.post("/score", {"text_1": ["one", "two"], "text_2": ["three", "four"]})
        odd = await client.post("/score", {"text_1": ["a", "b"], "text_2": ["c", "d", "e"]})
        text = await client.post("/classify", {"model": "m", "input": NILE})
        messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "The Nile."}]
        chat = await client.post("/classify", {"model": "m", "messages": messages})
        none = await client.post("/classify", {"model": "m"})
        cut = await client.post("/classify", {"input": ["no template"]})
    assert [item["score"] for item in one.body["data"]] == [1.0, 2.0]
    assert (one.body["object"], one.body["model"]) == ("list", "m")
    assert [item["index"] for item in pairs.body["data"]] == [0, 1]
    assert pairs.body["model"] == "rewards"
    assert odd.status == none.status == 400
    item = {"index": 0, "label": "LABEL_0", "probs": [2.0], "num_classes": 1}
    assert text.body["data"] == chat.body["data"] == [item]
    assert cut.status == 422


async def test_a_dialect_that_was_not_chosen_is_not_there(tmp_path: Path) -> None:
    async with serving(RULES, folder=tmp_path) as client:
        found = await client.post("/slime", {"prompt": "q", "response": "a"})
    assert found.status == 404
    assert "slime is not served" in found.body["error"]["message"]
