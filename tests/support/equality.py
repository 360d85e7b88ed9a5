"""One reward through every trainer: the rows, and how each adapter and dialect is called.

An adapter is one `Way`: what its trainer calls, on rows, giving a value a row; None: unscored.
"""

import asyncio
import pickle
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plaudit.integrations.art import as_art_reward
from plaudit.integrations.rllm import as_rllm_evaluator
from plaudit.integrations.skyrl import as_skyrl_env
from plaudit.integrations.tinker import RewardedGroupBuilder, TinkerReward
from plaudit.integrations.trl import as_trl_reward
from plaudit.integrations.verifiers import as_verifiers_reward
from plaudit.rewarding.unscored import UnscoredError
from tests.support import peers
from tests.support.serving import Client

Row = dict[str, Any]
Values = Sequence[float | None]

UNSCORED = -99.0
"""Stands for a missing value where the peer takes no null; no reward here is as low."""
SEED = 15
ROWS = 200

# Rows


def single_turns(seed: int = SEED, count: int = ROWS) -> list[Row]:
    """Rows of one turn: right, wrong, undecided, without a reference, empty, unicode, long."""
    random_ = random.Random(seed)
    makers = (_right, _wrong, _undecided, _no_reference, _empty, _unicode, _long, _plain)
    return [makers[number % len(makers)](random_, number) for number in range(count)]


def _sum(random_: random.Random) -> tuple[str, int]:
    a, b = random_.randrange(2, 90), random_.randrange(2, 90)
    return f"What is {a} + {b}?", a + b


def _right(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    said = random_.choice(["{}", "The sum is {}.", "<think>Let me add.</think>\n\nIt is **{}**."])
    return {"prompt": asked, "completion": said.format(found), "answer": str(found)}


def _wrong(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    return {"prompt": asked, "completion": f"The answer is {found + 1}.", "answer": str(found)}


def _undecided(random_: random.Random, number: int) -> Row:
    keeper = random_.choice(["Ada Brenning", "Tomas Lind", "Ruth Okafor"])
    said = "It was the keeper who stayed through the second winter on the island."
    return {"prompt": f"Who kept lamp {number}?", "completion": said, "answer": keeper}


def _no_reference(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    return {"prompt": asked, "completion": str(found), "answer": None}


def _empty(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    return {"prompt": asked, "completion": random_.choice(["", "\n"]), "answer": str(found)}


def _unicode(random_: random.Random, number: int) -> Row:
    town = random_.choice(["Zürich", "東京", "Αθήνα", "São Paulo", "القاهرة"])
    said = random_.choice([town, f"🧭 {town}!", "Łódź"])
    return {"prompt": f"Welche Stadt ist № {number}? 🗺️", "completion": said, "answer": town}


def _long(random_: random.Random, number: int) -> Row:
    asked, found = _sum(random_)
    said = "I count on and on. " * random_.randrange(10, 300) + f"So it is {found}."
    return {"prompt": asked, "completion": said, "answer": str(found)}


def _plain(random_: random.Random, number: int) -> Row:
    boat = random_.choice(["the boat", "the sledge", "in the tent"])
    return {
        "prompt": 'Where was the rope?\nSay "unknown" if nobody wrote it down.',
        "completion": boat.capitalize() + ".",
        "answer": random_.choice([boat, "the boat"]),
    }


def tool_chats(seed: int = SEED, count: int = 24) -> list[Row]:
    """Rows of several turns: calls, results, answers; some end on a result."""
    random_ = random.Random(seed)
    return [_tool_chat(random_, number) for number in range(count)]


def _tool_chat(random_: random.Random, number: int) -> Row:
    place = random_.choice(["boat", "sledge", "tent"])
    completion: list[Row] = []
    for turn in range(random_.randrange(0, 3)):
        function = {"name": "search", "arguments": f'{{"query": "rope {turn}"}}'}
        call = {"id": f"c{turn}", "type": "function", "function": function}
        completion.append({"role": "assistant", "content": "", "tool_calls": [call]})
        text = f"Note {turn}: the rope was in the {place}."
        completion.append({"role": "tool", "tool_call_id": f"c{turn}", "content": text})
    if number % 5 or not completion:
        said = random_.choice([f"In the {place}.", "In the hut.", "It is not known."])
        completion.append({"role": "assistant", "content": said})
    prompt = [
        {"role": "system", "content": "Search, then answer."},
        {"role": "user", "content": f"Where was the rope on day {number}?"},
    ]
    answer = None if number % 7 == 3 else place
    return {"prompt": prompt, "completion": completion, "answer": answer}


# Forms of a row


def messages(row: Row, column: str, role: str) -> list[Row]:
    given = row[column]
    return [{"role": role, "content": given}] if isinstance(given, str) else given


def asked(row: Row) -> list[Row]:
    return messages(row, "prompt", "user")


def wrote(row: Row) -> list[Row]:
    return messages(row, "completion", "assistant")


def rendered(row: Row) -> str:
    """A chat of one turn as a template renders it."""
    said = f"<|im_start|>assistant\n{row['completion']}<|im_end|>"
    return f"<|im_start|>user\n{row['prompt']}<|im_end|>\n{said}"


def without(value: float) -> float | None:
    return None if value == UNSCORED else value


# Ways in process

Spec = Path


async def trl(spec: Spec, rows: Sequence[Row]) -> Values:
    columns = {name: [row[name] for row in rows] for name in ("prompt", "completion", "answer")}
    prompts, completions = columns.pop("prompt"), columns.pop("completion")
    return await as_trl_reward(spec)(prompts=prompts, completions=completions, **columns)


async def trl_chats(spec: Spec, rows: Sequence[Row]) -> Values:
    chats = [{**row, "prompt": asked(row), "completion": wrote(row)} for row in rows]
    return await trl(spec, chats)


async def verifiers(spec: Spec, rows: Sequence[Row]) -> Values:
    reward = as_verifiers_reward(spec)

    async def one(row: Row) -> float | None:
        trace = peers.verifiers_trace(asked(row), wrote(row), answer=row["answer"])
        try:
            return await reward(trace=trace)
        except UnscoredError:
            return None

    return await asyncio.gather(*map(one, rows))


async def art(spec: Spec, rows: Sequence[Row]) -> Values:
    made = [peers.art_trajectory(asked(row), wrote(row), answer=row["answer"]) for row in rows]
    for number, one in enumerate(made):
        one.metrics["number"] = number
    group = await as_art_reward(spec, minimum=0)(peers.art_group(made))
    found = {one.metrics["number"]: one.reward for one in group.trajectories}
    return [found.get(number) for number in range(len(rows))]


async def skyrl(spec: Spec, rows: Sequence[Row]) -> Values:
    with peers.standing_in():
        env_class = as_skyrl_env(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        spec = {"method": "rule", "ground_truth": row["answer"]}
        env = env_class(env_config=None, extras={"reward_spec": spec, "max_turns": 1})
        env.init(asked(row))
        return without(env.step(row["completion"])["reward"])

    return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def rllm(spec: Spec, rows: Sequence[Row]) -> Values:
    evaluator = as_rllm_evaluator(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        task = {"question": asked(row)[-1]["content"], "ground_truth": row["answer"]}
        chat = [*asked(row), *wrote(row)]
        steps = [chat[: n + 1] for n, one in enumerate(chat) if one["role"] == "assistant"]
        if chat[-1]["role"] == "tool":  # The last step read a result, and wrote nothing.
            steps.append([*chat, {"role": "assistant", "content": ""}])
        return without(evaluator.evaluate(task, peers.rllm_episode(steps)).reward)

    with peers.standing_in():
        return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def rllm_function(spec: Spec, rows: Sequence[Row]) -> Values:
    reward = as_rllm_evaluator(spec, when_unscored=UNSCORED)

    def one(row: Row) -> float | None:
        task = {"question": row["prompt"], "ground_truth": row["answer"]}
        return without(reward(task_info=task, action=row["completion"]).reward)

    with peers.standing_in():
        return await asyncio.gather(*(asyncio.to_thread(one, row) for row in rows))


async def tinker(spec: Spec, rows: Sequence[Row]) -> Values:
    envs = tuple(peers.ProblemEnv(row["prompt"], row["answer"]) for row in rows)
    reward = TinkerReward(spec, when_unscored=UNSCORED)
    builder = RewardedGroupBuilder(peers.GroupBuilder(envs), reward)
    builder = pickle.loads(pickle.dumps(builder))
    made = [peers.tinker_trajectory(row["completion"]) for row in rows]
    found = await builder.compute_group_rewards(made, await builder.make_envs())
    return [without(value) for value, _ in found]


async def tinker_history(spec: Spec, rows: Sequence[Row]) -> Values:
    reward = TinkerReward(spec, when_unscored=UNSCORED)

    async def one(row: Row) -> float | None:
        value, _ = await reward.for_history(answer=row["answer"])([*asked(row), *wrote(row)])
        return without(value)

    return await asyncio.gather(*map(one, rows))


# Ways over HTTP


def _number(found: Any) -> float | None:
    assert found.status == 200, found.body
    return without(found.body)


async def native(client: Client, rows: Sequence[Row]) -> Values:
    found = await client.post("/v1/score/rewards", {"rows": list(rows)})
    assert found.status == 200, found.body
    return [row["value"] if row["status"] == "ok" else None for row in found.body]


async def trl_of_url(client: Client, rows: Sequence[Row]) -> Values:
    url = f"{client.address.url}/v1/score/rewards"
    return await trl(url, rows)  # pyright: ignore[reportArgumentType]


async def openrlhf(client: Client, rows: Sequence[Row]) -> Values:
    body = {
        "query": [row["prompt"] + row["completion"] for row in rows],
        "prompts": [row["prompt"] for row in rows],
        "labels": [row["answer"] for row in rows],
    }
    found = await client.post("/openrlhf", body)
    assert found.status == 200, found.body
    values = [without(value) for value in found.body["rewards"]]
    assert found.body["extra_logs"]["unscored"] == [float(value is None) for value in values]
    return values


async def slime(client: Client, rows: Sequence[Row]) -> Values:
    def body(row: Row) -> Row:
        return {"prompt": row["prompt"], "response": row["completion"], "label": row["answer"]}

    found = await asyncio.gather(*(client.post("/slime", body(row)) for row in rows))
    return [_number(one) for one in found]


async def nemo_gym(client: Client, rows: Sequence[Row]) -> Values:
    found = await asyncio.gather(*(client.post("/nemo-gym/verify", _gym(row)) for row in rows))
    assert {one.status for one in found} == {200}
    return [None if one.body["unscored"] else one.body["reward"] for one in found]


def _gym(row: Row) -> Row:
    return {
        "responses_create_params": {"input": asked(row)},
        "response": {"output": [item for one in wrote(row) for item in _items(one)]},
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


async def llama_factory(client: Client, rows: Sequence[Row]) -> Values:
    found = await client.post(
        "/llama-factory", {"model": "m", "messages": [rendered(row) for row in rows]}
    )
    assert found.status == 200, found.body
    return [without(value) for value in found.body["scores"]]


async def vllm_score(client: Client, rows: Sequence[Row]) -> Values:
    texts = {"text_1": [row["prompt"] for row in rows]}
    found = await client.post("/score", texts | {"text_2": [row["completion"] for row in rows]})
    assert found.status == 200, found.body
    return [without(item["score"]) for item in found.body["data"]]


async def vllm_classify(client: Client, rows: Sequence[Row]) -> Values:
    found = await client.post("/classify", {"input": [rendered(row) for row in rows]})
    assert found.status == 200, found.body
    return [without(item["probs"][0]) for item in found.body["data"]]


# The table


class Way(NamedTuple):
    """How one trainer gets its rewards."""

    score: Callable[[Any, Sequence[Row]], Awaitable[Values]]
    """Takes the path of a specification, or with `dialect` a client of a server; and rows."""
    dialect: str | None = None
    """Of the server; None: in process."""
    reference: bool = True
    """Whether the peer hands over the references."""
    texts: bool = True
    """Whether the peer hands over single turns as texts or chats."""
    chats: bool = False
    """Whether the peer hands over messages, with calls and results of tools."""


WAYS: Mapping[str, Way] = {
    "TRL, texts": Way(trl),
    "TRL, chats": Way(trl_chats, chats=True),
    "TRL, a URL": Way(trl_of_url, "native", chats=True),
    "verifiers": Way(verifiers, chats=True),
    "ART": Way(art, chats=True),
    "SkyRL": Way(skyrl),
    "rLLM, evaluator": Way(rllm, chats=True),
    "rLLM, reward function": Way(rllm_function),
    "tinker, groups": Way(tinker),
    "tinker, histories": Way(tinker_history, chats=True),
    "server, native": Way(native, "native", chats=True),
    "server, OpenRLHF": Way(openrlhf, "openrlhf"),
    "server, slime": Way(slime, "slime"),
    "server, NeMo Gym": Way(nemo_gym, "nemo-gym", chats=True),
    "server, LLaMA-Factory": Way(llama_factory, "llama-factory", reference=False),
    "server, vLLM /score": Way(vllm_score, "vllm", reference=False),
    "server, vLLM /classify": Way(vllm_classify, "vllm", reference=False),
}
"""A new adapter is one line."""
